# SPDX-License-Identifier: AGPL-3.0-or-later
"""Filling a tag-store's database by SQL, as fast as the server takes it.

Tags of sessions of five, spread over attackers and 30 days, and the roll-ups that writers would
have left, over all their slots. Whatever is filled has no index meanwhile; rows of roll-ups lie in
the order in which writers would have made them. One identity has 1 000 attackers; one campaign has
that identity and nine of ten.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from uuid import UUID

from decnet_ttp.tag_store.campaigns import Campaigns
from decnet_ttp.tag_store.database import Database
from decnet_ttp.tag_store.fleet_slots import add_up_slots
from decnet_ttp.tag_store.recount import TAG_CELL, tag_figures, tag_key
from decnet_ttp.tag_store.rollup_sql import SLOTS
from decnet_ttp.tag_store.scope_folder import fold_all

BUSY = UUID(int=1 << 64)
CAMPAIGN = UUID(int=1 << 65)
MEMBERS = 1_000
#: Statements at work at once, and tags that are written by one.
WORKERS = 2
_STEP = 250_000
_RANDOM_FILL = 69

#: Settings of a server that is filled once and vacuumed then: what a crash leaves is thrown away.
SERVER_SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "4GB",
    "maintenance_work_mem": "1GB",
    "autovacuum": "off",
}

_ATTACKERS = """
    INSERT INTO attackers (uuid, first_seen, last_seen)
    SELECT lpad(to_hex(n), 32, '0')::uuid, now() - interval '30 days', now()
    FROM generate_series(1, $1::bigint) n
"""
_IDENTITIES = """
    INSERT INTO identities (uuid)
    SELECT ('00000000000000010000' || lpad(to_hex(n), 12, '0'))::uuid
    FROM generate_series(0, 9) n
"""
_LINK = """
    UPDATE attackers a SET identity_uuid = ('00000000000000010000' || lpad(to_hex(
        CASE WHEN n.n <= $1 THEN 0 ELSE 1 + (n.n - $1 - 1) / 10 END), 12, '0'))::uuid
    FROM (SELECT n, lpad(to_hex(n), 32, '0')::uuid AS uuid FROM generate_series(1, $1 + 90) n) n
    WHERE a.uuid = n.uuid
"""
_CELLS = """
    INSERT INTO cells (tactic, technique_id, sub_technique_id)
    SELECT 'TA' || lpad((1 + n % 14)::text, 4, '0'), 'T' || (1000 + n), NULL
    FROM generate_series(0, 99) n ON CONFLICT DO NOTHING
"""
# Each tag follows from its number. An attacker shows twelve of the cells, each in every band.
_TAGS = """
    INSERT INTO tags
    SELECT md5('tag' || n)::uuid, n, lpad(to_hex(1 + a), 32, '0')::uuid, NULL,
        now() - make_interval(secs => (s * 104729) % 2592000), now(),
        (ARRAY[0.5, 0.7, 0.9])[1 + n % 3], 1, 'session-' || s, 'decky-' || s % 20,
        'command', 'sensor-1/' || n, 'TA' || lpad((1 + c % 14)::text, 4, '0'), 'T' || (1000 + c),
        NULL, 'R' || lpad((c % 60)::text, 4, '0'), 'enterprise-v17.1',
        decode('0a0762617368202d69', 'hex')
    FROM (
        SELECT n, s, a, (n * 31 + a * 17) % 12 + a % 88 AS c
        FROM (
            SELECT n, n / 5 AS s, (n / 5 * 7919) % $3 AS a
            FROM generate_series($1::bigint, $2::bigint) n
        ) n
    ) n
"""

# S608: the statements are put together from constants of ours; every value is bound.
_ROLLUP_ATTACKER = f"""
    INSERT INTO rollup_attacker
    SELECT t.attacker_uuid, {tag_key("t.confidence")}, {tag_figures("t.confidence")}
    FROM tags t JOIN cells c ON {TAG_CELL}
    GROUP BY 1, 2, 3, 4 ORDER BY min(t.seq)
"""  # noqa: S608 - see above
_ROLLUP_FLEET_DAY = f"""
    INSERT INTO rollup_fleet_day (
        day, cell_id, band, slot, count, first_seen, last_seen, confidence_max
    )
    SELECT x.* FROM (
        SELECT {tag_key("t.confidence")}, (t.seq / 100 % {SLOTS})::smallint AS slot,
            {tag_figures("t.confidence")}
        FROM tags t JOIN cells c ON {TAG_CELL} GROUP BY 1, 2, 3, 4 ORDER BY min(t.seq)
    ) x
