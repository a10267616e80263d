# SPDX-License-Identifier: AGPL-3.0-or-later
"""The part of DirectoryService that is about identities and campaigns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import grpc

from decnet_ttp.core.errors import InvalidArgumentError
from decnet_ttp.runtime.paging import encode_token, page_limit, request_arguments
from decnet_ttp.tag_store.campaigns import CampaignRow, Campaigns
from decnet_ttp.tag_store.database import Database
from decnet_ttp.tag_store.fields import check_text, page_key, parse_uuid
from decnet_ttp.tag_store.identities import Identities, IdentityRow
from decnet_ttp.tag_store.memberships import memberships
from decnet_ttp.v1 import directory_service_pb2 as pb
from decnet_ttp.v1.directory_service_pb2_grpc import DirectoryServiceServicer

MAX_MEMBERS = 10_000


def read_uuids(texts: Sequence[str], field: str) -> list[UUID]:
    """Return distinct uuids in order.

    Raises:
        InvalidArgumentError: One is none, there are none, or too many.
    """
    if not texts:
        raise InvalidArgumentError(f"{field} is empty; name at least one", field=field)
    if len(texts) > MAX_MEMBERS:
        raise InvalidArgumentError(
            f"{field} are {len(texts)}; send at most {MAX_MEMBERS} at once", field=field
        )
    return sorted({parse_uuid(text, f"{field}[{index}]") for index, text in enumerate(texts)})


def _identity_message(row: IdentityRow) -> pb.Identity:
    return pb.Identity(
        uuid=str(row.uuid),
        attacker_uuids=map(str, row.attackers),
        campaign_uuid="" if row.campaign_uuid is None else str(row.campaign_uuid),
        merged_into_uuid="" if row.merged_into_uuid is None else str(row.merged_into_uuid),
        attacker_count=row.attacker_count,
        merged_uuids=map(str, row.merged),
    )


def _campaign_message(row: CampaignRow) -> pb.Campaign:
    return pb.Campaign(
        uuid=str(row.uuid),
        name=row.name,
        identity_uuids=map(str, row.identities),
        merged_into_uuid="" if row.merged_into_uuid is None else str(row.merged_into_uuid),
    )


class IdentityServicer(DirectoryServiceServicer):
    """Says and changes which attackers and identities belong together."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._identities = Identities(database)
        self._campaigns = Campaigns(database)

    async def ListIdentities(
        self, request: pb.ListIdentitiesRequest, _context: grpc.aio.ServicerContext[Any, Any]
    ) -> pb.ListIdentitiesResponse:
        """List identities by uuid."""
        limit = page_limit(request.page_size)
        arguments = request_arguments(request)
        key = page_key(request.page_token, arguments, (str,))
        past = parse_uuid(key[0], "page_token") if key else None
        rows = await self._identities.page(limit + 1, past)
        page = rows[:limit]
        return pb.ListIdentitiesResponse(
            identities=map(_identity_message, page),
            next_page_token=encode_token([str(page[-1].uuid)], arguments)
            if len(rows) > limit
            else "",
        )

    async def GetIdentity(
        self, request: pb.GetIdentityRequest, _context: grpc.aio.ServicerContext[Any, Any]
    ) -> pb.GetIdentityResponse:
        """Return one identity."""
        row = await self._identities.get(parse_uuid(request.identity_uuid, "identity_uuid"))
        return pb.GetIdentityResponse(identity=_identity_message(row))

    async def ResolveIdentities(
        self, request: pb.ResolveIdentitiesRequest, _context: grpc.aio.ServicerContext[Any, Any]
    ) -> pb.ResolveIdentitiesResponse:
        """Answer every query, in order."""
        if len(request.queries) > MAX_MEMBERS:
            raise InvalidArgumentError(
                f"queries are {len(request.queries)}; send at most {MAX_MEMBERS} at once",
                field="queries",
            )
        asked = [
            parse_uuid(query.attacker_uuid, f"queries[{index}].attacker_uuid")
            for index, query in enumerate(request.queries)
        ]
        defaults = {
            attacker: parse_uuid(
                query.default_identity_uuid, f"queries[{index}].default_identity_uuid"
            )
            if query.default_identity_uuid
            else None
            for index, (attacker, query) in enumerate(zip(asked, request.queries, strict=True))
        }
        found = await memberships(self._database, defaults)
        response = pb.ResolveIdentitiesResponse()
        for attacker in asked:
            answer = response.memberships.add()
            if attacker in found:
                answer.attacker_uuid = str(attacker)
                if (identity := found[attacker]) is not None:
                    answer.identity_uuid = str(identity)
        return response

    async def LinkAttackers(
        self, request: pb.LinkAttackersRequest, _context: grpc.aio.ServicerContext[Any, Any]
    ) -> pb.LinkAttackersResponse:
        """Link attackers."""
        identity = parse_uuid(request.identity_uuid, "identity_uuid")
        attackers = read_uuids(request.attacker_uuids, "attacker_uuids")
        if request.only_unlinked:
            linked = await self._identities.link_unlinked(identity, attackers)
            return pb.LinkAttackersResponse(identity=linked and _identity_message(linked))
        row = await self._identities.link(identity, attackers)
        return pb.LinkAttackersResponse(identity=_identity_message(row))

    async def UnlinkAttackers(
        self, request: pb.UnlinkAttackersRequest, _context: grpc.aio.ServicerContext[Any, Any]
    ) -> pb.UnlinkAttackersResponse:
        """Unlink attackers."""
        attackers = read_uuids(request.attacker_uuids, "attacker_uuids")
        return pb.UnlinkAttackersResponse(unlinked_count=await self._identities.unlink(attackers))

    async def MergeIdentities(
        self, request: pb.MergeIdentitiesRequest, _context: grpc.aio.ServicerContext[Any, Any]
    ) -> pb.MergeIdentitiesResponse:
        """Merge two identities."""
        winner = parse_uuid(request.winner_uuid, "winner_uuid")
        loser = parse_uuid(request.loser_uuid, "loser_uuid")
        row = await self._identities.merge(winner, loser)
        return pb.MergeIdentitiesResponse(identity=_identity_message(row))

    async def UnmergeIdentity(
        self, request: pb.UnmergeIdentityRequest, _context: grpc.aio.ServicerContext[Any, Any]
    ) -> pb.UnmergeIdentityResponse:
        """Undo a merge."""
        row = await self._identities.unmerge(parse_uuid(request.loser_uuid, "loser_uuid"))
        return pb.UnmergeIdentityResponse(identity=_identity_message(row))

    async def ListCampaigns(
        self, request: pb.ListCampaignsRequest, _context: grpc.aio.ServicerContext[Any, Any]
    ) -> pb.ListCampaignsResponse:
        """List campaigns by uuid."""
        limit = page_limit(request.page_size)
        arguments = request_arguments(request)
        key = page_key(request.page_token, arguments, (str,))
        past = parse_uuid(key[0], "page_token") if key else None
        rows = await self._campaigns.page(limit + 1, past)
        page = rows[:limit]
        return pb.ListCampaignsResponse(
            campaigns=map(_campaign_message, page),
            next_page_token=encode_token([str(page[-1].uuid)], arguments)
            if len(rows) > limit
            else "",
        )

    async def AssignCampaign(
        self, request: pb.AssignCampaignRequest, _context: grpc.aio.ServicerContext[Any, Any]
    ) -> pb.AssignCampaignResponse:
        """Assign identities."""
        campaign = (
            parse_uuid(request.campaign_uuid, "campaign_uuid") if request.campaign_uuid else None
        )
        name = check_text(request.name, "name")
        identities = read_uuids(request.identity_uuids, "identity_uuids")
        row = await self._campaigns.assign(campaign, name, identities)
        if row is None:
            return pb.AssignCampaignResponse()
        return pb.AssignCampaignResponse(campaign=_campaign_message(row))
