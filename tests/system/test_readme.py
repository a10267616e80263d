# SPDX-License-Identifier: AGPL-3.0-or-later
"""What the README shows is what the program prints."""

from __future__ import annotations

import fcntl
import os
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest
from benchmarks.cowrie_logs import SAMPLE
from benchmarks.installation import Installation

pytestmark = pytest.mark.system

README = Path(__file__).resolve().parents[2] / "README.md"
COLUMNS = 136


def on_terminal(installation: Installation, *arguments: str) -> str:
    """Run a command on a terminal; returns what it showed, without colours."""
    master, slave = os.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, COLUMNS, 0, 0))
    # Sizes set there would win over that of the terminal.
    environ = {name: os.environ[name] for name in os.environ.keys() - {"COLUMNS", "LINES"}}
    environ |= {"DECNET_TTP_DATA_DIR": str(installation.data_dir), "TERM": "xterm"}
    command = [sys.executable, "-m", "decnet_ttp.cli.main", *arguments]
    with subprocess.Popen(
        command, stdin=slave, stdout=slave, stderr=subprocess.DEVNULL, env=environ
    ) as child:
        os.close(slave)
        shown = b""
        try:
            while chunk := os.read(master, 65536):
                shown += chunk
        except OSError:  # Linux ends a terminal whose other side closed with EIO
            pass
        child.wait()
    os.close(master)
    text = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", shown.decode()).replace("\r\n", "\n")
    return "\n".join(line.rstrip() for line in text.strip("\n").splitlines())


def shown_in_readme() -> dict[str, str]:
    """Return the output that README shows for each command."""
    blocks = re.findall(r"```console\n(.*?)```", README.read_text(), re.DOTALL)
    shown = {}
    for block in blocks:
        command, _, output = block.partition("\n")
        shown[command.removeprefix("$ decnet-ttp ")] = output.rstrip("\n")
    return shown


def test_readme_shows_what_the_program_prints(installation: Installation) -> None:
    installation.run("import", "cowrie", SAMPLE, "--wait", "240")
    shown = shown_in_readme()
    assert list(shown) == ["techniques", "tags --ip 127.0.0.31 --limit 6"]
    for command, output in shown.items():
        assert on_terminal(installation, *command.split()) == output
