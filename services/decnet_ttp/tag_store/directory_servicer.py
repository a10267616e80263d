# SPDX-License-Identifier: AGPL-3.0-or-later
"""DirectoryService on the wire."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import grpc

from decnet_ttp.core.addresses import canonical_ip
from decnet_ttp.core.errors import InvalidArgumentError, NotFoundError
from decnet_ttp.runtime.paging import encode_token, page_limit, request_arguments
from decnet_ttp.tag_store.convert import attacker_message, read_time
from decnet_ttp.tag_store.database import Database
from decnet_ttp.tag_store.directory import Directory, Sighting
from decnet_ttp.tag_store.fact_servicer import FactServicer
from decnet_ttp.tag_store.fields import page_key, parse_uuid
from decnet_ttp.tag_store.identity_servicer import IdentityServicer
from decnet_ttp.tag_store.session_servicer import SessionServicer
from decnet_ttp.tag_store.update_servicer import UpdateServicer
from decnet_ttp.v1 import directory_service_pb2 as pb

MAX_SIGHTINGS = 10_000


class AttackerNotFoundError(NotFoundError):
    """No attacker of that uuid or address."""

    reason = "ATTACKER_NOT_FOUND"


def _read_sighting(message: pb.AddressSighting, path: str) -> Sighting | None:
    ip = canonical_ip(message.ip)
    uuid = (
        parse_uuid(message.attacker_uuid, f"{path}.attacker_uuid")
        if message.attacker_uuid
        else None
    )
    if ip is None and uuid is None:
        return None
    first = last = None
    if message.HasField("first_seen_time"):
        first = read_time(message.first_seen_time, f"{path}.first_seen_time")
    if message.HasField("last_seen_time"):
        last = read_time(message.last_seen_time, f"{path}.last_seen_time")
    return Sighting(ip or "", first, last, uuid)


class DirectoryServicer(IdentityServicer, FactServicer, UpdateServicer, SessionServicer):
    """Says who is who."""

    def __init__(self, database: Database, directory: Directory) -> None:
        IdentityServicer.__init__(self, database)
        FactServicer.__init__(self, database)
        UpdateServicer.__init__(self, database)
        SessionServicer.__init__(self, database, directory)
        self._directory = directory

    async def ResolveAttackers(
        self, request: pb.ResolveAttackersRequest, _context: grpc.aio.ServicerContext[Any, Any]
    ) -> pb.ResolveAttackersResponse:
        """Answer every sighting, in order."""
        if len(request.sightings) > MAX_SIGHTINGS:
            raise InvalidArgumentError(
                f"sightings are {len(request.sightings)}; send at most {MAX_SIGHTINGS} at once",
                field="sightings",
            )
        sightings = [
            _read_sighting(message, f"sightings[{index}]")
            for index, message in enumerate(request.sightings)
        ]
        by_address = [each for each in sightings if each is not None and each.uuid is None]
        named = {each.uuid for each in sightings if each is not None and each.uuid is not None}
        found = await self._directory.resolve(by_address, create_missing=request.create_missing)
        identities = await self._directory.identities_of(named)
        response = pb.ResolveAttackersResponse()
        for sighting in sightings:
            answer = response.attackers.add()
            if sighting is None:
                continue
            answer.ip = sighting.ip
            if sighting.uuid is not None:
                answer.attacker_uuid = str(sighting.uuid)
                if (identity := identities.get(sighting.uuid)) is not None:
                    answer.identity_uuid = str(identity)
            elif (attacker := found.get(sighting.ip)) is not None:
                answer.attacker_uuid = str(attacker.uuid)
                if attacker.identity_uuid is not None:
                    answer.identity_uuid = str(attacker.identity_uuid)
        return response

    async def ListAttackers(
        self, request: pb.ListAttackersRequest, _context: grpc.aio.ServicerContext[Any, Any]
    ) -> pb.ListAttackersResponse:
        """List attackers, last seen first."""
        limit = page_limit(request.page_size)
        arguments = request_arguments(request)
        key = page_key(request.page_token, arguments, (int, str))
        past = (key[0], parse_uuid(key[1], "page_token")) if key else None
        rows = await self._directory.attackers(limit + 1, past)
        page = rows[:limit]
        token = ""
        if len(rows) > limit:
            token = encode_token([page[-1].last_seen, str(page[-1].uuid)], arguments)
        return pb.ListAttackersResponse(
            attackers=[attacker_message(row) for row in page], next_page_token=token
        )

    async def GetAttacker(
        self, request: pb.GetAttackerRequest, _context: grpc.aio.ServicerContext[Any, Any]
    ) -> pb.GetAttackerResponse:
        """Return one attacker."""
        uuid: UUID | None
        if request.attacker_uuid:
            uuid = parse_uuid(request.attacker_uuid, "attacker_uuid")
        else:
            ip = canonical_ip(request.ip)
            if ip is None:
                raise InvalidArgumentError(
                    "neither attacker_uuid nor an address in ip is given; set one of them",
                    field="ip",
                )
            uuid = await self._directory.by_address(ip)
        row = None if uuid is None else await self._directory.attacker(uuid)
        if row is None:
            raise AttackerNotFoundError(
                "no such attacker is known; ListAttackers shows those that are"
            )
        return pb.GetAttackerResponse(attacker=attacker_message(row))
