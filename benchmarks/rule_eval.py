# SPDX-License-Identifier: AGPL-3.0-or-later
"""Rows a second through `decnet-ttp rules eval --json`, from the file to the printed lines.

Run with `./dev bench rule_eval` or `python -m benchmarks.rule_eval [CORPUS...]`; without a corpus,
commands of our own and sessions made of them. The program is started as a user starts it; its
start is taken off by a run over a single row. Processor time is what neighbours cannot blur.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.matching import commands

ROWS = 50_000
SESSION_COMMANDS = 8


def write(path: Path, rows: Iterable[dict[str, Any]]) -> int:
    """Write a corpus; returns how many rows it has."""
    lines = [json.dumps(row) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return len(lines)


def run(paths: Sequence[Path]) -> tuple[float, float, int]:
    """Run the program; returns its seconds, those of processor time, and the rows it answered."""
    program = [sys.executable, "-m", "decnet_ttp.cli.main", "rules", "eval", "--json"]
    began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([*program, *paths], check=True, capture_output=True, text=True)
    took_s = time.monotonic() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    busy_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return took_s, busy_s, json.loads(done.stdout.splitlines()[-1])["rows"]


def main() -> None:
    """Print the figures."""
    with tempfile.TemporaryDirectory() as name:
        top = Path(name)
        single = top / "single.jsonl"
        texts = commands(ROWS, None)
        as_rows = [
            {"id": n, "source_kind": "command", "payload": {"command_text": text}}
            for n, text in enumerate(texts)
        ]
        write(single, as_rows[:1])
        start_s, start_busy_s, _ = run([single])
        print(f"start of the program: {start_s:.2f} s")
        corpora = {Path(given).name: [Path(given)] for given in sys.argv[1:]}
        if not corpora:
            alone, within = top / "commands.jsonl", top / "sessions.jsonl"
            write(alone, as_rows)
            write(
                within,
                (
                    {
                        "id": n,
                        "source_kind": "session",
                        "payload": {"commands": texts[n : n + SESSION_COMMANDS]},
                    }
                    for n in range(0, ROWS, SESSION_COMMANDS)
                ),
            )
            corpora = {"commands": [alone], f"sessions of {SESSION_COMMANDS} commands": [within]}
        for title, paths in corpora.items():
            took_s, busy_s, rows = run(paths)
            rate = rows / max(took_s - start_s, 1e-3)
            busy = rows / max(busy_s - start_busy_s, 1e-3)
            print(
                f"{title}: {rows:,} rows, {rate:,.0f} rows/s, {busy:,.0f} a second of processor "
                "time (target 5,000)"
            )


if __name__ == "__main__":
    main()
