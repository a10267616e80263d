# SPDX-License-Identifier: AGPL-3.0-or-later
"""Deleting tags and what was counted of them, some at a time, beside writers.

The roll-ups of an anchor with few tags are counted anew from what is left. One with very many is
not: its counts are lessened by what went, which costs the same however much is left. Its first and
last times and highest confidence may be nobody's any more then, so it is noted in
`anchor_recounts` and counted anew once, when the deletion is over or by whoever finds the note.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from decnet_ttp.tag_store.attacker_locks import hold_to_change
from decnet_ttp.tag_store.contributions import (
    Anchor,
    Difference,
    apply,
    differences,
    recontribute,
)
from decnet_ttp.tag_store.database import Database
from decnet_ttp.tag_store.effects import EFFECTIVE, NO_EFFECT, TAG_EFFECT, Effect
from decnet_ttp.tag_store.live_counts import Counted, Task, count_beside_writers
from decnet_ttp.tag_store.recount import TAG_CELL, TAG_LIVE, tag_figures, tag_key
from decnet_ttp.tag_store.rollup_counts import Count

#: Tags deleted in one transaction.
BATCH_TAGS = 5_000
#: Tags from which on an anchor is not counted anew with every transaction.
MANY_TAGS = 20_000

#: Looks without holding the anchor up that are tried before one that does.
_FREE_LOOKS = 3

# S608: the statements are put together from constants of ours; every value is bound.
_ANCHORS = """
    SELECT DISTINCT t.attacker_uuid,
        CASE WHEN t.attacker_uuid IS NULL THEN t.identity_uuid END AS identity_uuid
    FROM tags t WHERE t.uuid = ANY($1::uuid[])
"""
_DELETE = f"""
    WITH gone AS (DELETE FROM tags WHERE uuid = ANY($1::uuid[]) RETURNING *)
    SELECT t.attacker_uuid,
        CASE WHEN t.attacker_uuid IS NULL THEN t.identity_uuid END AS identity_uuid,
        {tag_key(EFFECTIVE)}, {TAG_LIVE} AS live, {tag_figures(EFFECTIVE)}
    FROM gone t JOIN cells c ON {TAG_CELL} {TAG_EFFECT}
    GROUP BY 1, 2, 3, 4, 5, 6
"""  # noqa: S608 - texts of ours; values are parameters
_MANY = {
    anchor: f"""
    SELECT r.{anchor}_uuid FROM rollup_{anchor} r WHERE r.{anchor}_uuid = ANY($1::uuid[])
    GROUP BY 1 HAVING sum(r.count) >= $2
"""  # noqa: S608 - texts of ours; values are parameters
    for anchor in Anchor
}
_ROWS = {
    anchor: f"""
    SELECT r.{anchor}_uuid, r.day, r.cell_id, r.band,
        r.count, r.first_seen, r.last_seen, r.confidence_max
    FROM rollup_{anchor} r WHERE r.{anchor}_uuid = ANY($1::uuid[])
"""  # noqa: S608 - texts of ours; values are parameters
    for anchor in Anchor
}
_NOTE = """
    INSERT INTO anchor_recounts AS n (anchor, uuid)
    SELECT $1, u.uuid FROM unnest($2::uuid[]) AS u (uuid) ORDER BY u.uuid ON CONFLICT DO NOTHING
"""
_FORGET = "DELETE FROM anchor_recounts WHERE anchor = $1 AND uuid = ANY($2::uuid[])"
_NOTED = "SELECT anchor, uuid FROM anchor_recounts ORDER BY anchor, uuid"
# A row's xmin changes with every write, so it tells whether any happened since.
_SIGNATURE = """
    SELECT count(*), md5(string_agg(r.xmin::text, ' ' ORDER BY r.day, r.cell_id, r.band))
    FROM rollup_identity r WHERE r.identity_uuid = $1
