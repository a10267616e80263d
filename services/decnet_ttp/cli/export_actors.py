# SPDX-License-Identifier: AGPL-3.0-or-later
"""The actors of a scope with what is stored of them, as documents need them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Any

from decnet_ttp.cli.connection import CALL_TIMEOUT_S, Connection, Listing, with_channel
from decnet_ttp.core.errors import NotFoundError

if TYPE_CHECKING:
    from grpc.aio import Channel

    from decnet_ttp.attack import Catalogue
    from decnet_ttp.tag_store.documents.actors import Actor
    from decnet_ttp.v1.directory_service_pb2 import Attacker
    from decnet_ttp.v1.scope_pb2 import Scope
    from decnet_ttp.v1.tag_pb2 import Tag


async def actors_of(connection: Connection, scope: Scope) -> list[Actor]:
    """Return who was tagged in a scope: of the fleet addresses and roll-ups, else everything.

    Raises:
        DecnetError: What a call answered.
    """

    async def work(channel: Channel) -> list[Actor]:
        if scope.WhichOneof("scope") == "fleet":
            return await _fleet(channel)
        return await _one_by_one(channel, scope)

    return await with_channel(connection, "tag_store", work)


def unknown_techniques(actors: Sequence[Actor], catalogue: Catalogue) -> tuple[str, ...]:
    """Return the ids that the catalogue lacks, sorted."""
    tags = {tag.sub_technique_id or tag.technique_id for actor in actors for tag in actor.tags}
    rows = {
        row.sub_technique_id or row.technique_id for actor in actors for row in actor.techniques
    }
    return tuple(sorted((tags | rows) - catalogue.techniques.keys()))


async def parts(method: Any, request: Any) -> AsyncIterator[Any]:
    """Yield the parts of a stream.

    Raises:
        DecnetError: What the status stands for; what came before is not the whole.
    """
    import grpc

    from decnet_ttp.runtime.boundary import from_rpc_error

    try:
        async for part in method(request):
            yield part
    except grpc.aio.AioRpcError as error:
        raise from_rpc_error(error) from error


async def _fleet(channel: Channel) -> list[Actor]:
    from decnet_ttp.tag_store.documents.actors import Actor
    from decnet_ttp.v1.directory_service_pb2 import Attacker, ListAttackersRequest
    from decnet_ttp.v1.directory_service_pb2_grpc import DirectoryServiceStub
    from decnet_ttp.v1.export_service_pb2 import ExportRollupsRequest
    from decnet_ttp.v1.export_service_pb2_grpc import ExportServiceStub

    method = DirectoryServiceStub(channel).ListAttackers
    known = {row.uuid: row async for row in Listing(method, ListAttackersRequest(), "attackers")}
    found = []
    async for part in parts(ExportServiceStub(channel).ExportRollups, ExportRollupsRequest()):
        uuid = part.attacker_uuid
        attacker = known.get(uuid, Attacker(uuid=uuid))
        found.append(Actor(uuid, attacker, techniques=part.techniques))
    return found


async def _one_by_one(channel: Channel, scope: Scope) -> list[Actor]:
    from decnet_ttp.tag_store.documents.actors import Actor
    from decnet_ttp.v1.attacker_fact_pb2 import ListFactsRequest, ListIntelRequest
    from decnet_ttp.v1.directory_service_pb2 import Attacker
    from decnet_ttp.v1.directory_service_pb2_grpc import DirectoryServiceStub
    from decnet_ttp.v1.export_service_pb2 import ExportTagsRequest
    from decnet_ttp.v1.export_service_pb2_grpc import ExportServiceStub

    tags: dict[tuple[str, str], list[Tag]] = defaultdict(list)
    async for part in parts(ExportServiceStub(channel).ExportTags, ExportTagsRequest(scope=scope)):
        for tag in part.tags:
            attacker = tag.anchor.attacker_uuid
            tags[attacker, "" if attacker else tag.anchor.identity_uuid].append(tag)
    stub = DirectoryServiceStub(channel)
    found = []
    for (uuid, identity), own in tags.items():
        if identity:
            found.append(Actor(identity, Attacker(identity_uuid=identity), tags=own))
            continue
        facts = Listing(stub.ListFacts, ListFactsRequest(attacker_uuid=uuid), "facts")
        intel = Listing(stub.ListIntel, ListIntelRequest(attacker_uuid=uuid), "records")
        found.append(
            Actor(
                uuid,
                await _attacker(stub, uuid),
                tags=own,
                facts=[fact async for fact in facts],
                intel=[record async for record in intel],
            )
        )
    return found


async def _attacker(stub: Any, uuid: str) -> Attacker:
    """Return an attacker; one that the directory does not know has no address."""
    from decnet_ttp.runtime.clients import call
    from decnet_ttp.v1.directory_service_pb2 import Attacker, GetAttackerRequest

    try:
        request = GetAttackerRequest(attacker_uuid=uuid)
        answer = await call(stub.GetAttacker, request, timeout_s=CALL_TIMEOUT_S)
    except NotFoundError:
        return Attacker(uuid=uuid)
    found: Attacker = answer.attacker
    return found
