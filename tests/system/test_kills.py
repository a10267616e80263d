# SPDX-License-Identifier: AGPL-3.0-or-later
"""kill -9 of each process in the middle of an import changes nothing in the end."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest
from benchmarks.cowrie_logs import command_heavy, write
from benchmarks.installation import DURABLE, Installation

from decnet_ttp.runtime.streams import EVENTS_STREAM

pytestmark = [pytest.mark.system, pytest.mark.faults, pytest.mark.timeout(600)]

VICTIMS = ("ingest", "tagger", "tag-store", "nats", "postgres")
SESSIONS = 8_000
COMMANDS = 10


async def handled(installation: Installation) -> int:
    """Return how many messages ingest has acknowledged, or -1 while the bus is away."""
    try:
        async with asyncio.timeout(2):
            bus = await installation.bus()
            try:
                stream = await bus.js.stream_info(EVENTS_STREAM)
                info = await bus.js.consumer_info(EVENTS_STREAM, DURABLE)
            finally:
                await bus.nc.close()
    except (TimeoutError, OSError):
        return -1
    waiting = (info.num_pending or 0) + (info.num_ack_pending or 0)
    return stream.state.messages - waiting


def pid_of(installation: Installation, child: str) -> int:
    """Return the pid of a child, 0 while it has none."""
    status = installation.json("status")
    return next(int(row["pid"] or 0) for row in status["children"] if row["name"] == child)


async def kill(installation: Installation, child: str, when_handled: int) -> None:
    """Kill a child once so much is handled, and wait until its successor runs."""
    pid = pid_of(installation, child)
    assert pid
    async with asyncio.timeout(120):
        while (progress := await handled(installation)) < when_handled:
            await asyncio.sleep(0.02)
    os.kill(pid, signal.SIGKILL)
    assert progress < SESSIONS, f"{child} was killed after the end"
    async with asyncio.timeout(60):
        while pid_of(installation, child) in {0, pid}:
            await asyncio.sleep(0.05)


async def import_with_kills(
    root: Path, name: str, log: Path, victims: Sequence[str]
) -> tuple[Any, dict[str, int], set[str]]:
    """Import a log, killing each victim at an even share of the way.

    Returns techniques, announcements by origin, and ids of all tags.
    """
    installation = Installation(root / name)
    installation.up()
    try:
        importing = installation.start("import", "cowrie", log, "--deadline", "120")
        for number, victim in enumerate(victims):
            await kill(installation, victim, SESSIONS * (number + 1) // (len(victims) + 3))
        code = await asyncio.to_thread(importing.wait, 180)
        assert code == 0
        await installation.settle(180)
        # A message that was out when its worker died comes back after the acknowledgement
        # deadline; settle() waits for it, and announcements follow at once.
        tags = installation.json("tags", "--limit", "1000000")
        return (
            installation.json("techniques"),
            await installation.announcements(),
            {tag["uuid"] for tag in tags},
        )
    finally:
        installation.down()


async def test_kills_in_the_middle_of_an_import_change_nothing(tmp_path: Path) -> None:
    log = write(tmp_path / "cowrie.json", command_heavy(SESSIONS, COMMANDS, seed=7))
    quiet = await import_with_kills(tmp_path, "quiet", log, ())
    stormy = await import_with_kills(tmp_path, "stormy", log, VICTIMS)
    assert len(quiet[2]) > SESSIONS
    assert stormy[2] == quiet[2]
    assert stormy[0] == quiet[0]
    assert stormy[1] == quiet[1]
    assert set(quiet[1].values()) == {1}


def test_supervisor_killed_leaves_nothing_behind(tmp_path: Path) -> None:
    """After kill -9 of the supervisor a new one takes over the data and the remains."""
    installation = Installation(tmp_path / "data")
    installation.up()
    try:
        pid = int(installation.json("status")["pid"])
        os.kill(pid, signal.SIGKILL)
        installation.up()
        assert int(installation.json("status")["pid"]) != pid
        assert installation.json("techniques") == []
    finally:
        installation.down()
    left = [
        process.info["cmdline"]
        for process in psutil.process_iter(["cmdline"])
        if str(tmp_path) in " ".join(process.info["cmdline"] or [])
    ]
    assert left == []
