# SPDX-License-Identifier: AGPL-3.0-or-later
"""What it costs that one of two replicas of ingest keeps dying: sessions a second, and the ratio.

Run with `./dev bench ingest_replicas`; the baseline is the same log with both replicas left alone.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.cowrie_logs import command_heavy, write
from benchmarks.installation import Installation
from decnet_ttp.embedded.layout import load_instance

SESSIONS = 12_000
COMMANDS = 5
KILLED_EVERY_S = 5.0
#: Short, so that what a dead replica held comes back within the run.
ENVIRON = {"DECNET_TTP_INGEST_ACK_WAIT_S": "4"}


@dataclass(frozen=True, slots=True)
class Run:
    """How one import went.

    Attributes:
        took_s: From its start until everything was announced, in seconds.
        tags: Ids of all tags.
        announced: Announcements by upstream message.
        kills: How often the second replica was killed.
    """

    took_s: float
    tags: frozenset[str]
    announced: dict[str, int]
    kills: int


def _start_replica(environ: Mapping[str, str], listen: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "decnet_ttp.cli.main", "serve", "ingest"],
        env={**os.environ, **environ, **ENVIRON, "DECNET_TTP_LISTEN": f"unix:{listen}"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


@asynccontextmanager
async def _second_replica(
    installation: Installation, listen: Path, killed_every_s: float | None
) -> AsyncIterator[list[int]]:
    environ = load_instance(installation.data_dir).environment
    process = _start_replica(environ, listen)
    killed: list[int] = []

    async def keep_killing(every_s: float) -> None:
        nonlocal process
        while True:
            await asyncio.sleep(every_s)
            process.kill()
            killed.append(process.wait())
            process = _start_replica(environ, listen)

    task = asyncio.create_task(keep_killing(killed_every_s)) if killed_every_s else None
    try:
        yield killed
    finally:
        if task is not None:
            task.cancel()
        process.terminate()
        await asyncio.to_thread(process.wait, 120)


async def import_with_two(
    root: Path, name: str, log: Path, killed_every_s: float | None = None
) -> Run:
    """Import a log into a fresh installation with two replicas of ingest.

    Args:
        root: Where the installation gets its folder.
        name: Of that folder.
        log: A log of Cowrie.
        killed_every_s: Seconds between two kills of the second replica; None to leave it alone.

    Raises:
        RuntimeError: The import failed.
        TimeoutError: It did not come to rest in time.
    """
    installation = Installation(root / name, ENVIRON)
    try:
        await asyncio.to_thread(installation.up)
        async with _second_replica(installation, root / f"{name}.sock", killed_every_s) as killed:
            began = time.monotonic()
            importing = installation.start("import", "cowrie", log)
            try:
                if await asyncio.to_thread(importing.wait, 400):
                    raise RuntimeError("the import failed")
            finally:
                importing.kill()
                importing.wait()
            await installation.settle(400)
            took_s = time.monotonic() - began
        tags = await asyncio.to_thread(installation.json, "tags", "--limit", "0")
        announced = await installation.announcements()
        return Run(took_s, frozenset(tag["uuid"] for tag in tags), announced, len(killed))
    finally:
        await asyncio.to_thread(installation.down)


async def measure() -> None:
    """Print the figures.

    Raises:
        RuntimeError: The kills changed what was stored or announced.
    """
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        log = write(root / "cowrie.json", command_heavy(SESSIONS, COMMANDS, seed=3))
        quiet = await import_with_two(root, "quiet", log)
        dying = await import_with_two(root, "dying", log, KILLED_EVERY_S)
    if (dying.tags, dying.announced) != (quiet.tags, quiet.announced):
        raise RuntimeError("the kills changed what was stored or announced")
    print(f"both left alone: {SESSIONS / quiet.took_s:,.0f} sessions/s")
    print(
        f"one killed every {KILLED_EVERY_S:g} s ({dying.kills} times): "
        f"{SESSIONS / dying.took_s:,.0f} sessions/s, "
        f"{quiet.took_s / dying.took_s:.0%} of that (target 60 %)"
    )


if __name__ == "__main__":
    asyncio.run(measure())
