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
from typing import Any

from decnet_ttp.core.errors import AbortedError, ResourceExhaustedError, UnavailableError
from decnet_ttp.runtime.pacing import pause
from decnet_ttp.tag_store.database import Database
from decnet_ttp.tag_store.deletion import settle_anchors
from decnet_ttp.tag_store.recount import SUMS

#: How often the fleet is settled where something was left, in seconds.
PERIOD_S = 10.0

#: Looks without a lock that are tried before one that holds writers up.
_OPTIMISTIC_LOOKS = 3

# S608: the statements are put together from constants of ours; every value is bound.
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

_ANYTHING_LEFT = """
    SELECT EXISTS (SELECT FROM fleet_recounts) OR EXISTS (SELECT FROM anchor_recounts)
"""

_log = logging.getLogger(__name__)

_DayKey = tuple[int, int, int]


def _columns(rows: Sequence[Sequence[Any]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]


async def settle(database: Database) -> None:
    """Let roll-ups tell times and confidences of what is left, once something was taken out.

    Raises:
        AbortedError, ResourceExhaustedError, UnavailableError: The database said so; what is not
        settled stays noted for the next call.
    """
    await settle_anchors(database)
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


class FleetSettling:
    """Settles now and then, so that many small changes cost one look.

    Args:
        database: Where.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def run(self, stop: asyncio.Event) -> None:
        """Settle what was left until `stop`; what is left then stays noted."""
        while not stop.is_set():
            try:
                if (await self._database.fetch(_ANYTHING_LEFT))[0][0]:
                    await settle(self._database)
            except (AbortedError, ResourceExhaustedError, UnavailableError) as error:
                _log.warning("settling waits", extra={"error": type(error).__name__})
            await pause(stop, PERIOD_S)
