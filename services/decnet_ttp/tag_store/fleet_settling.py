# SPDX-License-Identifier: AGPL-3.0-or-later
"""Settling the fleet's first and last times and confidences, once somebody's went away.

Counts of the fleet are right with every transaction. Whether its first and last times and highest
confidences still stand takes a look at all attackers, without holding anybody up while it looks.
What is left to be settled stands in a table, so that a process that dies in between loses nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any

from decnet_ttp.core.errors import AbortedError, ResourceExhaustedError, UnavailableError
from decnet_ttp.runtime.pacing import pause, unless_stopped
from decnet_ttp.tag_store.database import Database
from decnet_ttp.tag_store.deletion import settle_anchors
from decnet_ttp.tag_store.live_counts import forget_abandoned
from decnet_ttp.tag_store.recount import SUMS

#: How often the fleet is settled where something was left, in seconds.
PERIOD_S = 10.0

#: Where settled figures stand: a slot that no writer adds to.
_BASE = -1
#: One process settles at a time ("dttp" and "setl" in ASCII); another one leaves it to that.
_LOCK_KEY = 0x64747470_7365746C

# S608: the statements are put together from constants of ours; every value is bound.
_ALONE = "SELECT pg_try_advisory_lock($1)"
_NOT_ALONE = "SELECT pg_advisory_unlock($1)"
_LOCK_FLEET = "LOCK TABLE rollup_fleet_day, rollup_fleet IN SHARE ROW EXCLUSIVE MODE"
# A row's xmin changes with every write, so it tells whether a note was made again since.
_NOTES = "SELECT day, cell_id, band, xmin::text FROM fleet_recounts"
_DAY_KEYS = "unnest($1::date[], $2::integer[], $3::smallint[]) AS u (day, cell_id, band)"
_CELL_KEYS = "unnest($1::integer[], $2::smallint[]) AS u (cell_id, band)"
_FOLD = """
    WITH gone AS (
        DELETE FROM {table} r USING {keys} WHERE {same} RETURNING r.*
    )
    INSERT INTO {table} ({key}, slot, count, first_seen, last_seen, confidence_max)
    SELECT {key}, {base}, {sums} FROM gone r GROUP BY {key}
"""
_SAME_CELL = "r.cell_id = u.cell_id AND r.band = u.band"
_SAME_DAY = f"r.day = u.day AND {_SAME_CELL}"


def _fold(table: str, keys: str, key: str, same: str) -> str:
    return _FOLD.format(table=table, keys=keys, key=key, same=same, base=_BASE, sums=SUMS)


_FOLD_DAYS = _fold("rollup_fleet_day", _DAY_KEYS, "day, cell_id, band", _SAME_DAY)
_FOLD_ALL_TIME = _fold("rollup_fleet", _CELL_KEYS, "cell_id, band", _SAME_CELL)
_LOOK = f"""
    SELECT r.day, r.cell_id, r.band, {SUMS}
    FROM (
        SELECT day, cell_id, band, count, first_seen, last_seen, confidence_max FROM rollup_attacker
        UNION ALL
        SELECT day, cell_id, band, count, first_seen, last_seen, confidence_max FROM rollup_identity
    ) r JOIN {_CELL_KEYS} USING (cell_id, band)
    GROUP BY GROUPING SETS ((r.day, r.cell_id, r.band), (r.cell_id, r.band))
"""  # noqa: S608 - texts of ours; values are parameters
_SETTLE = """
    UPDATE {table} r SET first_seen = u.first_seen, last_seen = u.last_seen,
        confidence_max = u.confidence_max
    FROM unnest({arrays}, $4::timestamptz[], $5::timestamptz[], $6::double precision[])
        AS u ({key}, first_seen, last_seen, confidence_max)
    WHERE {same} AND r.slot = {base}
