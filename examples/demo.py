# SPDX-License-Identifier: AGPL-3.0-or-later
"""`./dev demo`: the main job from end to end in a temporary directory; nothing is left behind."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

SAMPLE = Path(__file__).resolve().parent / "cowrie-sample.json"

#: An attacker of the sample: the human who looks round.
ATTACKER = "127.0.0.31"


def step(environ: dict[str, str], *arguments: str, say: str = "") -> None:
    """Show a command and run it; ends the demo when it fails."""
    if say:
        print(f"\n{say}", flush=True)
    print(f"$ decnet-ttp {shlex.join(arguments)}", flush=True)
    done = subprocess.run(
        [sys.executable, "-m", "decnet_ttp.cli.main", *arguments], env=environ, check=False
    )
    if done.returncode:
        sys.exit(f"demo: that ended with {done.returncode}; its message stands above")


def main() -> None:
    """Run the demo."""
    with tempfile.TemporaryDirectory(prefix="decnet-ttp-demo-") as folder:
        environ = {key: value for key, value in os.environ.items() if not key.startswith("DECNET_")}
        environ["DECNET_TTP_DATA_DIR"] = folder
        step(environ, "up", "--detach", say="Start PostgreSQL, NATS and the services.")
        try:
            relative = os.path.relpath(SAMPLE)
            step(
                environ,
                *("import", "cowrie", relative, "--wait", "60"),
                say="Import a log that a real Cowrie wrote.",
            )
            step(environ, "techniques", say="What did the fleet see?")
            step(
                environ,
                *("tags", "--ip", ATTACKER, "--limit", "12"),
                say=f"What did {ATTACKER} do, and why do you say so?",
            )
        finally:
            step(environ, "down", say="Stop everything.")
    print(
        "\nNext: ./dev run up --detach, then ./dev run import cowrie /path/to/cowrie.json"
        "\nand ./dev run techniques. README.md and docs/ say more."
    )


if __name__ == "__main__":
    main()
