# SPDX-License-Identifier: AGPL-3.0-or-later
"""Whatever dies, hangs, repeats or arrives in another order: the end is that of a quiet run.

The short form storms for half a minute over sessions of our own. DECNET_TTP_CHAOS_SECONDS makes it
longer, DECNET_TTP_CHAOS_SEED gives another storm; the seed is in the test's output. With
DECNET_TTP_CHAOS_LOGS=real the sessions are all those of the real logs beside the repository.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nats.errors
import orjson
import pytest
from benchmarks.connections import cut
from benchmarks.cowrie_logs import sample_commands
from benchmarks.installation import Installation
from benchmarks.real_logs import real_logs

from decnet_ttp.runtime.bus import Bus, Envelope
from decnet_ttp.runtime.streams import DLQ_STREAM, PARKED_STREAM
from decnet_ttp.sources.protocol import load

SECONDS = float(os.environ.get("DECNET_TTP_CHAOS_SECONDS", "30"))
SEED = int(os.environ.get("DECNET_TTP_CHAOS_SEED", "11"))
REAL = os.environ.get("DECNET_TTP_CHAOS_LOGS") == "real"

pytestmark = [pytest.mark.system, pytest.mark.faults, pytest.mark.timeout(900 + 6 * SECONDS)]

SUBJECT = "attacker.session.ended"
RATE = 100
KILLED = ("ingest", "tagger", "tag-store", "rule-store", "attribution", "nats", "postgres")
CUT = ("ingest", "tagger", "tag-store", "rule-store", "nats")
PAUSED = ("ingest", "tagger", "tag-store", "nats", "postgres")
#: Short, so that a pause of a few seconds outlasts it.
ACK_WAIT_S = 4.0
PAUSE_S = 6.0
ENVIRON = {"DECNET_TTP_INGEST_ACK_WAIT_S": str(ACK_WAIT_S)}


@dataclass
class Plan:
    """What is published, in which order, and which of it is poison."""

    messages: list[tuple[str, bytes]]
    poison: list[bytes]


def made_up(seed: int, count: int) -> Iterator[tuple[str, bytes]]:
    """Yield sessions with commands of the recorded sample, each with its id."""
    chance = random.Random(seed)  # noqa: S311 - to be repeated, not to be secret
    commands = sample_commands()
    for number in range(count):
        ident = f"chaos-{seed}-{number}"
        payload: dict[str, Any] = {
            "session_id": ident,
            "attacker_ip": f"198.18.{number % 7}.{number % 251}",
            "service": "ssh",
            "commands": [chance.choice(commands) for _ in range(chance.randrange(1, 8))],
        }
        envelope = Envelope(
            topic=SUBJECT, type="session.ended", id=ident, ts=1.8e9, payload=payload
        )
        yield ident, envelope.encode()


def recorded() -> Iterator[tuple[str, bytes]]:
    """Yield every session of the real logs, each with its id."""
    for message in load("cowrie").read([str(log) for log in real_logs()]):
        assert message.topic == SUBJECT
        yield message.id, message.envelope(1.8e9)


def plan(seed: int, sessions: Iterator[tuple[str, bytes]]) -> Plan:
    """Send some sessions again, plant poison, and shuffle all within a few hundred places."""
    chance = random.Random(seed)  # noqa: S311 - to be repeated, not to be secret
    made: list[tuple[str, bytes]] = []
    poison: list[bytes] = []
    for number, (ident, content) in enumerate(sessions):
        made.append((ident, content))
        if chance.random() < 0.1:
            made.append(("", content))
        if number % 250 == 3:
            bad = b'{"v":1,"cut":%d' % number
            poison.append(bad)
            made.append((f"poison-{seed}-{number}", bad))
        if number % 250 == 7:
            nobody = orjson.dumps(
                {"v": 1, "id": f"n{number}", "payload": {"attacker_ip": "Unknown"}}
            )
            poison.append(nobody)
            made.append((f"nobody-{seed}-{number}", nobody))
    order = sorted(range(len(made)), key=lambda place: place + chance.uniform(0, 300))
    return Plan([made[place] for place in order], poison)


async def publish(bus: Bus, messages: list[tuple[str, bytes]], over_s: float) -> None:
    """Publish everything over some time, each until it is acknowledged."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    for number, (ident, content) in enumerate(messages):
        await asyncio.sleep(max(0.0, began + over_s * number / len(messages) - loop.time()))
        # One without an id is a copy that the server's own deduplication does not see.
        headers = {"Nats-Msg-Id": ident} if ident else None
        while True:
            try:
                await bus.js.publish(SUBJECT, content, headers=headers, timeout=2)
            except (nats.errors.Error, OSError):
                await asyncio.sleep(0.1)
            else:
                break


