# SPDX-License-Identifier: AGPL-3.0-or-later
"""Stores, NATS and PostgreSQL killed at random under four writers: the end is that of a quiet run.

The short form storms for ten seconds. DECNET_TTP_CHAOS_SECONDS makes it longer (from a
minute on with a hundred thousand tags), DECNET_TTP_CHAOS_SEED gives another storm.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from decnet_ttp.embedded.nats import NatsServer
from decnet_ttp.embedded.postgres import PostgresServer
from decnet_ttp.runtime.clients import call, open_channel
from decnet_ttp.runtime.config import Settings
from decnet_ttp.tag_store.database import Database
from tag_store.samples import PATIENCE_S, StoreClient, announced
from tag_store.test_faults import end, outbox_drained, start_process
from tag_store.test_worse_faults import TAGS_EACH, assert_recount_agrees, messages

SECONDS = float(os.environ.get("DECNET_TTP_CHAOS_SECONDS", "10"))
SEED = int(os.environ.get("DECNET_TTP_CHAOS_SEED", "11"))
MESSAGES = (100_000 if SECONDS >= 60 else 10_000) // TAGS_EACH
CHUNK = 100
WRITERS_EACH = 2

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300 + 6 * SECONDS)]


@dataclass
class Fleet:
    """Two stores over servers of their own, any of which may be killed and comes back."""

    postgres: PostgresServer
    nats: NatsServer
    targets: list[str]
    settings: Settings
    stores: list[asyncio.subprocess.Process] = field(default_factory=list)
    done: Counter[str] = field(default_factory=Counter)

    async def kill_store(self, number: int) -> None:
        process = self.stores[number]
        process.kill()
        await process.wait()
        self.stores[number] = await start_process(
            replace(self.settings, listen=self.targets[number])
        )

    async def kill_server(self, server: PostgresServer | NatsServer) -> None:
        pid = server.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        await server.stop()
        await server.start()

    async def blow(self, chance: random.Random) -> None:
        """Kill again and again until the time is over, and everybody at least once."""
        victims: dict[str, Callable[[], Awaitable[None]]] = {
            "store one": lambda: self.kill_store(0),
            "store two": lambda: self.kill_store(1),
            "nats": lambda: self.kill_server(self.nats),
            "postgres": lambda: self.kill_server(self.postgres),
        }
        loop = asyncio.get_running_loop()
        over_s = loop.time() + SECONDS
        fewest = SECONDS / 8
        while (
            (early := loop.time() < over_s)
            or len(self.done) < len(victims)
            or sum(self.done.values()) < fewest
        ):
            await asyncio.sleep(chance.uniform(0.5, 2.5))
            # Everybody's turn comes before chance decides alone.
            rare = min(self.done.get(name, 0) for name in victims)
            names = [name for name in victims if self.done.get(name, 0) == rare]
            if early and chance.random() < 0.5:
                names = list(victims)
            name = chance.choice(names)
            await victims[name]()
            self.done[name] += 1


async def write(fleet: Fleet, target: str, chance: random.Random, stormy: asyncio.Event) -> int:
    """Send every message once in random batches, then any again while it storms."""
    starts = list(range(0, MESSAGES, CHUNK))
    chance.shuffle(starts)
    inserted = 0
    async with open_channel(target, fleet.settings) as channel:
        insert = StoreClient(channel).tags.InsertTags
        while starts or stormy.is_set():
            start = starts.pop() if starts else chance.randrange(0, MESSAGES - CHUNK)
            batch = messages(start, start + CHUNK)
            # Paced, so that there is something new to write as long as it storms.
            wait_s = SECONDS * CHUNK * chance.uniform(0.5, 1.5) / MESSAGES
            inserted += (
                await call(insert, batch, timeout_s=PATIENCE_S, attempts_s=240)
            ).inserted_count
            await asyncio.sleep(wait_s)
    return inserted


async def test_storm_over_two_stores_ends_as_a_quiet_run_does(tmp_path: Path) -> None:
    postgres = PostgresServer(tmp_path / "postgres", settings={"fsync": "off"})
    nats = NatsServer(tmp_path / "nats")
    chance = random.Random(SEED)  # noqa: S311 - to be repeated, not to be secret
    settings = Settings(database_url=await postgres.start(), nats_url=await nats.start())
    targets = [f"unix:{tmp_path}/{name}.sock" for name in ("one", "two")]
    fleet = Fleet(postgres, nats, targets, settings)
    fleet.stores = [await start_process(replace(settings, listen=each)) for each in targets]
    stormy = asyncio.Event()
    stormy.set()
    try:
        writers = [
            asyncio.ensure_future(
                write(fleet, target, random.Random(f"{SEED} {target} {number}"), stormy)  # noqa: S311
            )
            for target in targets
            for number in range(WRITERS_EACH)
        ]
        await fleet.blow(chance)
        stormy.clear()
        inserted = await asyncio.gather(*writers)
        await outbox_drained(settings.database_url)
        for target, process in zip(targets, fleet.stores, strict=True):
            await end(replace(settings, listen=target), process)
        await assert_everything_once(fleet, sum(inserted))
    finally:
        for process in fleet.stores:
            if process.returncode is None:
                process.kill()
                await process.wait()
        await nats.stop()
        await postgres.stop()


async def assert_everything_once(fleet: Fleet, answered: int) -> None:
    """Every tag stored, every message announced, the roll-ups equal to a recount."""
    told = Counter(
        str(payload["origin_id"])
        for subject, payload in await announced(fleet.settings)
        if subject == "ttp.tagged"
    )
    database = Database(fleet.settings.database_url)
    await database.open()
    try:
        ((tags, distinct),) = await database.fetch(
            "SELECT count(*), count(DISTINCT uuid) FROM tags"
        )
        await assert_recount_agrees(database)
    finally:
        await database.close()
    sys.stdout.write(
        f"seed {SEED}, {SECONDS:g} s: {tags} tags, {sum(told.values())} announcements, "
        f"killed {dict(sorted(fleet.done.items()))}\n"
    )
    assert (tags, distinct) == (MESSAGES * TAGS_EACH, MESSAGES * TAGS_EACH)
    assert told == Counter(f"m{number}" for number in range(MESSAGES))
    # An answer that a kill cut off is not counted; the tags are.
    assert answered <= tags
