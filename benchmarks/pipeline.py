# SPDX-License-Identifier: AGPL-3.0-or-later
"""From a log file to committed and announced: sessions and commands a second on this machine.

The same installation is measured with batches and, as the baseline, with one message a batch (one
call a stage and message, as a service without batching would do). Start-up time and resident
memory are printed beside.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path

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
    # settle() watches the output for half a second after it has come to rest.
    return time.monotonic() - began - 0.5


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
                    rates.setdefault(name, []).append(units / measure(installation, log))
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