@dataclass
class Storm:
    """Kills and pauses children, and cuts their connections, at random."""

    installation: Installation
    chance: random.Random
    done: Counter[str] = field(default_factory=Counter)

    async def blow(self, seconds: float) -> None:
        """Strike again and again until the time is over, in each round every way once."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        ways = [("kill", name) for name in KILLED * 2]
        ways += [("cut", name) for name in CUT] + [("pause", name) for name in PAUSED]
        left: list[tuple[str, str]] = []
        while loop.time() < end:
            await asyncio.sleep(self.chance.uniform(0.1, 1.0))
            left = left or self.chance.sample(ways, len(ways))
            what, victim = left.pop()
            pid = self.installation.pids().get(victim, 0)
            try:
                struck = bool(pid) and await self.strike(what, pid)
            except (ProcessLookupError, PermissionError):
                continue  # It is gone, or the kernel keeps processes from each other here.
            if struck:
                self.done[f"{what} {victim}"] += 1

    async def strike(self, what: str, pid: int) -> bool:
        """Strike once; whether it hit anything.

        Raises:
            ProcessLookupError: The process is gone.
        """
        if what == "kill":
            os.kill(pid, signal.SIGKILL)
        elif what == "cut":
            return cut(pid) > 0
        else:
            os.kill(pid, signal.SIGSTOP)
            try:
                await asyncio.sleep(PAUSE_S)
            finally:
                os.kill(pid, signal.SIGCONT)
        return True


async def at_rest(installation: Installation, letters: int) -> None:
    """Wait until nothing is pending, parked, or on its way to the dead letters."""
    async with asyncio.timeout(300):
        while True:
            await installation.settle(240)
            bus = await installation.bus()
            try:
                parked = (await bus.js.stream_info(PARKED_STREAM)).state.messages
                buried = (await bus.js.stream_info(DLQ_STREAM)).state.messages
            finally:
                await bus.close()
            if parked == 0 and buried >= letters:
                return
            await asyncio.sleep(0.5)


async def letters_of(installation: Installation) -> Counter[bytes]:
    """Return the content of every dead letter."""
    found: Counter[bytes] = Counter()
    bus = await installation.bus()
    try:
        state = (await bus.js.stream_info(DLQ_STREAM)).state
        for sequence in range(max(state.first_seq, 1), state.last_seq + 1):
            found[(await bus.js.get_msg(DLQ_STREAM, sequence)).data or b""] += 1
    finally:
        await bus.close()
    return found


async def outcome(root: Path, name: str, planned: Plan, storm_s: float) -> tuple[Any, ...]:
    """Run the plan, with a storm or without one.

    Returns ids of all tags, announcements by origin, dead letters, and what the storm did.
    """
    installation = Installation(root / name, ENVIRON)
    try:
        await asyncio.to_thread(installation.up)
        storm = Storm(installation, random.Random(SEED))  # noqa: S311 - to be repeated
        bus = await installation.bus()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(publish(bus, planned.messages, storm_s))
                if storm_s:
                    group.create_task(storm.blow(storm_s))
        finally:
            await bus.close()
        await at_rest(installation, len(planned.poison))
        tags = await asyncio.to_thread(installation.json, "tags", "--limit", "1000000")
        return (
            {tag["uuid"] for tag in tags},
            await installation.announcements(),
            await letters_of(installation),
            storm.done,
        )
    finally:
        await asyncio.to_thread(installation.down)


async def test_storm_ends_as_a_quiet_run_does(tmp_path: Path, record_property: Any) -> None:
    sessions = recorded() if REAL else made_up(SEED, int(RATE * SECONDS))
    planned = plan(SEED, sessions)
    quiet = await outcome(tmp_path, "quiet", planned, 0.0)
    stormy = await outcome(tmp_path, "stormy", planned, SECONDS)
    sys.stdout.write(
        f"seed {SEED}: {len(planned.messages)} messages, {len(quiet[0])} tags, "
        f"{len(planned.poison)} poisoned, {dict(sorted(stormy[3].items()))}\n"
    )
    assert sum(stormy[3].values()) >= SECONDS / 10
    assert len(quiet[0]) > len(planned.messages) / 2
    assert stormy[0] == quiet[0]
    assert stormy[1] == quiet[1]
    assert set(quiet[1].values()) == {1}
    assert quiet[2] == Counter(planned.poison)
    assert stormy[2] == Counter(planned.poison)
