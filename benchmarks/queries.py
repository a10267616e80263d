# SPDX-License-Identifier: AGPL-3.0-or-later
"""How long questions to the tag-store take as it grows.

    ./dev bench queries [--sizes N...] [--attackers N] [--rounds N] [--processor] [--buffers SIZE]
        [--keep FOLDER]

Fills a database to each size (see `tag_fill`); a recount of the first size proves the roll-ups.
Then every question is asked on the store's own code, without gRPC, of one size after the other.
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
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg

from benchmarks.tag_fill import BUSY, CAMPAIGN, SERVER_SETTINGS, WORKERS, fill
from decnet_ttp.embedded.postgres import PostgresServer
from decnet_ttp.runtime.database import asyncpg_dsn
from decnet_ttp.tag_store.database import Database
from decnet_ttp.tag_store.directory import Directory
from decnet_ttp.tag_store.phases import read_phases
from decnet_ttp.tag_store.recount import recount
from decnet_ttp.tag_store.rollup_reader import RollupFilter, read_cells
from decnet_ttp.tag_store.scopes import Scope, ScopeKind
from decnet_ttp.tag_store.tag_reader import TagFilter, TagPage, read_page
from decnet_ttp.tag_store.ticks import TICKS_PER_DAY, from_epoch_seconds


class Asked(NamedTuple):
    """What a question took, in milliseconds, and how many rows its last answer had."""

    median: float
    p99: float
    rows: int


async def ask_all(
    asked: list[Callable[[int], Awaitable[Any]]], clocks: list[Callable[[], float]], rounds: int
) -> list[Asked]:
    """Return what one question took at each size.

    Rounds alternate between the sizes, so that a slow moment of the machine meets them all.
    """
    took: list[list[float]] = [[] for _ in asked]
    counts = [0 for _ in asked]
    for at in range(-8, rounds):
        for place, (ask, now_ms) in enumerate(zip(asked, clocks, strict=True)):
            began = now_ms()
            answer = await ask(abs(at))
            if at >= 0:
                took[place].append(now_ms() - began)
            counts[place] = len(answer.rows if isinstance(answer, TagPage) else answer)
    return [
        Asked(statistics.median(times), statistics.quantiles(times, n=100)[98], count)
        for times, count in zip(took, counts, strict=True)
    ]


def questions(
    database: Database, size: int, attackers: int, limit: int
) -> dict[str, Callable[[int], Awaitable[Any]]]:
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

    def page(scope: Callable[[int], Scope], below: int | None = None, **asked: Any) -> Any:
        of = TagFilter(**asked)
        return lambda at: read_page(database, scope(at), of, limit=limit, below=below)

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
        "tags of the identity, a page half way down": page(lambda _: busy, size // 2),
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


async def prove(database: Database) -> None:
    """End when the roll-ups are not those of the tags."""
    wrong = [each for each in await recount(database, repair=False) if each.differing]
    if wrong:
        raise SystemExit(f"the roll-ups are not those of the tags: {wrong}")


async def tell_size(database: Database, size: int) -> None:
    """Print what a tag takes on disk."""
    tags, whole = (
        await database.fetch(
            "SELECT pg_total_relation_size('tags'), sum(pg_total_relation_size(c.oid))::bigint "
            "FROM pg_class c WHERE c.relkind = 'r' AND c.relnamespace = 'tags'::regnamespace"
        )
    )[0]
    print(
        f"{size} tags: {tags / size:.0f} bytes each with indexes, {whole / size:.0f} with "
        "roll-ups and directory",
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
    print(f"{'':<48}{heads}{'growth of p50':>15}{'of p99':>8}  rows")
    asked = [
        questions(each, size, options.attackers, options.page) for size, each in databases.items()
    ]
    for name in (name for name in asked[0] if options.only in name):
        found = await ask_all([each[name] for each in asked], clocks, options.rounds)
        row = "".join(f"{each.median:>9.2f} /{each.p99:>7.2f}" for each in found)
        growth = [found[-1][at] / found[0][at] for at in (0, 1)]
        counts = ", ".join(str(each.rows) for each in found)
        print(f"{name:<48}{row}{growth[0]:>15.1f}{growth[1]:>8.1f}  {counts}", flush=True)
    print(f"load {os.getloadavg()[0]:.1f} in the end")


async def database_of(
    postgres: PostgresServer, server: Any, size: int, options: argparse.Namespace
) -> Database:
    """Return a database of a size, filled now unless a former run left it."""
    name = f"size_{size}_of_{options.attackers}"
    if not await server.fetchval("SELECT true FROM pg_database WHERE datname = $1", name):
        began = time.perf_counter()
        await server.execute("DROP DATABASE IF EXISTS filling")
        await server.execute("CREATE DATABASE filling")
        filling = Database(postgres.url_of("filling"), max_connections=WORKERS)
        await filling.open()
        await fill(filling, size, options.attackers)
        if size == options.sizes[0]:
            await prove(filling)
        await filling.close()
        await server.execute(f"ALTER DATABASE filling RENAME TO {name}")
        print(f"{size} tags: filled in {time.perf_counter() - began:.0f} s", flush=True)
    database = Database(postgres.url_of(name), max_connections=1)
    await database.open()
    await tell_size(database, size)
    return database


async def run(folder: Path, options: argparse.Namespace) -> None:
    """Start a server in a folder, fill what is not there, and ask."""
    settings = {**SERVER_SETTINGS, "shared_buffers": options.buffers}
    postgres = PostgresServer(folder / "postgres", settings=settings)
    await postgres.start()
    server: Any = await asyncpg.connect(asyncpg_dsn(postgres.url))
    databases: dict[int, Database] = {}
    try:
        for size in options.sizes:
            databases[size] = await database_of(postgres, server, size, options)
        for repeat in range(options.repeats):
            if repeat:
                await asyncio.sleep(options.pause_s)
            await report(databases, options)
    finally:
        for database in databases.values():
            await database.close()
        await server.close()
        await postgres.stop()


async def main(options: argparse.Namespace) -> None:
    """Work in a folder that is kept, or in one that is removed."""
    if options.keep is not None:
        await run(options.keep, options)
        return
    with tempfile.TemporaryDirectory(prefix="bench-", dir=options.folder) as folder:
        await run(Path(folder), options)


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
    parser.add_argument(
        "--keep", type=Path, help="folder for them that stays; what it has is not filled again"
    )
    parser.add_argument("--page", type=int, default=100, help="tags on a page")
    parser.add_argument("--only", default="", help="part of the questions' names")
    asyncio.run(main(parser.parse_args()))
