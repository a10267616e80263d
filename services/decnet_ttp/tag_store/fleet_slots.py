# SPDX-License-Identifier: AGPL-3.0-or-later
"""Adding up the slots of days gone by in the roll-ups of the fleet.

Every row of a day exists once per slot, for the writers of that day. Hardly anybody writes to a
day that is over, and a question about many days need not read all its slots.
"""

from __future__ import annotations

from decnet_ttp.tag_store.database import Database

#: Rows added up in one transaction.
_ROUND_ROWS = 5_000

# Rows that a writer holds are left for the next time, so that neither waits in a ring: writers of
# the first slot take their rows in the same order.
_ADD_UP = """
    WITH old AS MATERIALIZED (
        SELECT o.day, o.cell_id, o.band, o.slot FROM rollup_fleet_day o
        WHERE o.slot > 0 AND o.day < (now() AT TIME ZONE 'UTC')::date - 1
        ORDER BY o.day, o.cell_id, o.band, o.slot LIMIT $1::bigint FOR UPDATE SKIP LOCKED
    ),
    gone AS (
        DELETE FROM rollup_fleet_day r USING old o
        WHERE r.day = o.day AND r.cell_id = o.cell_id AND r.band = o.band AND r.slot = o.slot
        RETURNING r.*
    ),
    sums AS (
        SELECT g.day, g.cell_id, g.band, sum(g.count)::bigint AS count,
            min(g.first_seen) AS first_seen, max(g.last_seen) AS last_seen,
            max(g.confidence_max) AS confidence_max
        FROM gone g GROUP BY g.day, g.cell_id, g.band
    ),
    kept AS (
        INSERT INTO rollup_fleet_day AS r (
            day, cell_id, band, slot, count, first_seen, last_seen, confidence_max
        )
        SELECT s.day, s.cell_id, s.band, 0, s.count, s.first_seen, s.last_seen, s.confidence_max
        FROM sums s ORDER BY s.day, s.cell_id, s.band
        ON CONFLICT (day, cell_id, band, slot) DO UPDATE SET count = r.count + excluded.count,
            first_seen = least(r.first_seen, excluded.first_seen),
            last_seen = greatest(r.last_seen, excluded.last_seen),
            confidence_max = greatest(r.confidence_max, excluded.confidence_max)
    )
    SELECT count(*) FROM gone
"""


async def add_up_slots(database: Database) -> None:
    """Let each row of days before yesterday stand once.

    Raises:
        AbortedError, ResourceExhaustedError, UnavailableError: The database said so; what is left
        stays for the next call.
    """
    while (await database.fetch(_ADD_UP, _ROUND_ROWS))[0][0] == _ROUND_ROWS:
        pass
