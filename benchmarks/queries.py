# SPDX-License-Identifier: AGPL-3.0-or-later
"""How long questions to the tag-store take as it grows.

    ./dev bench queries [--sizes N...] [--attackers N] [--rounds N]

Fills one PostgreSQL to each size in turn, by SQL, with tags spread over attackers and 30 days, lets
a recount write the roll-ups, and asks every question on the store's own code, without gRPC. One
identity has 1 000 attackers; one campaign has that identity and nine of ten.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import UUID

from decnet_ttp.embedded.postgres import PostgresServer
from decnet_ttp.tag_store.campaigns import Campaigns
from decnet_ttp.tag_store.database import Database
from decnet_ttp.tag_store.directory import Directory
from decnet_ttp.tag_store.phases import read_phases
from decnet_ttp.tag_store.recount import recount
from decnet_ttp.tag_store.rollup_reader import RollupFilter, read_cells
from decnet_ttp.tag_store.scopes import Scope, ScopeKind
from decnet_ttp.tag_store.tag_reader import TagFilter, read_page

BUSY = UUID(int=1 << 64)
CAMPAIGN = UUID(int=1 << 65)
MEMBERS = 1_000

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
# Each tag follows from its number, so that a larger size goes on where the smaller one ended.
_TAGS = """
    INSERT INTO tags
    SELECT md5('tag' || n)::uuid, n, lpad(to_hex(1 + (n * 7919) % $3), 32, '0')::uuid, NULL,
        now() - make_interval(secs => (n * 104729) % 2592000), now(),
        (ARRAY[0.5, 0.7, 0.9])[1 + n % 3], 1, 'session-' || n / 4, 'decky-' || n % 20,
        'command', 'sensor-1/' || n, 'TA' || lpad((1 + c % 14)::text, 4, '0'), 'T' || (1000 + c),
        NULL, 'R' || lpad((c % 60)::text, 4, '0'), 'enterprise-v17.1',
        decode('0a0762617368202d69', 'hex')
    FROM (
        SELECT n, (n * 31 + (n * 7919) % $3 * 17) % 100 % 12 + (n * 7919) % $3 % 88 AS c
        FROM generate_series($1::bigint, $2::bigint) n
    ) n
"""


async def fill(database: Database, start: int, stop: int, attackers: int) -> None:
    """Add the tags from one number to another, and what is counted of them."""
    async with database.connection() as connection:
        for low in range(start, stop, 250_000):
            await connection.execute(_TAGS, low + 1, min(low + 250_000, stop), attackers)
    await recount(database, repair=True)
    async with database.connection() as connection:
        await connection.execute("VACUUM (ANALYZE)")


async def percentiles(ask: Callable[[int], Awaitable[Any]], rounds: int) -> tuple[float, float]:
    """Return median and 99th percentile of a question, in milliseconds."""
    for at in range(8):
        await ask(at)
    took = []
    for at in range(rounds):
        began = time.perf_counter()
        await ask(at)
        took.append((time.perf_counter() - began) * 1e3)
    return statistics.median(took), statistics.quantiles(took, n=100)[98]


def questions(database: Database, attackers: int) -> dict[str, Callable[[int], Awaitable[Any]]]:
    """Return the questions by name; their argument tells one round from another."""
    directory = Directory(database)
    busy = Scope(ScopeKind.IDENTITY, BUSY)
    campaign = Scope(ScopeKind.CAMPAIGN, CAMPAIGN)
    fleet = Scope(ScopeKind.FLEET)

    def one(at: int) -> Scope:
        return Scope(ScopeKind.ATTACKER, UUID(int=1 + at * 7919 % attackers))

    def cells(scope: Callable[[int], Scope], asked: RollupFilter) -> Any:
        return lambda at: read_cells(database, scope(at), asked)

    def page(scope: Callable[[int], Scope], **asked: Any) -> Any:
        return lambda at: read_page(database, scope(at), TagFilter(**asked), limit=100, below=None)

    return {
        "techniques of an attacker": cells(one, RollupFilter()),
        "techniques of an identity with 1 000 attackers": cells(lambda _: busy, RollupFilter()),
        "techniques of a campaign": cells(lambda _: campaign, RollupFilter()),
        "techniques of the fleet": cells(lambda _: fleet, RollupFilter()),
        "techniques of the fleet, high confidence": cells(lambda _: fleet, RollupFilter(3)),
        "tags of an attacker, a page": page(one),
        "tags of the identity, a page": page(lambda _: busy),
        "tags of the fleet, a page": page(lambda _: fleet),
        "tags of the fleet, one technique": page(lambda _: fleet, technique_id="T1010"),
        "tags of the fleet, one rule": page(lambda _: fleet, rule_id="R0010"),
        "phases of an attacker": lambda at: read_phases(database, one(at), limit=100, past=""),
        "attackers, a page": lambda _: directory.attackers(100, None),
    }


async def main(options: argparse.Namespace) -> None:
    """Fill and ask, size after size."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        postgres = PostgresServer(Path(folder) / "postgres", settings={"fsync": "off"})
        await postgres.start()
        database = Database(postgres.url)
        try:
            await database.open()
            async with database.connection() as connection:
                await connection.execute(_ATTACKERS, options.attackers)
                await connection.execute(_IDENTITIES)
                await connection.execute(_LINK, min(MEMBERS, options.attackers - 90))
                await connection.execute(_CELLS)
                identities = [
                    row[0] for row in await connection.fetch("SELECT uuid FROM identities")
                ]
            await Campaigns(database).assign(CAMPAIGN, "bench", identities)
            before = 0
            for size in options.sizes:
                began = time.perf_counter()
                await fill(database, before, size, options.attackers)
                before = size
                (used,) = (
                    await database.fetch("SELECT pg_total_relation_size('tags') FROM tags LIMIT 1")
                )[0]
                print(
                    f"\n{size} tags, {used / size:.0f} bytes each with indexes "
                    f"(filled in {time.perf_counter() - began:.0f} s)"
                )
                print(f"{'question':<50}{'p50 ms':>10}{'p99 ms':>10}")
                for name, ask in questions(database, options.attackers).items():
                    median, p99 = await percentiles(ask, options.rounds)
                    print(f"{name:<50}{median:>10.2f}{p99:>10.2f}", flush=True)
        finally:
            await database.close()
            await postgres.stop()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="queries", description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 1_000_000])
    parser.add_argument("--attackers", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=200)
    asyncio.run(main(parser.parse_args()))
