# SPDX-License-Identifier: AGPL-3.0-or-later
"""Peak memory of every process while gigabytes of real Cowrie logs go through.

The logs are real ones, repeated with fresh session ids. DECNET_TTP_BENCH_BYTES says how much
(2 000 000 000), DECNET_TTP_BENCH_SECONDS when to stop at the latest (never).
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from benchmarks.installation import DURABLE, Installation
from benchmarks.real_logs import repeat
from decnet_ttp.runtime.streams import EVENTS_STREAM

BYTES = int(os.environ.get("DECNET_TTP_BENCH_BYTES", "2000000000"))
SECONDS = float(os.environ.get("DECNET_TTP_BENCH_SECONDS", "inf"))
LIMIT_MB = 150.0
SAMPLE_S = 0.5
TELL_S = 20.0
_SERVERS = ("postgres", "nats")


@dataclass
class Peaks:
    """The largest resident memory seen, in MB, by name of the process.

    Attributes:
        resident: All of it. The kernel keeps the peak, so nothing falls between two samples.
        own: Without files and shared memory, which PostgreSQL's processes have in common.
    """

    resident: dict[str, float] = field(default_factory=dict)
    own: dict[str, float] = field(default_factory=dict)

    def take(self, name: str, pid: int) -> None:
        """Look at one process; one that has ended adds nothing."""
        try:
            text = Path(f"/proc/{pid}/status").read_text()
        except OSError:
            return
        rows = dict(line.split(":", 1) for line in text.splitlines())
        for field_name, into in (("VmHWM", self.resident), ("RssAnon", self.own)):
            if field_name in rows:
                into[name] = max(into.get(name, 0.0), int(rows[field_name].split()[0]) / 1024)


def look(installation: Installation, importing: subprocess.Popen[bytes], peaks: Peaks) -> None:
    """Take the peaks of the import and of everything under the supervisor."""
    peaks.take("import", importing.pid)
    for name, pid in installation.pids().items():
        peaks.take(name, pid)
        if name not in _SERVERS:
            continue
        try:
            below = psutil.Process(pid).children(recursive=True)
        except psutil.NoSuchProcess:
            continue
        for process in below:
            peaks.take(f"{name}, below it", process.pid)


async def progress(installation: Installation) -> tuple[int, int]:
    """Return how many messages came and how many of them are not handled yet."""
    bus = await installation.bus()
    try:
        state = (await bus.js.stream_info(EVENTS_STREAM)).state
        info = await bus.js.consumer_info(EVENTS_STREAM, DURABLE)
    finally:
        await bus.close()
    return state.last_seq, (info.num_pending or 0) + (info.num_ack_pending or 0)


async def watch(
    installation: Installation, importing: subprocess.Popen[bytes], peaks: Peaks
) -> tuple[int, int]:
    """Sample until everything is tagged or the time is over; returns what `progress` returned."""
    began = told = time.monotonic()
    while True:
        await asyncio.to_thread(look, installation, importing, peaks)
        came, waiting = await progress(installation)
        now = time.monotonic()
        ended = importing.poll() is not None and waiting == 0
        if ended or now - began > SECONDS:
            return came, waiting
        if now - told > TELL_S:
            told = now
            print(
                f"{now - began:6.0f} s: {came} messages, {waiting} waiting, load "
                f"{os.getloadavg()[0]:.1f}, largest {max(peaks.resident.values()):.0f} MB",
                flush=True,
            )
        await asyncio.sleep(SAMPLE_S)


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory(prefix="decnet-ttp-bench-") as folder:
        root = Path(folder)
        root.chmod(0o755)
        size = repeat(root / "logs", BYTES)
        installation = Installation(root / "data")
        installation.up()
        importing = installation.start("import", "cowrie", root / "logs")
        peaks = Peaks()
        began = time.monotonic()
        try:
            came, waiting = asyncio.run(watch(installation, importing, peaks))
            took = time.monotonic() - began
        finally:
            importing.kill()
            importing.wait()
            installation.down()
        print(
            f"{size / 1e9:.2f} GB of logs, {came} messages, {came - waiting} of them tagged in "
            f"{took:.0f} s, load {os.getloadavg()[0]:.1f}"
        )
        print(f"{'peak of resident memory':<26}{'MB':>8}{'own':>8}")
        for name, peak in sorted(peaks.resident.items()):
            more = "" if name.startswith(_SERVERS) or peak < LIMIT_MB else f"  over {LIMIT_MB:.0f}"
            print(f"{name:<26}{peak:>8.0f}{peaks.own.get(name, 0.0):>8.0f}{more}")


if __name__ == "__main__":
    main()
