# SPDX-License-Identifier: AGPL-3.0-or-later
"""Real installations over temporary directories, as whoever runs the tests or as `nobody`."""

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

# Test folders are no packages; the modules beside the tests are found by their folder.
sys.path.insert(0, str(Path(__file__).parent))

from embedded_installation import Installation

from decnet_ttp.embedded import postgres_binaries

# Reads what is closed to the account, so that the test environment may lie in a private home.
AS_NOBODY = (
    "setpriv",
    "--reuid=nobody",
    "--regid=nogroup",
    "--clear-groups",
    "--inh-caps=+dac_read_search",
    "--ambient-caps=+dac_read_search",
)


@pytest.fixture
def short_dir() -> Iterator[Path]:
    """Give a temporary directory whose path is short enough for sockets."""
    directory = Path(tempfile.mkdtemp(prefix="dt-", dir="/tmp"))
    yield directory
    shutil.rmtree(directory)


@pytest.fixture
def installation(short_dir: Path) -> Iterator[Installation]:
    """Give an installation of whoever runs the tests."""
    made = Installation(short_dir / "data")
    yield made
    made.close()


@pytest.fixture
def as_nobody(short_dir: Path) -> tuple[str, ...]:
    """Give a command prefix that drops root to `nobody`, who owns `short_dir`."""
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    # PostgreSQL asks access(2) about its own program, which no capability answers.
    program = postgres_binaries._wheel_installation() / "bin/postgres"
    check = f"import grpc, os, sys; sys.exit(not os.access({str(program)!r}, os.X_OK))"
    trial = [*AS_NOBODY, sys.executable, "-c", check]
    if subprocess.run(trial, check=False, capture_output=True).returncode != 0:
        pytest.skip("the environment cannot be read by another user here")
    nobody = pwd.getpwnam("nobody")
    os.chown(short_dir, nobody.pw_uid, nobody.pw_gid)
    return AS_NOBODY
