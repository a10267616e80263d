# SPDX-License-Identifier: AGPL-3.0-or-later
"""What was stated of campaigns: who belongs to them, what they are called, which were merged.

An identity keeps the campaign it was stated to belong to beside the one it counts for, which is
the one that campaign was merged into; so merges of campaigns can be undone as well. Every function
works in the caller's transaction, which holds the merges.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID

_NOBODY = UUID(int=0)

_MAKE = """
    INSERT INTO campaigns AS c (uuid, name, named_at)
    SELECT u.uuid, u.name, CASE WHEN u.name <> '' THEN u.at END
    FROM unnest($1::uuid[], $2::text[], $3::timestamptz[]) AS u (uuid, name, at)
    ORDER BY u.uuid
    ON CONFLICT (uuid) DO UPDATE SET name = excluded.name, named_at = excluded.named_at
    WHERE excluded.name <> '' AND (c.named_at IS NULL OR c.named_at < excluded.named_at
        OR (c.named_at = excluded.named_at AND c.name < excluded.name))
"""
_ROOTS = """
    WITH RECURSIVE up AS (
        SELECT uuid AS start, uuid, merged_into_uuid FROM campaigns WHERE uuid = ANY($1::uuid[])
        UNION ALL
        SELECT u.start, c.uuid, c.merged_into_uuid
        FROM up u JOIN campaigns c ON c.uuid = u.merged_into_uuid
    )
    SELECT start, uuid FROM up WHERE merged_into_uuid IS NULL
"""
_STATE = f"""
    WITH stated AS (
        SELECT i.uuid, u.campaign_uuid, u.root_uuid, u.at
        FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::timestamptz[])
            AS u (identity_uuid, campaign_uuid, root_uuid, at)
        JOIN identities i ON i.uuid = u.identity_uuid
        WHERE i.campaign_stated_at IS NULL OR i.campaign_stated_at < u.at
            OR (i.campaign_stated_at = u.at AND coalesce(i.stated_campaign_uuid, '{_NOBODY}')
                < coalesce(u.campaign_uuid, '{_NOBODY}'))
        ORDER BY i.uuid FOR NO KEY UPDATE OF i
    )
    UPDATE identities i SET campaign_uuid = s.root_uuid, stated_campaign_uuid = s.campaign_uuid,
        campaign_stated_at = s.at
    FROM stated s WHERE i.uuid = s.uuid RETURNING i.uuid
"""  # noqa: S608 - a constant of ours
_CHAIN = """
    WITH RECURSIVE up AS (
        SELECT uuid, merged_into_uuid, merge_stated_at, 1 AS step FROM campaigns WHERE uuid = $1
        UNION ALL
        SELECT c.uuid, c.merged_into_uuid, c.merge_stated_at, u.step + 1
        FROM up u JOIN campaigns c ON c.uuid = u.merged_into_uuid
    )
    SELECT uuid, merged_into_uuid, merge_stated_at FROM up ORDER BY step
"""
_MERGE = "UPDATE campaigns SET merged_into_uuid = $2, merge_stated_at = $3 WHERE uuid = $1"
_MOVE = """
    WITH RECURSIVE below AS (
        SELECT $1::uuid AS uuid
        UNION SELECT c.uuid FROM campaigns c JOIN below b ON c.merged_into_uuid = b.uuid
    )
    UPDATE identities i SET campaign_uuid = $2::uuid
    FROM below b WHERE i.stated_campaign_uuid = b.uuid
"""


class CampaignStatement(NamedTuple):
    """An identity belongs to a campaign or to none; time in ticks. No identity: only a name."""

    identity: UUID | None
    campaign: UUID | None
    name: str
    at: int


class MergeStatement(NamedTuple):
    """A loser joins a winner, or stands by itself where there is none; time in ticks."""

    loser: UUID
    winner: UUID | None
    at: int

    def follows(self, winner: UUID | None, at: int | None) -> bool:
        """Whether this counts for more than what is known; of two at one time, the same does."""
        return at is None or (self.at, self.winner or _NOBODY) > (at, winner or _NOBODY)


async def state_campaigns(connection: Any, statements: Sequence[CampaignStatement]) -> int:
    """Keep statements about identities that have rows, and about campaigns whether or not.

    Returns:
        How many of those about an identity were superseded.
    """
    named = [each for each in statements if each.campaign is not None]
    latest: dict[UUID | None, CampaignStatement] = {}
    for each in sorted(named, key=lambda each: (bool(each.name), each.at, each.name)):
        latest[each.campaign] = each
    campaigns = list(latest)
    if campaigns:
        told = latest.values()
        await connection.execute(
            _MAKE, campaigns, [each.name for each in told], [each.at for each in told]
        )
    roots = dict(await connection.fetch(_ROOTS, campaigns))
    members: dict[UUID, CampaignStatement] = {}
    for each in sorted(statements, key=lambda each: (each.at, each.campaign or _NOBODY)):
        if each.identity is not None:
            members[each.identity] = each
    if not members:
        return 0
    stated = members.values()
    changed = await connection.fetch(
        _STATE,
        list(members),
        [each.campaign for each in stated],
        [roots.get(each.campaign) for each in stated],
        [each.at for each in stated],
    )
    return sum(each.identity is not None for each in statements) - len(changed)


async def merge_campaign(connection: Any, statement: MergeStatement) -> bool:
    """Let a campaign join another or stand by itself; returns whether the statement counted."""
    loser, winner, at = statement
    both = [loser] if winner is None else [loser, winner]
    await connection.execute(_MAKE, both, [""] * len(both), [at] * len(both))
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
            await connection.execute(_MOVE, winner, winner)
            root = winner
    await connection.execute(_MERGE, loser, winner, at)
    await connection.execute(_MOVE, loser, root)
    return True
