# SPDX-License-Identifier: AGPL-3.0-or-later
"""From a log file to committed and announced: sessions and commands a second on this machine.

The same installation is measured with batches and, as the baseline, with one message a batch (one
call a stage and message, as a service without batching would do). Start-up time, resident memory
and the processor time of each process are printed beside; the latter says most where other work
shares the machine.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import psutil

from benchmarks.cowrie_logs import brute_force, command_heavy, write
from benchmarks.installation import Installation

SESSIONS = 20_000
COMMAND_SESSIONS = 4_000
COMMANDS = 20
BASELINE_SHARE = 20

ONE_BY_ONE = {"DECNET_TTP_INGEST_BATCH_MESSAGES": "1", "DECNET_TTP_INGEST_MAX_IN_FLIGHT": "1"}


def measure(installation: Installation, log: Path) -> float:
    """Import a log; returns the seconds until all of it is tagged, stored and announced."""
    began = time.monotonic()
    installation.run("import", "cowrie", log)
    asyncio.run(installation.settle(600))
    return time.monotonic() - began


def processor_s(installation: Installation) -> dict[str, float]:
    """Return the processor time that each process has taken, user and system, in seconds."""
    taken = {}
    for name, pid in installation.pids().items():
        process = psutil.Process(pid)
        times = process.cpu_times()
        taken[name] = times.user + times.system
        if name == "postgres":
            # One process for each connection; those that have ended count with their parent.
            taken[name] += times.children_user + times.children_system
            for child in process.children(recursive=True):
                with suppress(psutil.NoSuchProcess):
                    taken[name] += sum(child.cpu_times()[:2])
    return taken


def print_processor_ms(name: str, units: int, taken: Mapping[str, float]) -> None:
    """Print what a thousand units cost each process."""
    per_thousand = {process: 1e6 * seconds / units for process, seconds in taken.items()}
    dearest = sorted(per_thousand.items(), key=lambda item: -item[1])
    print(
        f"processor time, ms per 1000 of {name.partition(',')[0]}: "
        + ", ".join(f"{process} {ms:.0f}" for process, ms in dearest if ms >= 1)
        + f"; load {os.getloadavg()[0]:.1f}"
    )


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory(prefix="decnet-ttp-bench-") as folder:
        root = Path(folder)
        root.chmod(0o755)
        logs = {
            "brute force, sessions/s": (SESSIONS, brute_force, ()),
            "command-heavy, commands/s": (COMMAND_SESSIONS, command_heavy, (COMMANDS,)),
        }
        rates: dict[str, list[float]] = {}
        for share, environ in ((1, {}), (BASELINE_SHARE, ONE_BY_ONE)):
            installation = Installation(root / f"data{share}", environ)
            first = installation.up()
            installation.down()
            ready = installation.up()
            try:
                for name, (count, make, extra) in logs.items():
                    sessions = count // share
                    log = write(root / "cowrie.json", make(sessions, *extra, seed=share))
                    units = sessions * (extra[0] if extra else 1)
                    before = processor_s(installation)
                    rates.setdefault(name, []).append(units / measure(installation, log))
                    if share == 1:
                        after = processor_s(installation)
                        taken = {process: after[process] - before[process] for process in after}
                        print_processor_ms(name, units, taken)
                if share == 1:
                    print(f"first up to ready   {first:6.1f} s")
                    print(f"later up to ready   {ready:6.1f} s")
                    for child in installation.json("status")["children"]:
                        resident = (child.get("resident_bytes") or 0) / 2**20
                        print(f"resident {child['name']:<14}{resident:6.0f} MB")
            finally:
                installation.down()
        print(f"{'':<28}{'batched':>10}{'one by one':>12}{'ratio':>8}")
        for name, (batched, single) in rates.items():
            print(f"{name:<28}{batched:>10.0f}{single:>12.0f}{batched / single:>8.1f}")


if __name__ == "__main__":
    main()
