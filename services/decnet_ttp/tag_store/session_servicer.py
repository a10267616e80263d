# SPDX-License-Identifier: AGPL-3.0-or-later
"""The part of DirectoryService that lists sessions and decoys."""

from __future__ import annotations

from typing import Any

import grpc

from decnet_ttp.core.addresses import canonical_ip
from decnet_ttp.runtime.paging import encode_token, page_limit, request_arguments
from decnet_ttp.tag_store.database import Database
from decnet_ttp.tag_store.directory import Directory
from decnet_ttp.tag_store.fields import check_text, page_key, parse_uuid
from decnet_ttp.tag_store.scopes import parse_scope
from decnet_ttp.tag_store.session_reader import (
    DeckyFound,
    SessionFound,
    read_deckies,
    read_sessions,
)
from decnet_ttp.tag_store.ticks import to_timestamp
from decnet_ttp.v1 import directory_update_pb2 as pb
from decnet_ttp.v1.directory_service_pb2_grpc import DirectoryServiceServicer


def _session_message(row: SessionFound) -> pb.Session:
    return pb.Session(
        session_id=row.session_id,
        attacker_uuid=str(row.attacker_uuid),
        attacker_ip=canonical_ip(row.attacker_ip) or "",
        decky_id=row.decky_id,
        service=row.service,
        start_time=to_timestamp(row.started_at),
        end_time=to_timestamp(row.ended_at),
        command_count=row.commands,
        request_count=row.requests,
        auth_attempt_count=row.attempts,
        file_count=row.files,
        tag_count=row.tags,
    )


def _decky_message(row: DeckyFound) -> pb.Decky:
    return pb.Decky(
        decky_id=row.decky_id,
        first_seen_time=to_timestamp(row.first_seen),
        last_seen_time=to_timestamp(row.last_seen),
        attacker_count=row.attackers,
    )


class SessionServicer(DirectoryServiceServicer):
    """Lists sessions, and the decoys they were on."""

    def __init__(self, database: Database, directory: Directory) -> None:
        self._database = database
        self._scopes = directory

    async def ListSessions(
        self, request: pb.ListSessionsRequest, _context: grpc.aio.ServicerContext[Any, Any]
    ) -> pb.ListSessionsResponse:
        """List sessions, last ended first."""
        asked = parse_scope(request.scope)
        decky_id = check_text(request.decky_id, "decky_id")
        limit = page_limit(request.page_size)
        arguments = request_arguments(request)
        key = page_key(request.page_token, arguments, (int, str, str))
        past = (key[0], key[1], parse_uuid(key[2], "page_token")) if key else None
        scope = await self._scopes.locate(asked)
        if scope is None:
            return pb.ListSessionsResponse()
        rows = await read_sessions(
            self._database, scope, decky_id=decky_id, limit=limit + 1, past=past
        )
        page = rows[:limit]
        token = ""
        if len(rows) > limit:
            ended_at, session_id, attacker = page[-1].key
            token = encode_token([ended_at, session_id, str(attacker)], arguments)
        return pb.ListSessionsResponse(sessions=map(_session_message, page), next_page_token=token)

    async def ListDeckies(
        self, request: pb.ListDeckiesRequest, _context: grpc.aio.ServicerContext[Any, Any]
    ) -> pb.ListDeckiesResponse:
        """List decoys by identifier."""
        asked = parse_scope(request.scope)
        limit = page_limit(request.page_size)
        arguments = request_arguments(request)
        key = page_key(request.page_token, arguments, (str,))
        scope = await self._scopes.locate(asked)
        if scope is None:
            return pb.ListDeckiesResponse()
        rows = await read_deckies(
            self._database, scope, limit=limit + 1, past=key[0] if key else ""
        )
        page = rows[:limit]
        return pb.ListDeckiesResponse(
            deckies=map(_decky_message, page),
            next_page_token=encode_token([page[-1].decky_id], arguments)
            if len(rows) > limit
            else "",
        )
