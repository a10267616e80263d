# SPDX-License-Identifier: AGPL-3.0-or-later
"""What was stated of attackers and identities: who belongs to whom, and who was merged.

Statements come in any order and more than once; each row keeps the time of the statement that
holds, and an earlier one changes nothing. Of two at one time, the same one holds in any order.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from decnet_ttp.tag_store import scope_fold
from decnet_ttp.tag_store.campaign_statements import (
    CampaignStatement,
    MergeStatement,
    merge_campaign,
    state_campaigns,
)
from decnet_ttp.tag_store.directory_sql import (
    Sightings,
    link_loose,
    make_attackers,
    make_identities,
)
from decnet_ttp.tag_store.identities import hold_merges, set_root

_NOBODY = UUID(int=0)

_NOW = "SELECT now()"
# Both statements that follow take some of these, each in one order.
_HOLD = "SELECT FROM attackers WHERE uuid = ANY($1::uuid[]) ORDER BY uuid FOR NO KEY UPDATE"
_STATE_MEMBERS = f"""
    WITH stated AS (
        SELECT a.uuid, u.identity_uuid, u.at
        FROM unnest($1::uuid[], $2::uuid[], $3::timestamptz[])
            AS u (attacker_uuid, identity_uuid, at)
        JOIN attackers a ON a.uuid = u.attacker_uuid
        WHERE a.linked_at IS NULL OR a.linked_at < u.at
            OR (a.linked_at = u.at AND coalesce(a.identity_uuid, '{_NOBODY}')
                < coalesce(u.identity_uuid, '{_NOBODY}'))
        ORDER BY a.uuid FOR NO KEY UPDATE OF a
    )
    UPDATE attackers a SET identity_uuid = s.identity_uuid, linked_at = s.at
    FROM stated s WHERE a.uuid = s.uuid RETURNING a.uuid
"""  # noqa: S608 - a constant of ours
_CHAIN = """
    WITH RECURSIVE up AS (
        SELECT uuid, merged_into_uuid, merge_stated_at, 1 AS step FROM identities WHERE uuid = $1
        UNION ALL
        SELECT i.uuid, i.merged_into_uuid, i.merge_stated_at, u.step + 1
        FROM up u JOIN identities i ON i.uuid = u.merged_into_uuid
    )
    SELECT uuid, merged_into_uuid, merge_stated_at FROM up ORDER BY step
"""
_MERGE = "UPDATE identities SET merged_into_uuid = $2, merge_stated_at = $3 WHERE uuid = $1"


class MemberStatement(NamedTuple):
    """An attacker belongs to an identity, or to none; time in ticks, None for a mere mention."""

    attacker: UUID
    identity: UUID | None
    at: int | None


class Statements(NamedTuple):
    """Everything one request states."""

    identities: Collection[UUID]
    members: Sequence[MemberStatement]
    merges: Sequence[MergeStatement]
    campaigns: Sequence[CampaignStatement]
    campaign_merges: Sequence[MergeStatement]

    @property
    def about_merges(self) -> bool:
        """Whether the merges must be held meanwhile."""
        return bool(self.merges or self.campaigns or self.campaign_merges)


async def keep_statements(connection: Any, told: Statements) -> int:
    """Keep what was stated, in the caller's transaction; whoever is named gets a row.

    Returns:
        How many statements were superseded.
    """
    if told.about_merges:
        await hold_merges(connection)
    named = {
        *told.identities,
        *(each.identity for each in told.members),
        *(each.identity for each in told.campaigns),
        *(uuid for each in told.merges for uuid in each[:2]),
    } - {None}
    superseded = await _keep_members(connection, told.members, named)
    # In the order of time, so that what follows from an earlier one is there for the later.
    for merge in sorted(told.merges, key=lambda each: each.at):
        superseded += not await _merge_identity(connection, merge)
    superseded += await state_campaigns(connection, told.campaigns)
    for merge in sorted(told.campaign_merges, key=lambda each: each.at):
        superseded += not await merge_campaign(connection, merge)
    if told.about_merges:
        await scope_fold.fold_own(connection)
    return superseded


async def _keep_members(
    connection: Any, members: Sequence[MemberStatement], identities: Collection[Any]
) -> int:
    stated: dict[UUID, tuple[int, UUID]] = {}
    loose: dict[UUID, UUID] = {}
    sightings = Sightings()
    for attacker, identity, at in members:
        if at is not None:
            claim = (at, identity or _NOBODY)
            stated[attacker] = max(stated.get(attacker, claim), claim)
            sightings.add(attacker, at, at)
        elif identity is not None:
            loose[attacker] = min(loose.get(attacker, identity), identity)
    if loose:
        now = await connection.fetchval(_NOW)
        for attacker in loose:
            if attacker not in stated:
                sightings.add(attacker, now, now)
    await make_attackers(connection, sightings, seen=False)
    await make_identities(connection, identities)
    changed: list[Any] = []
    if stated and loose:
        await connection.execute(_HOLD, [*stated, *loose])
    if stated:
        changed = await connection.fetch(
            _STATE_MEMBERS,
            list(stated),
            [None if identity == _NOBODY else identity for _, identity in stated.values()],
            [at for at, _ in stated.values()],
        )
    await link_loose(connection, loose)
    return sum(each.at is not None for each in members) - len(changed)


async def _merge_identity(connection: Any, statement: MergeStatement) -> bool:
    """Let an identity join another or stand by itself; returns whether the statement counted."""
    loser, winner, at = statement
    known = (await connection.fetch(_CHAIN, loser))[0]
    if not statement.follows(known["merged_into_uuid"], known["merge_stated_at"]):
        return False
    root = loser
    if winner is not None:
        chain = await connection.fetch(_CHAIN, winner)
        root = chain[-1]["uuid"]
        if root == loser:
            # The winner joined the loser before: it stands by itself now, unless that is newer.
            if any((each["merge_stated_at"] or at) > at for each in chain[:-1]):
                return False
            await connection.execute(_MERGE, winner, None, at)
            await set_root(connection, winner, winner)
            root = winner
    await connection.execute(_MERGE, loser, winner, at)
    await set_root(connection, loser, root)
    return True
