# SPDX-License-Identifier: AGPL-3.0-or-later
"""How writers of one busy attacker get past each other, and past a change of its effect.

    ./dev bench one_attacker [--tags N] [--days N] [--writers N] [--seconds N] [--batch N]

Fills one attacker with tags, then lets writers write small batches of tags of it, each as fast as
it can: alone, all at once, and all at once while verdicts change what its tags count for. Prints
batches a second, and how long a batch took; the longest is what a writer waits for others.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import tempfile
import time
from pathlib import Path
from uuid import UUID

from google.protobuf.timestamp_pb2 import Timestamp

from benchmarks.tag_writes import CELLS, START_S, percentile
from decnet_ttp.embedded.postgres import PostgresServer
from decnet_ttp.tag_store.adjustments import AdjustmentRow, Adjustments
from decnet_ttp.tag_store.database import Database
from decnet_ttp.tag_store.recount import recount
from decnet_ttp.tag_store.rule_states import RuleStates
from decnet_ttp.tag_store.writer import TagWriter
from decnet_ttp.v1 import scope_pb2, tag_pb2

ATTACKER = UUID(int=0xA)
_FILLED_AT_ONCE = 10_000


def make_group(chance: random.Random, name: str, tags: int, days: int) -> tag_pb2.TagGroup:
    """Return tags of the attacker, on any of some days."""
    group = tag_pb2.TagGroup(
        origin_id=name, anchor=scope_pb2.Anchor(attacker_uuid=str(ATTACKER)), session_id=name
    )
    for place in range(tags):
        tactic, technique, sub, rule, confidence = chance.choice(CELLS)
        group.tags.append(
            tag_pb2.TagDraft(
                source_kind="command",
                source_id=f"{name}/{place}",
                observe_time=Timestamp(seconds=START_S + chance.randrange(days) * 86_400 + place),
                rule_id=rule,
                rule_version=1,
                tactic=tactic,
                technique_id=technique,
                sub_technique_id=sub,
                confidence=confidence,
                attack_release="enterprise-v17.1",
            )
        )
    return group


class Writers:
    """Writers at work on one attacker, each with a pool of its own, as processes have."""

    def __init__(self, database_url: str, options: argparse.Namespace) -> None:
        self._databases = [
            Database(database_url, max_connections=2) for _ in range(options.writers)
        ]
        self._options = options
        self._chance = random.Random(20_260_305)
        self._name = 0

    async def open(self) -> None:
        """Connect."""
        for database in self._databases:
            await database.open()

    async def close(self) -> None:
        """Disconnect."""
        for database in self._databases:
            await database.close()

    async def write(self, writers: int, until: asyncio.Event) -> list[float]:
        """Write until told to stop; returns the seconds of each batch."""
        took: list[float] = []

        async def work(writer: TagWriter) -> None:
            while not until.is_set():
                self._name += 1
                group = make_group(
                    self._chance, f"b{self._name}", self._options.batch, self._options.days
                )
                began = time.perf_counter()
                await writer.write([group], silent=False)
                took.append(time.perf_counter() - began)

        databases = self._databases[:writers]
        await asyncio.gather(*(work(TagWriter(each, lambda: None)) for each in databases))
        return took


def report(name: str, took: list[float], seconds: float) -> None:
    """Print a line of the table."""
    print(
        f"{name:32} {len(took) / seconds:8.1f} batches/s"
        f"  p50 {percentile(took, 0.5):7.1f} ms  p99 {percentile(took, 0.99):7.1f} ms"
        f"  longest {max(took) * 1e3:7.1f} ms"
    )


async def timed(writers: Writers, count: int, seconds: float) -> tuple[list[float], float]:
    """Let so many write for so long."""
    until = asyncio.Event()
    asyncio.get_running_loop().call_later(seconds, until.set)
    began = time.perf_counter()
    took = await writers.write(count, until)
    return took, time.perf_counter() - began


async def judged(writers: Writers, count: int, database: Database) -> tuple[list[float], float]:
    """Let so many write while verdicts come in, one after the other."""
    until = asyncio.Event()
    adjustments = Adjustments(database, RuleStates(None))

    async def judge() -> list[float]:
        changes = []
        for at in range(1, 7):
            amount = (0.05, -0.1)[at % 2]
            row = AdjustmentRow(ATTACKER, "R0058", 1, amount, "", "intel", f"intel:{at}", at)
            began = time.perf_counter()
            await adjustments.take([row])
            changes.append(time.perf_counter() - began)
        until.set()
        return changes

    began = time.perf_counter()
    took, changes = await asyncio.gather(writers.write(count, until), judge())
    print(
        f"six changes of the effect: p50 {percentile(changes, 0.5):.0f} ms,"
        f" longest {max(changes) * 1e3:.0f} ms"
    )
    return took, time.perf_counter() - began


async def measure(options: argparse.Namespace) -> None:
    """Run everything and print the table."""
    chance = random.Random(1)
    with tempfile.TemporaryDirectory(prefix="decnet-ttp-bench-") as folder:
        postgres = PostgresServer(Path(folder) / "postgres", settings={})
        database_url = await postgres.start()
        database = Database(database_url, max_connections=4)
        await database.open()
        writer = TagWriter(database, lambda: None)
        for start in range(0, options.tags, _FILLED_AT_ONCE):
            part = min(_FILLED_AT_ONCE, options.tags - start)
            await writer.write([make_group(chance, f"f{start}", part, options.days)], silent=True)
        writers = Writers(database_url, options)
        await writers.open()
        print(f"{options.tags} tags of one attacker; load {os.getloadavg()[0]:.1f}")
        report("one writer", *await timed(writers, 1, options.seconds))
        report(
            f"{options.writers} writers", *await timed(writers, options.writers, options.seconds)
        )
        report("the same beside verdicts", *await judged(writers, options.writers, database))
        differing = sum(each.differing for each in await recount(database, repair=False))
        print(f"rows of roll-ups that a recount finds wrong: {differing}")
        await writers.close()
        await database.close()
        await postgres.stop()


def main() -> None:
    """Read the options and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tags", type=int, default=100_000)
    parser.add_argument("--days", type=int, default=10)
    parser.add_argument("--writers", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--batch", type=int, default=50)
    asyncio.run(measure(parser.parse_args()))


if __name__ == "__main__":
    main()