"""

_Key = tuple[UUID, int, int, int]


class _Anchors(NamedTuple):
    """Attackers, and identities whose own tags are meant."""

    attackers: Sequence[UUID]
    identities: Sequence[UUID]

    def of(self, anchor: Anchor) -> Sequence[UUID]:
        return self.attackers if anchor is Anchor.ATTACKER else self.identities


async def delete_tags(connection: Any, uuids: Sequence[UUID]) -> int:
    """Delete tags and take them out of the roll-ups, in the caller's transaction.

    Returns:
        How many there were.
    """
    rows = await connection.fetch(_ANCHORS, uuids)
    anchors = _Anchors(
        [attacker for attacker, _ in rows if attacker is not None],
        [identity for _, identity in rows if identity is not None],
    )
    await hold_to_change(connection, *anchors)
    many = {
        anchor: {
            row[0] for row in await connection.fetch(_MANY[anchor], anchors.of(anchor), MANY_TAGS)
        }
        for anchor in Anchor
    }
    gone = await connection.fetch(_DELETE, uuids)
    if not gone:
        return 0
    changes: list[Difference] = []
    for anchor in Anchor:
        few = [who for who in anchors.of(anchor) if who not in many[anchor]]
        changes += await differences(connection, anchor, few)
        changes += await _lessened(connection, anchor, many[anchor], gone)
        # Whoever was counted anew need not be any more.
        await connection.execute(_FORGET, anchor.value, few)
        await connection.execute(_NOTE, anchor.value, list(many[anchor]))
    await apply(connection, changes)
    return sum(row["count"] for row in gone)


async def _lessened(
    connection: Any, anchor: Anchor, who: Collection[UUID], gone: Iterable[Any]
) -> list[Difference]:
    """Return how the roll-ups of anchors change by what went."""
    if not who:
        return []
    less: dict[_Key, int] = {
        (row[f"{anchor}_uuid"], *row[2:5]): row["count"]
        for row in gone
        if row[f"{anchor}_uuid"] in who and row["live"]
    }
    changes = []
    for row in await connection.fetch(_ROWS[anchor], list(who)):
        key: _Key = tuple(row[:4])
        if key not in less:
            continue
        before = Count(*row[4:])
        left = before.count - less[key]
        after = Count(left, *row[5:]) if left > 0 else None
        changes.append(Difference(anchor, *key, before, after))
    return changes


async def settle_anchors(database: Database) -> None:
    """Count anew whoever was only lessened.

    Looks without holding writers up and writes what it saw if nobody wrote meanwhile; an anchor
    that is written to all the time is held at last.

    Raises:
        AbortedError, ResourceExhaustedError, UnavailableError: The database said so; whoever is
        not counted stays noted for the next call.
    """
    for name, who in await database.fetch(_NOTED):
        await _settle(database, Anchor(name), who)


async def _settle(database: Database, anchor: Anchor, who: UUID) -> None:
    if anchor is Anchor.ATTACKER and await _settle_attacker(database, who):
        return
    held = ([who], []) if anchor is Anchor.ATTACKER else ([], [who])
    for _ in range(_FREE_LOOKS if anchor is Anchor.IDENTITY else 0):
        async with database.connection() as connection:
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                before = await connection.fetchrow(_SIGNATURE, who)
                seen = await differences(connection, anchor, [who])
            async with connection.transaction():
                await hold_to_change(connection, *held)
                if await connection.fetchrow(_SIGNATURE, who) == before:
                    await apply(connection, seen)
                    await connection.execute(_FORGET, anchor.value, [who])
                    return
    async with database.connection() as connection, connection.transaction():
        await hold_to_change(connection, *held)
        await recontribute(connection, *held)
        await connection.execute(_FORGET, anchor.value, [who])


async def _settle_attacker(database: Database, who: UUID) -> bool:
    async def in_force(_connection: Any, effect: Effect | None) -> Effect:
        return effect or NO_EFFECT

    async def forget(connection: Any, _effect: Effect) -> None:
        await connection.execute(_FORGET, Anchor.ATTACKER.value, [who])

    for _ in range(_FREE_LOOKS):
        counted = await count_beside_writers(database, who, Task(in_force, forget))
        if counted is not Counted.DISTURBED:
            return counted is Counted.DONE
    return False
