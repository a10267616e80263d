# SPDX-License-Identifier: AGPL-3.0-or-later
"""Deleting tags and what was counted of them, some at a time, beside writers.

Roll-ups of attackers and identities are counted anew under locks on the very rows, so they are
right as soon as the deletion is. The fleet's counts are lessened at once; whether its first and
last times still stand takes a look at all attackers, which `settle` does afterwards, without
holding anybody up while it looks. What is left to be settled stands in a table, so that a process
that dies in between loses nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from decnet_ttp.tag_store import rollup_sql
from decnet_ttp.tag_store.database import Database
from decnet_ttp.tag_store.recount import SUMS, TAG_CELL, TAG_FIGURES, TAG_KEY
from decnet_ttp.tag_store.rollup_counts import Count, RollupCounts

#: Tags deleted in one transaction.
BATCH_TAGS = 5_000

#: Looks without a lock that are tried before one that holds writers up.
_OPTIMISTIC_LOOKS = 3

# S608: the statements are put together from constants of ours; every value is bound.
# Held until the end: keys, in the order in which writers take their rows.
_HOLD = """
    SELECT FROM rollup_{name} r
    WHERE (r.{name}_uuid, r.day, r.cell_id, r.band) IN (
        SELECT k.who, k.day, k.cell_id, k.band FROM (
            SELECT t.{name}_uuid AS who, {key} FROM tags t JOIN cells c ON {cell}
            WHERE t.uuid = ANY($1::uuid[]) AND {condition}
        ) k
    )
    ORDER BY r.{name}_uuid, r.day, r.cell_id, r.band FOR UPDATE
"""
_DELETE = f"""
    WITH gone AS (DELETE FROM tags WHERE uuid = ANY($1::uuid[]) RETURNING *)
    SELECT t.attacker_uuid,
        CASE WHEN t.attacker_uuid IS NULL THEN t.identity_uuid END AS identity_uuid,
        {TAG_KEY}, {TAG_FIGURES}
    FROM gone t JOIN cells c ON {TAG_CELL}
    GROUP BY 1, 2, 3, 4, 5
"""  # noqa: S608
_KEYS = """
    unnest($1::uuid[], $2::date[], $3::integer[], $4::smallint[]) AS k (who, day, cell_id, band)
"""
_SAME_KEY = "r.{name}_uuid = k.who AND r.day = k.day AND r.cell_id = k.cell_id AND r.band = k.band"
_COUNT_ANEW = """
    WITH k AS MATERIALIZED (SELECT * FROM {keys}),
    left_over AS (
        SELECT t.{name}_uuid AS who, {key}, {figures}
        FROM (SELECT DISTINCT who FROM k) w
        JOIN tags t ON t.{name}_uuid = w.who AND {condition}
        JOIN cells c ON {cell}
        GROUP BY 1, 2, 3, 4
    ),
    changed AS (
        UPDATE rollup_{name} r SET count = k.count, first_seen = k.first_seen,
            last_seen = k.last_seen, confidence_max = k.confidence_max
        FROM (SELECT l.* FROM left_over l JOIN k USING (who, day, cell_id, band)) k WHERE {same}
    )
    DELETE FROM rollup_{name} r USING k
    WHERE {same} AND NOT EXISTS (
        SELECT FROM left_over l
        WHERE (l.who, l.day, l.cell_id, l.band) = (k.who, k.day, k.cell_id, k.band)
    )
"""
_CONDITIONS = {
    "identity": "t.attacker_uuid IS NULL AND t.identity_uuid IS NOT NULL",
    "attacker": "t.attacker_uuid IS NOT NULL",
}


def _anchored(template: str, name: str) -> str:
    return template.format(
        name=name,
        key=TAG_KEY,
        cell=TAG_CELL,
        figures=TAG_FIGURES,
        keys=_KEYS,
        same=_SAME_KEY.format(name=name),
        condition=_CONDITIONS[name],
    )


_HOLD_ROWS = [_anchored(_HOLD, name) for name in _CONDITIONS]
_COUNT_ROWS = {name: _anchored(_COUNT_ANEW, name) for name in _CONDITIONS}

_LEAVE_TO_SETTLE = """
    INSERT INTO fleet_recounts (day, cell_id, band)
    SELECT * FROM unnest($1::date[], $2::integer[], $3::smallint[]) AS u (day, cell_id, band)
    ORDER BY u.day, u.cell_id, u.band
    ON CONFLICT DO NOTHING
"""
# A row's xmin changes with every write, so it tells whether any happened since.
_SIGNATURES = """
    SELECT r.day, r.cell_id, r.band, string_agg(r.slot || ':' || r.xmin::text, ' ' ORDER BY r.slot)
    FROM rollup_fleet_day r JOIN fleet_recounts k USING (day, cell_id, band)
    GROUP BY r.day, r.cell_id, r.band
