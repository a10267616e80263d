# SPDX-License-Identifier: AGPL-3.0-or-later
"""Campaigns: identities at work together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from decnet_ttp.tag_store import scope_fold
from decnet_ttp.tag_store.campaign_statements import CampaignStatement, state_campaigns
from decnet_ttp.tag_store.database import Database
from decnet_ttp.tag_store.identities import MAX_NAMED, IdentityNotFoundError, hold_merges

_CAMPAIGNS = f"""
    SELECT c.uuid, c.name, array(
        SELECT i.uuid FROM identities i WHERE i.campaign_uuid = c.uuid ORDER BY i.uuid
        LIMIT {MAX_NAMED}
    ), c.merged_into_uuid
    FROM campaigns c WHERE {{condition}} ORDER BY c.uuid LIMIT $1
"""  # noqa: S608 - constants of ours
_FIRST_PAGE = _CAMPAIGNS.format(condition="true")
_NEXT_PAGE = _CAMPAIGNS.format(condition="c.uuid > $2::uuid")
_ONE = _CAMPAIGNS.format(condition="c.uuid = $2::uuid")
_HOLD = "SELECT uuid FROM identities WHERE uuid = ANY($1::uuid[]) ORDER BY uuid FOR NO KEY UPDATE"
_NOW = "SELECT now()"


class CampaignRow(NamedTuple):
    """A campaign; its identities by uuid, MAX_NAMED at most."""

    uuid: UUID
    name: str
    identities: Sequence[UUID]
    merged_into_uuid: UUID | None


class Campaigns:
    """Reads and changes which identities a campaign has.

    Every call raises AbortedError, ResourceExhaustedError or UnavailableError when the database
    says so.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(self, limit: int, past: UUID | None) -> list[CampaignRow]:
        """Return campaigns by uuid, from the one after `past` on."""
        if past is None:
            rows = await self._database.fetch(_FIRST_PAGE, limit)
        else:
            rows = await self._database.fetch(_NEXT_PAGE, limit, past)
        return [CampaignRow(*row) for row in rows]

    async def assign(
        self, campaign: UUID | None, name: str, identities: Sequence[UUID]
    ) -> CampaignRow | None:
        """Assign identities to a campaign, which is made if need be, or to none.

        Raises:
            IdentityNotFoundError: One of them is not known; none is assigned.
        """
        async with self._database.connection() as connection, connection.transaction():
            await hold_merges(connection)
            known = {row["uuid"] for row in await connection.fetch(_HOLD, identities)}
            missing = [uuid for uuid in identities if uuid not in known]
            if missing:
                raise IdentityNotFoundError(
                    f"{len(missing)} of the identities are not known; link attackers to them first",
                    identity_uuid=missing[0],
                )
            now = await connection.fetchval(_NOW)
            stated = [CampaignStatement(uuid, campaign, name, now) for uuid in identities]
            await state_campaigns(connection, stated)
            await scope_fold.fold_own(connection)
            if campaign is None:
                return None
            return CampaignRow(*await connection.fetchrow(_ONE, 1, campaign))
