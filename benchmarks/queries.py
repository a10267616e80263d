# SPDX-License-Identifier: AGPL-3.0-or-later
"""How long questions to the tag-store take as it grows.

    ./dev bench queries [--sizes N...] [--attackers N] [--rounds N] [--processor] [--buffers SIZE]

Fills a database to each size, by SQL: tags of sessions of five, spread over attackers and 30 days,
and the roll-ups that writers would have left, over all their slots; a recount of the first size
proves them. Then every question is asked on the store's own code, without gRPC, of one size after
the other. One identity has 1 000 attackers; one campaign has that identity and nine of ten.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg

from decnet_ttp.embedded.postgres import PostgresServer
from decnet_ttp.runtime.database import asyncpg_dsn
from decnet_ttp.tag_store.campaigns import Campaigns
from decnet_ttp.tag_store.database import Database
from decnet_ttp.tag_store.directory import Directory
from decnet_ttp.tag_store.fleet_slots import add_up_slots
from decnet_ttp.tag_store.phases import read_phases
from decnet_ttp.tag_store.recount import TAG_CELL, recount, tag_figures, tag_key
from decnet_ttp.tag_store.rollup_reader import RollupFilter, read_cells
from decnet_ttp.tag_store.rollup_sql import SLOTS
from decnet_ttp.tag_store.scope_folder import fold_all
from decnet_ttp.tag_store.scopes import Scope, ScopeKind
from decnet_ttp.tag_store.tag_reader import TagFilter, read_page
from decnet_ttp.tag_store.ticks import TICKS_PER_DAY, from_epoch_seconds

BUSY = UUID(int=1 << 64)
CAMPAIGN = UUID(int=1 << 65)
MEMBERS = 1_000
#: Tags that are written by one statement.
STEP = 250_000

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


def _rollup(table: str, who: str, keys: str, names: str) -> str:
    """Return the statement that adds the tags from one number to another to a table."""
    return f"""
        INSERT INTO {table} AS r ({names}, count, first_seen, last_seen, confidence_max)
        SELECT {keys}, sum(x.count), min(x.first_seen), max(x.last_seen), max(x.confidence_max)
        FROM (
            SELECT {who}, {tag_key("t.confidence")}, {tag_figures("t.confidence")}
            FROM tags t JOIN cells c ON {TAG_CELL} WHERE t.seq BETWEEN $1 AND $2 GROUP BY 1, 2, 3, 4
        ) x GROUP BY {keys}
        ON CONFLICT ({names}) DO UPDATE SET count = r.count + excluded.count,
            first_seen = least(r.first_seen, excluded.first_seen),
            last_seen = greatest(r.last_seen, excluded.last_seen),
            confidence_max = greatest(r.confidence_max, excluded.confidence_max)
    """  # noqa: S608 - constants of ours


_SLOT = f"(t.seq / 100 % {SLOTS})::smallint AS slot"
_ROLLUPS = (
    _rollup(
        "rollup_attacker",
        "t.attacker_uuid",
        "x.attacker_uuid, x.day, x.cell_id, x.band",
        "attacker_uuid, day, cell_id, band",
    ),
    _rollup(
        "rollup_fleet_day",
        _SLOT,
        "x.day, x.cell_id, x.band, x.slot",
        "day, cell_id, band, slot",
    ),
    _rollup("rollup_fleet", _SLOT, "x.cell_id, x.band, x.slot", "cell_id, band, slot"),
)


async def fill(database: Database, size: int, attackers: int) -> None:
    """Write tags and what is counted of them."""
    for low in range(0, size, STEP):
        bounds = (low + 1, min(low + STEP, size))
        async with database.connection() as connection, connection.transaction():
            await connection.execute(_TAGS, *bounds, attackers)
            for statement in _ROLLUPS:
                await connection.execute(statement, *bounds)
        await fold_all(database)
    await add_up_slots(database)
    async with database.connection() as connection:
        await connection.execute("VACUUM (ANALYZE)")
        await connection.execute("CHECKPOINT")


async def ask_all(
    asked: list[Callable[[int], Awaitable[Any]]], clocks: list[Callable[[], float]], rounds: int
) -> list[tuple[float, float]]:
    """Return median and 99th percentile of one question at each size, in milliseconds.

    Rounds alternate between the sizes, so that a slow moment of the machine meets them all.
    """
    took: list[list[float]] = [[] for _ in asked]
    for at in range(-8, rounds):
        for ask, now_ms, times in zip(asked, clocks, took, strict=True):
            began = now_ms()
            await ask(abs(at))
            if at >= 0:
                times.append(now_ms() - began)
    return [(statistics.median(each), statistics.quantiles(each, n=100)[98]) for each in took]


def questions(database: Database, attackers: int) -> dict[str, Callable[[int], Awaitable[Any]]]:
    """Return the questions by name; their argument tells one round from another."""
    directory = Directory(database)
    busy = Scope(ScopeKind.IDENTITY, BUSY)
    campaign = Scope(ScopeKind.CAMPAIGN, CAMPAIGN)
    fleet = Scope(ScopeKind.FLEET)
    today = from_epoch_seconds(time.time()) // TICKS_PER_DAY
    everything, week = RollupFilter(), RollupFilter(from_day=today - 9, before_day=today - 2)

    def one(at: int) -> Scope:
        return Scope(ScopeKind.ATTACKER, UUID(int=1 + at * 7919 % attackers))

    def cells(scope: Callable[[int], Scope], asked: RollupFilter = everything) -> Any:
        return lambda at: read_cells(database, scope(at), asked)

    def page(scope: Callable[[int], Scope], **asked: Any) -> Any:
        return lambda at: read_page(database, scope(at), TagFilter(**asked), limit=100, below=None)

    return {
        "techniques of an attacker": cells(one),
        "techniques of a session": cells(lambda at: Scope(ScopeKind.SESSION, f"session-{at}")),
        "techniques of an identity with 1 000 attackers": cells(lambda _: busy),
        "techniques of a campaign": cells(lambda _: campaign),
        "techniques of the fleet": cells(lambda _: fleet),
        "techniques of the fleet, high confidence": cells(lambda _: fleet, RollupFilter(3)),
        "techniques of the identity, one week": cells(lambda _: busy, week),
        "techniques of the campaign, one week": cells(lambda _: campaign, week),
        "techniques of the fleet, one week": cells(lambda _: fleet, week),
        "tags of an attacker, a page": page(one),
        "tags of the identity, a page": page(lambda _: busy),
        "tags of the identity, one technique": page(lambda _: busy, technique_id="T1010"),
        "tags of the identity, one rule": page(lambda _: busy, rule_id="R0010"),
        "tags of the campaign, a page": page(lambda _: campaign),
        "tags of the campaign, one technique": page(lambda _: campaign, technique_id="T1010"),
        "tags of the fleet, a page": page(lambda _: fleet),
        "tags of the fleet, one technique": page(lambda _: fleet, technique_id="T1010"),
        "tags of the fleet, one rule": page(lambda _: fleet, rule_id="R0010"),
        "phases of an attacker": lambda at: read_phases(database, one(at), limit=100, past=""),
        "attackers, a page": lambda _: directory.attackers(100, None),
    }


async def prepare(database: Database, attackers: int) -> None:
    """Make those whom the tags are about."""
    await database.open()
    async with database.connection() as connection:
        await connection.execute(_ATTACKERS, attackers)
        await connection.execute(_IDENTITIES)
        await connection.execute(_LINK, min(MEMBERS, attackers - 90))
        await connection.execute(_CELLS)
        identities = [row[0] for row in await connection.fetch("SELECT uuid FROM identities")]
    await Campaigns(database).assign(CAMPAIGN, "bench", identities)


async def prove(database: Database) -> None:
    """End when the roll-ups are not those of the tags."""
    wrong = [each for each in await recount(database, repair=False) if each.differing]
    if wrong:
        raise SystemExit(f"the roll-ups are not those of the tags: {wrong}")


async def tell_size(database: Database, size: int, filled_s: float) -> None:
    """Print what a tag takes on disk."""
    tags, whole = (
        await database.fetch(
            "SELECT pg_total_relation_size('tags'), sum(pg_total_relation_size(c.oid))::bigint "
            "FROM pg_class c WHERE c.relkind = 'r' AND c.relnamespace = 'tags'::regnamespace"
        )
    )[0]
    print(
        f"{size} tags: {tags / size:.0f} bytes each with indexes, {whole / size:.0f} with "
        f"roll-ups and directory; filled in {filled_s:.0f} s",
        flush=True,
    )


async def clock_of(database: Database, *, processor: bool) -> Callable[[], float]:
    """Return a clock in milliseconds: of the wall, or of what both ends had of a processor."""
    if not processor:
        return lambda: time.perf_counter() * 1e3
    backend = (await database.fetch("SELECT pg_backend_pid()"))[0][0]
    ran = Path(f"/proc/{backend}/schedstat")
    return lambda: time.process_time() * 1e3 + int(ran.read_text().split()[0]) / 1e6


async def report(databases: dict[int, Database], options: argparse.Namespace) -> None:
    """Print a line for each question: median and p99 at each size, and how both grew."""
    kind = "processor time" if options.processor else "time"
    print(f"\n{options.rounds} rounds, load {os.getloadavg()[0]:.1f}; {kind}, p50 / p99 in ms")
    clocks = [await clock_of(each, processor=options.processor) for each in databases.values()]
    heads = "".join(f"{f'{size:,}'.replace(',', ' '):>18}" for size in databases)
    print(f"{'':<48}{heads}{'growth of p50':>15}{'of p99':>8}")
    asked = [questions(each, options.attackers) for each in databases.values()]
    for name in asked[0]:
        figures = await ask_all([each[name] for each in asked], clocks, options.rounds)
        row = "".join(f"{median:>9.2f} /{p99:>7.2f}" for median, p99 in figures)
        growth = [figures[-1][at] / figures[0][at] for at in (0, 1)]
        print(f"{name:<48}{row}{growth[0]:>15.1f}{growth[1]:>8.1f}", flush=True)
    print(f"load {os.getloadavg()[0]:.1f} in the end")


async def main(options: argparse.Namespace) -> None:
    """Fill a database to each size, then ask them all."""
    with tempfile.TemporaryDirectory(prefix="bench-", dir=options.folder) as folder:
        settings = {"fsync": "off", "shared_buffers": options.buffers, "max_wal_size": "4GB"}
        postgres = PostgresServer(Path(folder) / "postgres", settings=settings)
        await postgres.start()
        server: Any = await asyncpg.connect(asyncpg_dsn(postgres.url))
        databases: dict[int, Database] = {}
        try:
            for size in options.sizes:
                began = time.perf_counter()
                await server.execute(f"CREATE DATABASE size_{size}")
                database = databases[size] = Database(
                    postgres.url_of(f"size_{size}"), max_connections=1
                )
                await prepare(database, options.attackers)
                await fill(database, size, options.attackers)
                if size == options.sizes[0]:
                    await prove(database)
                await tell_size(database, size, time.perf_counter() - began)
            for repeat in range(options.repeats):
                if repeat:
                    await asyncio.sleep(options.pause_s)
                await report(databases, options)
        finally:
            for database in databases.values():
                await database.close()
            await server.close()
            await postgres.stop()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="queries", description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 1_000_000])
    parser.add_argument("--attackers", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--repeats", type=int, default=1, help="tables to print")
    parser.add_argument("--pause-s", type=float, default=60.0, help="seconds between two tables")
    parser.add_argument(
        "--processor", action="store_true", help="count processor time, for a busy machine (Linux)"
    )
    parser.add_argument("--buffers", default="1GB", help="shared_buffers of PostgreSQL")
    parser.add_argument("--folder", help="where the databases' files go; a temporary folder")
    asyncio.run(main(parser.parse_args()))