"""
_SETTLE_DAYS = _SETTLE.format(
    table="rollup_fleet_day",
    arrays="$1::date[], $2::integer[], $3::smallint[]",
    key="day, cell_id, band",
    same=_SAME_DAY,
    base=_BASE,
)
_SETTLE_ALL_TIME = (
    _SETTLE.format(
        table="rollup_fleet",
        arrays="$1::integer[], $2::smallint[]",
        key="cell_id, band",
        same=_SAME_CELL,
        base=_BASE,
    )
    .replace("$4", "$3")
    .replace("$5", "$4")
    .replace("$6", "$5")
)
_DROP_EMPTY = f"DELETE FROM {{table}} WHERE slot = {_BASE} AND count = 0"  # noqa: S608 - texts of ours; values are parameters
_SETTLED = """
    DELETE FROM fleet_recounts r
    USING unnest($1::date[], $2::integer[], $3::smallint[], $4::text[])
        AS u (day, cell_id, band, made)
    WHERE r.day = u.day AND r.cell_id = u.cell_id AND r.band = u.band AND r.xmin::text = u.made
"""
_ANYTHING_LEFT = """
    SELECT EXISTS (SELECT FROM fleet_recounts) OR EXISTS (SELECT FROM anchor_recounts)
"""

_log = logging.getLogger(__name__)


def _columns(rows: Sequence[Sequence[Any]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]


async def settle(database: Database) -> None:
    """Let the fleet's roll-ups tell times and confidences of what deletions left.

    The rows in question are put together in a slot of their own under a lock, which takes as long
    as that; the look at everybody, in the snapshot of that moment, holds nobody up. What writers
    add meanwhile goes to other slots.

    Raises:
        AbortedError, ResourceExhaustedError, UnavailableError: The database said so; what is not
        settled stays noted for the next call.
    """
    await settle_anchors(database)
    async with database.connection() as connection:
        if not await connection.fetchval(_ALONE, _LOCK_KEY):
            return
        try:
            async with database.connection() as looking:
                await _settle(connection, looking)
        finally:
            await connection.execute(_NOT_ALONE, _LOCK_KEY)


async def _settle(connection: Any, looking: Any) -> None:
    async with AsyncExitStack() as look:
        async with connection.transaction(isolation="repeatable_read"):
            # Before anything is read, so that the snapshot holds whoever wrote before the lock.
            await connection.execute(_LOCK_FLEET)
            notes = [tuple(row) for row in await connection.fetch(_NOTES)]
            if not notes:
                return
            days = _columns([note[:3] for note in notes])
            cells = _columns(sorted({note[1:3] for note in notes}))
            snapshot = await connection.fetchval("SELECT pg_export_snapshot()")
            await look.enter_async_context(
                looking.transaction(isolation="repeatable_read", readonly=True)
            )
            await looking.execute(f"SET TRANSACTION SNAPSHOT '{snapshot}'")
            await connection.execute(_FOLD_DAYS, *days)
            await connection.execute(_FOLD_ALL_TIME, *cells)
        seen = await looking.fetch(_LOOK, *cells)
    wanted = {note[:3] for note in notes}
    of_days = [(*row[:3], *row[4:]) for row in seen if tuple(row[:3]) in wanted]
    of_cells = [(*row[1:3], *row[4:]) for row in seen if row["day"] is None]
    async with connection.transaction():
        if of_days:
            await connection.execute(_SETTLE_DAYS, *_columns(of_days))
        if of_cells:
            await connection.execute(_SETTLE_ALL_TIME, *_columns(of_cells))
        for table in ("rollup_fleet_day", "rollup_fleet"):
            await connection.execute(_DROP_EMPTY.format(table=table))
        await connection.execute(_SETTLED, *_columns(notes))


class FleetSettling:
    """Settles now and then, so that many small changes cost one look.

    Args:
        database: Where.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def run(self, stop: asyncio.Event) -> None:
        """Settle what was left until `stop`; what is left then stays noted."""
        await unless_stopped(stop, self._database.wait_opened())
        while not stop.is_set():
            try:
                await forget_abandoned(self._database)
                if (await self._database.fetch(_ANYTHING_LEFT))[0][0]:
                    await settle(self._database)
            except (AbortedError, ResourceExhaustedError, UnavailableError) as error:
                _log.warning("settling waits", extra={"error": type(error).__name__})
            await pause(stop, PERIOD_S)
