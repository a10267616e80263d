# SPDX-License-Identifier: AGPL-3.0-or-later
"""Retiring tags: they are kept, marked, and counted no more, until they are restored.

A transaction takes a few thousand tags, whosever they are. It holds their anchors, marks the tags,
and lessens the counts by what the marked ones gave, so its length does not depend on how many tags
an anchor has. First and last times follow later; see `anchor_settling`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from decnet_ttp.core.errors import NotFoundError
from decnet_ttp.tag_store import rollup_sql
from decnet_ttp.tag_store.attacker_locks import hold_to_change
from decnet_ttp.tag_store.contributions import leave_to_settle
from decnet_ttp.tag_store.database import Database
from decnet_ttp.tag_store.effects import EFFECTIVE, TAG_EFFECT
from decnet_ttp.tag_store.recount import TAG_CELL, tag_figures, tag_key
from decnet_ttp.tag_store.rollup_counts import Count, RollupCounts, add_count

#: Tags marked in one transaction.
BATCH_TAGS = 5_000

# S608: the statements are put together from constants of ours; every value is bound.
_RECORD = """
    INSERT INTO retirements (uuid, requested_by, reason, tags) VALUES ($1, $2, $3, 0)
    ON CONFLICT (uuid) DO UPDATE SET restored_by = NULL, restored_at = NULL
"""
_RECORD_COUNT = "UPDATE retirements SET tags = tags + $2 WHERE uuid = $1"
_RECORD_RESTORED = """
    UPDATE retirements SET restored_by = $2, restored_at = now() WHERE uuid = $1 RETURNING uuid
"""
_ANCHORS = """
    SELECT DISTINCT t.attacker_uuid,
        CASE WHEN t.attacker_uuid IS NULL THEN t.identity_uuid END AS identity_uuid
    FROM tags t WHERE t.uuid = ANY($1::uuid[])
"""
_MARK = f"""
    WITH marked AS (
        UPDATE tags SET retirement_uuid = $2::uuid WHERE uuid = ANY($1::uuid[])
            AND retirement_uuid IS NOT DISTINCT FROM $3::uuid
        RETURNING *
    )
    SELECT t.attacker_uuid,
        CASE WHEN t.attacker_uuid IS NULL THEN t.identity_uuid END AS identity_uuid,
        {tag_key(EFFECTIVE)}, {tag_figures(EFFECTIVE)}
    FROM marked t JOIN cells c ON {TAG_CELL} {TAG_EFFECT}
    GROUP BY 1, 2, 3, 4, 5
"""  # noqa: S608 - texts of ours; values are parameters
# The tags of a retirement are found by walking all in the order of storage: restoring is rare, and
# an index would cost every writer.
_NEXT = """
    SELECT max(seq) AS last, array_agg(uuid) FILTER (WHERE retirement_uuid = $1) AS uuids
    FROM (
        SELECT seq, uuid, retirement_uuid FROM tags WHERE seq > $2 ORDER BY seq LIMIT $3
    ) t
"""
_OF_TAGS = """
    SELECT t.uuid, r.uuid, r.requested_by, r.reason, r.created_at
    FROM tags t JOIN retirements r ON r.uuid = t.retirement_uuid
    WHERE t.uuid = ANY($1::uuid[])
"""


class UnknownRetirementError(NotFoundError):
    """No retirement of that uuid."""

    reason = "RETIREMENT_NOT_FOUND"


class Retirements:
    """Retires and restores tags.

    Every call raises AbortedError, ResourceExhaustedError or UnavailableError when the database
    says so; it may be sent again and goes on where it was.

    Args:
        database: Where.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def retire(
        self, retirement: UUID, uuids: Sequence[UUID], *, requested_by: str, reason: str
    ) -> int:
        """Retire tags.

        Args:
            retirement: What they are marked with; a new one is recorded.
            uuids: The tags; those that are retired already stay as they are.
            requested_by: Who asks, for the record.
            reason: Why, for the record.

        Returns:
            How many were not retired before.
        """
        await self._database.fetch(_RECORD, retirement, requested_by, reason)
        retired = 0
        ordered = sorted(uuids)
        for start in range(0, len(ordered), BATCH_TAGS):
            part = ordered[start : start + BATCH_TAGS]
            async with self._database.connection() as connection, connection.transaction():
                marked = await _mark(connection, part, before=None, after=retirement)
                await connection.execute(_RECORD_COUNT, retirement, marked)
            retired += marked
        return retired

    async def restore(self, retirement: UUID, *, requested_by: str) -> int:
        """Let the tags of a retirement count again; returns how many there were.

        Raises:
            UnknownRetirementError: There is none.
        """
        if not await self._database.fetch(_RECORD_RESTORED, retirement, requested_by):
            raise UnknownRetirementError(
                "no such retirement is known; `tags --retired` shows those of tags",
                retirement_uuid=retirement,
            )
        restored = past = 0
        while True:
            ((last, uuids),) = await self._database.fetch(_NEXT, retirement, past, 10 * BATCH_TAGS)
            if last is None:
                return restored
            past = last
            for start in range(0, len(uuids or ()), BATCH_TAGS):
                part = sorted(uuids[start : start + BATCH_TAGS])
                async with self._database.connection() as connection, connection.transaction():
                    restored += await _mark(connection, part, before=retirement, after=None)

    async def of_tags(self, uuids: Sequence[UUID]) -> dict[UUID, tuple[UUID, str, str, int]]:
        """Return uuid, requester, reason and time (ticks) of the retirements of some tags."""
        rows = await self._database.fetch(_OF_TAGS, uuids)
        return {tag: (uuid, by, reason, at) for tag, uuid, by, reason, at in rows}


async def _mark(
    connection: Any, uuids: Sequence[UUID], *, before: UUID | None, after: UUID | None
) -> int:
    """Mark tags anew and count them in or out, in the caller's transaction."""
    anchors = await connection.fetch(_ANCHORS, uuids)
    attackers = [attacker for attacker, _ in anchors if attacker is not None]
    identities = [identity for _, identity in anchors if identity is not None]
    await hold_to_change(connection, attackers, identities)
    sign = 1 if after is None else -1
    counts = RollupCounts({}, {}, {}, {})
    total = 0
    for attacker, identity, day, cell, band, *figures in await connection.fetch(
        _MARK, uuids, after, before
    ):
        count = Count(*figures)
        total += count.count
        count.count *= sign
        if attacker is not None:
            add_count(counts.attackers, (attacker.int, day, cell, band), count)
        else:
            add_count(counts.identities, (identity.int, day, cell, band), count)
        add_count(counts.fleet_days, (day, cell, band), count)
        add_count(counts.fleet, (cell, band), count)
    if total:
        await rollup_sql.add(connection, counts)
        if sign < 0:
            await leave_to_settle(connection, counts)
    return total
