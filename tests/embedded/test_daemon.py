# SPDX-License-Identifier: AGPL-3.0-or-later
"""Going into the background, and the commands over what runs there."""

import json
import os
import signal
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from embedded_installation import DEADLINE_S, SUPERVISE, Installation, processes_of, until

from decnet_ttp.cli.embedded import down, status, up
from decnet_ttp.embedded import daemon
from decnet_ttp.embedded.layout import ChildReport, ChildState, Instance


def detach(data_dir: Path, reports: list[ChildReport]) -> int:
    return daemon.start(
        (sys.executable, str(SUPERVISE), str(data_dir), "ingest"),
        data_dir,
        on_change=reports.append,
        timeout_s=DEADLINE_S,
    )


def test_a_daemon_is_ready_on_return_and_owns_no_terminal(installation: Installation) -> None:
    """It leads its own session, works in its data directory, and keeps no stream of ours."""
    reports: list[ChildReport] = []
    pid = detach(installation.data_dir, reports)
    try:
        instance = Instance.load(installation.data_dir)
        assert (instance.pid, instance.ready) == (pid, True)
        last = {report.name: report.state for report in reports}
        assert last == dict.fromkeys(("nats", "postgres", "ingest"), ChildState.READY)
        assert os.getsid(pid) == pid
        assert Path(f"/proc/{pid}/cwd").readlink() == installation.data_dir
        streams = {Path(f"/proc/{pid}/fd/{number}").readlink() for number in range(3)}
        assert streams == {Path("/dev/null"), installation.data_dir / "logs/supervisor.log"}
        answer = CliRunner().invoke(status, ["--data-dir", str(installation.data_dir), "--json"])
        shown = json.loads(answer.stdout)
        assert (answer.exit_code, shown["ready"], shown["pid"]) == (0, True, pid)
        assert {child["name"]: child["restarts"] for child in shown["children"]} == {
            "nats": 0,
            "postgres": 0,
            "ingest": 0,
        }
        assert all(child["answers"] for child in shown["children"])
        assert all(child["resident_bytes"] > 1_000_000 for child in shown["children"])
        assert instance.nats_url.split("@")[0] not in answer.stdout
    finally:
        stopped = CliRunner().invoke(down, ["--data-dir", str(installation.data_dir)])
    assert stopped.exit_code == 0
    assert stopped.stderr == f"stopped; the data stays in {installation.data_dir}\n"
    assert processes_of(installation.data_dir) == []
    again = CliRunner().invoke(down, ["--data-dir", str(installation.data_dir)])
    assert (again.exit_code, again.stderr) == (0, f"nothing ran over {installation.data_dir}\n")


def test_a_daemon_that_cannot_start_says_why(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reason and the end of the failing child's log reach the waiting command."""
    monkeypatch.setenv("FAKE_EXIT", "1")
    with pytest.raises(daemon.DaemonFailedError, match="ingest did not start: exit 1") as failure:
        detach(installation.data_dir, [])
    assert failure.value.log_tail[-1] == "cannot work, code 1"
    assert processes_of(installation.data_dir) == []


def test_a_daemon_that_dies_without_a_word_is_noticed(installation: Installation) -> None:
    """The end of the supervisor's log stands in for its reason."""
    argv = (sys.executable, "-c", "import sys; sys.exit('out of order')")
    with pytest.raises(daemon.DaemonFailedError, match="ended before it was ready") as failure:
        daemon.start(argv, installation.data_dir, on_change=lambda _: None, timeout_s=DEADLINE_S)
    assert failure.value.log_tail == ("out of order",)


def test_a_slow_start_is_not_called_a_failure(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the waiting is over the supervisor goes on, and the message says how to look."""
    monkeypatch.setenv("FAKE_DELAY_S", "600")
    argv = (sys.executable, str(SUPERVISE), str(installation.data_dir), "ingest")
    with pytest.raises(daemon.DaemonFailedError, match="still starting: look with"):
        daemon.start(argv, installation.data_dir, on_change=lambda _: None, timeout_s=0.5)
    until(lambda: installation.report() is not None, "the supervisor has begun")
    answer = CliRunner().invoke(status, ["--data-dir", str(installation.data_dir), "--json"])
    assert (answer.exit_code, json.loads(answer.stdout)["ready"]) == (1, False)
    CliRunner().invoke(down, ["--data-dir", str(installation.data_dir)])
    assert processes_of(installation.data_dir) == []


@pytest.mark.faults
def test_status_notices_a_child_that_does_not_answer(installation: Installation) -> None:
    """A frozen service is alive and was ready, but `status` says the truth."""
    installation.up()
    pid = installation.pid("ingest")
    os.kill(pid, signal.SIGSTOP)
    answer = CliRunner().invoke(status, ["--data-dir", str(installation.data_dir)])
    os.kill(pid, signal.SIGCONT)
    assert answer.exit_code == 1
    states = [line.split("\t")[:2] for line in answer.stdout.splitlines()[1:]]
    assert states == [["nats", "ready"], ["postgres", "ready"], ["ingest", "does not answer"]]


def test_up_refuses_a_directory_that_is_taken(installation: Installation) -> None:
    """The second `up` ends with one line and exit code 1."""
    instance = installation.up()
    answer = CliRunner().invoke(up, ["--data-dir", str(installation.data_dir)])
    assert answer.exit_code == 1
    assert answer.stderr.startswith("decnet-ttp: decnet-ttp already runs") is True
    assert f"(process {instance.pid})" in answer.stderr


def test_status_of_nothing_is_exit_code_1(tmp_path: Path) -> None:
    """People get the cure, programs get JSON; both see the exit code."""
    told = CliRunner().invoke(status, ["--data-dir", str(tmp_path)])
    assert (told.exit_code, told.stdout) == (1, "")
    assert "decnet-ttp up" in told.stderr
    asked = CliRunner().invoke(status, ["--data-dir", str(tmp_path), "--json"])
    assert asked.exit_code == 1
    assert json.loads(asked.stdout) == {
        "data_dir": str(tmp_path),
        "running": False,
        "ready": False,
        "children": [],
    }
