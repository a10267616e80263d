# SPDX-License-Identifier: AGPL-3.0-or-later
"""Children that cannot outlive their starter."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from embedded_installation import until

from decnet_ttp.embedded import proc, remains
from decnet_ttp.embedded.child import Backoff
from decnet_ttp.embedded.process import Command, Process, describe_exit

SLEEP = ("/bin/sleep", "60")


async def test_a_process_is_stopped_by_its_signal() -> None:
    """The exit status of a signal is its negative number."""
    process = Process.spawn(Command(SLEEP))
    assert await process.stop(signal.SIGTERM, 10) == -signal.SIGTERM
    assert process.returncode == -signal.SIGTERM
    process.send_signal(signal.SIGKILL)


async def test_a_process_that_ignores_its_signal_is_killed(tmp_path: Path) -> None:
    """After the grace comes SIGKILL."""
    log = tmp_path / "log"
    script = "trap '' TERM; echo armed; while :; do sleep 1; done"
    process = Process.spawn(Command(("/bin/sh", "-c", script), {"PATH": "/bin"}), log)
    until(lambda: log.read_text() == "armed\n", "the trap is set")
    assert await process.stop(signal.SIGTERM, 0.05) == -signal.SIGKILL


async def test_a_missing_program_is_an_early_exit_with_its_reason_in_the_log(
    tmp_path: Path,
) -> None:
    """The log says which file is missing, and only its owner may read it."""
    log = tmp_path / "log"
    process = Process.spawn(Command(("/does/not/exist",)), log)
    assert await process.wait() == 1
    assert log.read_text() == "cannot run /does/not/exist: No such file or directory\n"
    assert log.stat().st_mode & 0o777 == 0o600


@pytest.mark.faults
def test_a_child_dies_with_a_killed_starter() -> None:
    """The kernel ends the child at once, though nobody asked it to."""
    program = f"""
        import asyncio
        from decnet_ttp.embedded.process import Command, Process
        async def main():
            process = Process.spawn(Command({SLEEP!r}))
            print(process.pid, flush=True)
            await process.wait()
        asyncio.run(main())
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)], stdout=subprocess.PIPE, text=True
    ) as starter:
        assert starter.stdout is not None
        child = int(starter.stdout.readline())
        until(lambda: b"sleep" in Path(f"/proc/{child}/cmdline").read_bytes()[:12], "exec is done")
        starter.kill()
    until(lambda: proc.start_ticks(child) is None, "the child ended")


async def test_marked_processes_are_found_and_ended() -> None:
    """A process that carries our mark is found wherever it came from, others are not."""
    process = Process.spawn(Command(SLEEP, {remains.MARK: "0123456789ab"}))
    other = Process.spawn(Command(SLEEP, {remains.MARK: "0123456789abc"}))
    until(lambda: remains.marked_processes("0123456789ab") == [process.pid], "it is found")
    await remains.end([process.pid], signal.SIGTERM)
    assert await process.wait() == -signal.SIGTERM
    assert other.returncode is None
    await other.stop(signal.SIGKILL, 1)


async def test_a_process_in_a_container_with_the_same_mark_is_left_alone() -> None:
    """Its data directory only has the same name as ours."""
    program = shutil.which("unshare")
    if os.geteuid() != 0 or program is None:
        pytest.skip("only root can make a namespace of process ids")
    unshare = (program, "--pid", "--fork", "--kill-child")
    mark = {remains.MARK: "fedcba987654"}
    process = Process.spawn(Command((*unshare, *SLEEP), mark))
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")

    def has_child() -> bool:
        return bool(children.read_text())

    async with asyncio.timeout(60):
        while not has_child() and process.returncode is None:
            await asyncio.sleep(0.01)
    if process.returncode is not None:
        pytest.skip("namespaces are not allowed here")
    assert remains.marked_processes("fedcba987654") == [process.pid]
    await process.stop(signal.SIGKILL, 1)


async def test_ending_a_process_that_is_gone_does_nothing() -> None:
    """Between finding and ending, processes go away."""
    process = Process.spawn(Command(("/bin/true",)))
    await process.wait()
    await remains.end([process.pid], signal.SIGTERM)


@pytest.mark.parametrize(
    ("returncode", "words"), [(0, "exit 0"), (3, "exit 3"), (-9, "SIGKILL"), (-250, "signal 250")]
)
def test_exits_are_named(returncode: int, words: str) -> None:
    """An exit status is named as a person would."""
    assert describe_exit(returncode) == words


def test_pauses_double_up_to_a_limit() -> None:
    """The first restart is quick, and no number of deaths overflows."""
    backoff = Backoff(first_s=0.1, limit_s=5)
    assert [backoff.pause_s(n) for n in (1, 2, 3, 7, 10_000)] == [0.1, 0.2, 0.4, 5, 5]


def test_resident_memory_counts_the_family() -> None:
    """A process with memory of its own reports at least that much."""
    ours = proc.resident_bytes(os.getpid())
    assert ours is not None
    assert ours > 10 * 1024 * 1024
    assert proc.resident_bytes(2**22 + 1) is None