"""
_LOOK = f"""
    SELECT r.day, r.cell_id, r.band, {SUMS}
    FROM (
        SELECT day, cell_id, band, count, first_seen, last_seen, confidence_max FROM rollup_attacker
        UNION ALL
        SELECT day, cell_id, band, count, first_seen, last_seen, confidence_max FROM rollup_identity
    ) r JOIN fleet_recounts k USING (day, cell_id, band)
    GROUP BY r.day, r.cell_id, r.band
"""  # noqa: S608
_LOCK_FLEET = "LOCK TABLE rollup_fleet_day, rollup_fleet IN SHARE ROW EXCLUSIVE MODE"
_FORGET_DAYS = """
    DELETE FROM rollup_fleet_day r
    USING unnest($1::date[], $2::integer[], $3::smallint[]) AS u (day, cell_id, band)
    WHERE r.day = u.day AND r.cell_id = u.cell_id AND r.band = u.band
"""
_SETTLED = """
    DELETE FROM fleet_recounts r
    USING unnest($1::date[], $2::integer[], $3::smallint[]) AS u (day, cell_id, band)
    WHERE r.day = u.day AND r.cell_id = u.cell_id AND r.band = u.band
"""
_FORGET_ALL_TIME = """
    DELETE FROM rollup_fleet r USING unnest($1::integer[], $2::smallint[]) AS u (cell_id, band)
    WHERE r.cell_id = u.cell_id AND r.band = u.band
"""
_ALL_TIME = f"""
    INSERT INTO rollup_fleet (cell_id, band, slot, count, first_seen, last_seen, confidence_max)
    SELECT r.cell_id, r.band, 0, {SUMS} FROM rollup_fleet_day r
    JOIN unnest($1::integer[], $2::smallint[]) AS u (cell_id, band) USING (cell_id, band)
    GROUP BY r.cell_id, r.band HAVING sum(r.count) <> 0
"""  # noqa: S608

_DayKey = tuple[int, int, int]


async def delete_tags(connection: Any, uuids: Sequence[UUID]) -> int:
    """Delete tags and take them out of the roll-ups, in the caller's transaction.

    Returns:
        How many there were.
    """
    for statement in _HOLD_ROWS:
        await connection.execute(statement, uuids)
    gone = await connection.fetch(_DELETE, uuids)
    if not gone:
        return 0
    for name, statement in _COUNT_ROWS.items():
        keys = [(row[f"{name}_uuid"], *row[2:5]) for row in gone if row[f"{name}_uuid"] is not None]
        if keys:
            await connection.execute(statement, *_columns(keys))
    less = RollupCounts({}, {}, {}, {})
    for _, _, day, cell, band, *figures in gone:
        count = Count(*figures)
        count.count = -count.count
        _take(less.fleet_days, (day, cell, band), count)
        _take(less.fleet, (cell, band), count)
    await rollup_sql.add(connection, less)
    await connection.execute(_LEAVE_TO_SETTLE, *_columns(list(less.fleet_days)))
    return sum(row["count"] for row in gone)


def _take(target: dict[Any, Count], key: Any, count: Count) -> None:
    if key in target:
        target[key].add(count)
    else:
        target[key] = Count(count.count, count.first_seen, count.last_seen, count.confidence_max)


def _columns(rows: Sequence[Sequence[Any]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]


async def settle(database: Database) -> None:
    """Let the fleet's roll-ups tell times and confidences of what deletions left.

    Raises:
        AbortedError, ResourceExhaustedError, UnavailableError: The database said so; what is not
        settled stays noted for the next call.
    """
    for _ in range(_OPTIMISTIC_LOOKS):
        async with database.connection() as connection:
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                before = await _signatures(connection)
                if not before:
                    break
                seen = await connection.fetch(_LOOK)
            async with connection.transaction():
                await connection.execute(_LOCK_FLEET)
                now = await _signatures(connection)
                same = {key for key, signature in before.items() if now.get(key) == signature}
                await _write(connection, same, seen)
    async with database.connection() as connection, connection.transaction():
        await connection.execute(_LOCK_FLEET)
        left = await connection.fetch("SELECT day, cell_id, band FROM fleet_recounts")
        if left:
            await _write(connection, {tuple(row) for row in left}, await connection.fetch(_LOOK))


async def _signatures(connection: Any) -> dict[_DayKey, str]:
    return {
        (day, cell, band): signature
        for day, cell, band, signature in await connection.fetch(_SIGNATURES)
    }


async def _write(connection: Any, keys: set[Any], seen: Sequence[Any]) -> None:
    if not keys:
        return
    columns = _columns(sorted(keys))
    await connection.execute(_FORGET_DAYS, *columns)
    records = [(*row[:3], 0, *row[3:]) for row in seen if tuple(row[:3]) in keys]
    await connection.copy_records_to_table(
        "rollup_fleet_day",
        records=records,
        columns=(
            *("day", "cell_id", "band", "slot"),
            *("count", "first_seen", "last_seen", "confidence_max"),
        ),
    )
    cells = _columns(sorted({(cell, band) for _, cell, band in keys}))
    await connection.execute(_FORGET_ALL_TIME, *cells)
    await connection.execute(_ALL_TIME, *cells)
    await connection.execute(_SETTLED, *columns)
