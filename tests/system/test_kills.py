# SPDX-License-Identifier: AGPL-3.0-or-later
"""kill -9 of each process in the middle of an import changes nothing in the end."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

import nats.errors
import psutil
import pytest
from benchmarks.cowrie_logs import command_heavy, write
from benchmarks.installation import DURABLE, Installation

from decnet_ttp.runtime.streams import EVENTS_STREAM

pytestmark = [pytest.mark.system, pytest.mark.faults, pytest.mark.timeout(1800)]

VICTIMS = ("ingest", "tagger", "tag-store", "nats", "postgres")
#: In each log.
SESSIONS = 1_300
COMMANDS = 10


async def handled(installation: Installation) -> int:
    """Return how many messages ingest has acknowledged, or -1 while the bus is away."""
    try:
        async with asyncio.timeout(20):
            bus = await installation.bus()
            try:
                stream = await bus.js.stream_info(EVENTS_STREAM)
                info = await bus.js.consumer_info(EVENTS_STREAM, DURABLE)
            finally:
                await bus.nc.close()
    except (nats.errors.Error, TimeoutError, OSError):
        return -1
    waiting = (info.num_pending or 0) + (info.num_ack_pending or 0)
    return stream.state.messages - waiting


async def kill(installation: Installation, child: str, when_handled: int) -> None:
    """Kill a child once so much is handled, and wait until its successor runs."""
    pid = installation.pids()[child]
    async with asyncio.timeout(300):
        while await handled(installation) < when_handled:
            await asyncio.sleep(0.02)
    os.kill(pid, signal.SIGKILL)
    async with asyncio.timeout(120):
        while installation.pids().get(child, pid) == pid:
            await asyncio.sleep(0.05)


async def import_log(installation: Installation, log: Path, victim: str | None) -> None:
    """Import one log of several, killing the victim when some of it is handled."""
    async with asyncio.timeout(300):
        while (before := await handled(installation)) < 0:
            await asyncio.sleep(0.02)
    importing = installation.start("import", "cowrie", log, "--deadline", "300")
    try:
        if victim is not None:
            await kill(installation, victim, before + SESSIONS // 8)
        assert await asyncio.to_thread(importing.wait, 400) == 0
    finally:
        importing.kill()
        importing.wait()


async def import_with_kills(
    root: Path, name: str, logs: Sequence[Path], victims: Sequence[str]
) -> tuple[Any, dict[str, int], set[str]]:
    """Import logs, killing one victim within each but the last, as far as there are victims.

    Returns techniques, announcements by origin, and ids of all tags.
    """
    installation = Installation(root / name)
    try:
        installation.up()
        for log, victim in zip_longest(logs, victims):
            await import_log(installation, log, victim)
        # A message that was out when its worker died comes back after the acknowledgement
        # deadline; settle() waits for it, and for the announcements.
        await installation.settle(400)
        tags = installation.json("tags", "--limit", "1000000")
        return (
            installation.json("techniques"),
            await installation.announcements(),
            {tag["uuid"] for tag in tags},
        )
    finally:
        installation.down()


async def test_kills_in_the_middle_of_an_import_change_nothing(tmp_path: Path) -> None:
    # Several, so that each victim has work before it however slow this test is beside it.
    logs = [
        write(tmp_path / f"cowrie-{seed}.json", command_heavy(SESSIONS, COMMANDS, seed=seed))
        for seed in range(len(VICTIMS) + 1)
    ]
    quiet = await import_with_kills(tmp_path, "quiet", logs, ())
    stormy = await import_with_kills(tmp_path, "stormy", logs, VICTIMS)
    assert len(quiet[2]) > SESSIONS * len(logs)
    assert stormy[2] == quiet[2]
    assert stormy[0] == quiet[0]
    assert stormy[1] == quiet[1]
    assert set(quiet[1].values()) == {1}


def test_supervisor_killed_leaves_nothing_behind(tmp_path: Path) -> None:
    """After kill -9 of the supervisor a new one takes over the data and the remains."""
    installation = Installation(tmp_path / "data")
    try:
        installation.up()
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
