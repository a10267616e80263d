# SPDX-License-Identifier: AGPL-3.0-or-later
"""Two replicas of ingest share the work; one that keeps dying costs little and loses nothing."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from benchmarks.cowrie_logs import command_heavy, write
from benchmarks.installation import Installation

from decnet_ttp.embedded.layout import load_instance

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = [pytest.mark.system, pytest.mark.faults, pytest.mark.timeout(600)]

SESSIONS = 12_000
COMMANDS = 5
KILLED_EVERY_S = 5.0
#: Short, so that what a dead replica held comes back within the run.
ENVIRON = {"DECNET_TTP_INGEST_ACK_WAIT_S": "4"}


def start_replica(environ: Mapping[str, str], listen: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "decnet_ttp.cli.main", "serve", "ingest"],
        env={**os.environ, **environ, **ENVIRON, "DECNET_TTP_LISTEN": f"unix:{listen}"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


@asynccontextmanager
async def second_replica(
    installation: Installation, listen: Path, *, dying: bool
) -> AsyncIterator[list[int]]:
    """Run a second replica, which is killed and started anew every few seconds when it is dying."""
    environ = load_instance(installation.data_dir).environment
    process = start_replica(environ, listen)
    killed: list[int] = []

    async def keep_killing() -> None:
        nonlocal process
        while True:
            await asyncio.sleep(KILLED_EVERY_S)
            process.kill()
            killed.append(process.wait())
            process = start_replica(environ, listen)

    task = asyncio.create_task(keep_killing()) if dying else None
    try:
        yield killed
    finally:
        if task is not None:
            task.cancel()
        process.terminate()
        await asyncio.to_thread(process.wait, 30)


async def seconds_for(
    root: Path, name: str, log: Path, *, dying: bool
) -> tuple[float, set[str], dict[str, int], int]:
    """Import a log; returns seconds, ids of all tags, announcements, and kills."""
    installation = Installation(root / name, ENVIRON)
    await asyncio.to_thread(installation.up)
    try:
        listen = root / f"{name}.sock"
        async with second_replica(installation, listen, dying=dying) as killed:
            began = time.monotonic()
            importing = installation.start("import", "cowrie", log)
            assert await asyncio.to_thread(importing.wait, 180) == 0
            await installation.settle(180)
            took = time.monotonic() - began
        tags = await asyncio.to_thread(installation.json, "tags", "--limit", "0")
        announced = await installation.announcements()
        return took, {tag["uuid"] for tag in tags}, announced, len(killed)
    finally:
        await asyncio.to_thread(installation.down)


async def test_replica_that_keeps_dying_loses_nothing(tmp_path: Path) -> None:
    log = write(tmp_path / "cowrie.json", command_heavy(SESSIONS, COMMANDS, seed=3))
    quiet = await seconds_for(tmp_path, "quiet", log, dying=False)
    dying = await seconds_for(tmp_path, "dying", log, dying=True)
    sys.stdout.write(
        f"{SESSIONS / quiet[0]:.0f} sessions/s quiet, {SESSIONS / dying[0]:.0f} with "
        f"{dying[3]} kills\n"
    )
    assert dying[3] >= 1
    assert dying[1] == quiet[1]
    assert dying[2] == quiet[2]
    assert set(quiet[2].values()) == {1}
    # What a dead replica held comes back after the deadline only, which a short run feels more.
    assert dying[0] <= quiet[0] / 0.6 + float(ENVIRON["DECNET_TTP_INGEST_ACK_WAIT_S"])
