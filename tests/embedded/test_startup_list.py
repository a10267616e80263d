# SPDX-License-Identifier: AGPL-3.0-or-later
"""What `up` shows while things start."""

import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from embedded_installation import DEADLINE_S, SUPERVISE, Installation, processes_of, until

from decnet_ttp.cli.startup_list import StartupList
from decnet_ttp.embedded.layout import ChildReport, ChildState


def test_plain_lines_tell_each_change_once(capsys: pytest.CaptureFixture[str]) -> None:
    """When piped, each new state is one line with its time; the process id alone is no change."""
    with StartupList() as shown:
        shown.changed(ChildReport("nats", ChildState.STARTING, None, 0, "", 0.0))
        shown.changed(ChildReport("nats", ChildState.STARTING, 7, 0, "", 0.0))
        shown.changed(ChildReport("nats", ChildState.READY, 7, 0, "", 1.0))
        shown.changed(ChildReport("nats", ChildState.WAITING, None, 0, "SIGKILL", 2.0))
        shown.changed(ChildReport("nats", ChildState.STARTING, None, 1, "SIGKILL", 3.0))
    assert capsys.readouterr().err.splitlines() == [
        "1970-01-01T00:00:00Z nats: starting",
        "1970-01-01T00:00:01Z nats: ready",
        "1970-01-01T00:00:02Z nats: waiting to restart after SIGKILL",
        "1970-01-01T00:00:03Z nats: starting (restart 1)",
    ]


@pytest.mark.faults
def test_a_terminal_that_goes_away_means_an_orderly_stop(installation: Installation) -> None:
    """Closing the terminal stops everything in good order, though nothing can be shown any more."""
    ours, theirs = pty.openpty()
    stops = installation.data_dir.with_name("stops")
    supervisor = subprocess.Popen(
        # Run under nohup, the tests would hand the ignored signal down.
        [
            *("env", "--default-signal=HUP", sys.executable, SUPERVISE),
            *(installation.data_dir, "ingest,tag-store", "terminal"),
        ],
        env={**os.environ, "FAKE_STOP_LOG": str(stops), "TERM": "xterm"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    installation.supervisors.append(supervisor)
    os.close(theirs)
    shown = b""
    while b"all ready" not in shown:
        shown += os.read(ours, 65536)
    assert "✔".encode() in shown
    os.close(ours)
    supervisor.send_signal(signal.SIGHUP)
    supervisor.wait(DEADLINE_S)
    stopped = [Path(line).stem for line in stops.read_text().splitlines()]
    assert stopped == ["ingest", "tag-store"]
    until(lambda: not processes_of(installation.data_dir), "no process is left")