"""  # noqa: S608 - see above
_ROLLUP_FLEET = """
    INSERT INTO rollup_fleet (
        cell_id, band, slot, count, first_seen, last_seen, confidence_max
    )
    SELECT r.cell_id, r.band, r.slot, sum(r.count), min(r.first_seen), max(r.last_seen),
        max(r.confidence_max)
    FROM rollup_fleet_day r GROUP BY 1, 2, 3
"""
# Marks such as triggers leave, of as many members as a batch would name.
_MARKS = """
    INSERT INTO scope_changes (kind, members)
    SELECT 1, array_agg(a.uuid) FROM (
        SELECT uuid, row_number() OVER () / 20 AS part
        FROM attackers WHERE identity_uuid IS NOT NULL
    ) a GROUP BY a.part
"""
_INDEXES = """
    SELECT i.indexname, i.indexdef, x.indisprimary
    FROM pg_indexes i
    JOIN pg_index x ON x.indexrelid = format('%I.%I', i.schemaname, i.indexname)::regclass
    WHERE i.schemaname = 'tags' AND i.tablename = $1
    ORDER BY pg_relation_size(x.indexrelid) DESC, i.indexname
"""


async def _run(database: Database, sql: str, *arguments: object) -> None:
    async with database.connection() as connection:
        await connection.execute("SET work_mem = '1GB'")
        await connection.execute("SET synchronous_commit = off")
        await connection.execute(sql, *arguments, timeout=3600)


async def _run_all(
    database: Database, statements: Iterable[tuple[str, *tuple[object, ...]]]
) -> None:
    """Run statements in their order, as many at once as there are workers."""
    left = iter(list(statements))

    async def work() -> None:
        for sql, *arguments in left:
            await _run(database, sql, *arguments)

    async with asyncio.TaskGroup() as group:
        for _ in range(WORKERS):
            group.create_task(work())


def _as_writers_leave_it(definition: str) -> str:
    """Return the definition of an index as full as rows in no order would have left it.

    Pages of a B-tree that split in the middle are ln 2 full in the long run (Yao, "On random 2-3
    trees", 1978). Those of numbers that only grow are filled at their end.
    """
    if "(seq)" in definition or "(technique_id, seq)" in definition:
        return definition
    head, where, condition = definition.partition(" WHERE ")
    return f"{head} WITH (fillfactor = {_RANDOM_FILL}){where}{condition}"


@asynccontextmanager
async def _without_indexes(database: Database, *tables: str) -> AsyncIterator[list[tuple[str]]]:
    """Drop indexes and silence triggers; what to run to have the indexes again is lent."""
    again: list[tuple[str]] = []
    keys = []
    for table in tables:
        await _run(database, f"ALTER TABLE {table} DISABLE TRIGGER USER")
        for name, definition, primary in await database.fetch(_INDEXES, table):
            again.append((_as_writers_leave_it(definition),))
            if primary:
                keys.append(
                    f"ALTER TABLE {table} ADD CONSTRAINT {name} PRIMARY KEY USING INDEX {name}"
                )
                await _run(database, f"ALTER TABLE {table} DROP CONSTRAINT {name}")
            else:
                await _run(database, f"DROP INDEX {name}")
    yield again
    for table in tables:
        await _run(database, f"ALTER TABLE {table} ENABLE TRIGGER USER")
    for statement in keys:
        await _run(database, statement)


async def fill(database: Database, size: int, attackers: int) -> None:
    """Write attackers, tags and what is counted of them into an empty database.

    Args:
        database: Open, with a connection for each of the workers.
        size: Tags.
        attackers: Attackers they are spread over.
    """
    await _run(database, _ATTACKERS, attackers)
    await _run(database, _IDENTITIES)
    await _run(database, _LINK, min(MEMBERS, attackers - 90))
    await _run(database, _CELLS)
    identities = [row[0] for row in await database.fetch("SELECT uuid FROM identities")]
    await Campaigns(database).assign(CAMPAIGN, "bench", identities)
    async with _without_indexes(database, "tags") as of_tags:
        await _run_all(
            database,
            ((_TAGS, low + 1, min(low + _STEP, size), attackers) for low in range(0, size, _STEP)),
        )
        await _run(database, "ANALYZE tags")
        async with _without_indexes(database, "rollup_attacker") as of_rollup:
            await _run_all(database, [(_ROLLUP_ATTACKER,), (_ROLLUP_FLEET_DAY,), *of_tags])
            await _run_all(database, [(_ROLLUP_FLEET,), *of_rollup])
    await _run(database, "VACUUM (ANALYZE)")
    await _run(database, _MARKS)
    await fold_all(database)
    await add_up_slots(database)
    await _run(database, "VACUUM (ANALYZE)")
    await _run(database, "CHECKPOINT")
