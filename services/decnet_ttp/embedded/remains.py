# SPDX-License-Identifier: AGPL-3.0-or-later
"""Finding and ending what an earlier supervisor over the same data directory left alive.

Recorded process ids are not trusted: they get reused. Services and NATS carry a mark in their
environment; PostgreSQL overwrites its environment with its process title, but both its own
command line and the titles of all its processes carry the cluster's name.
"""

import asyncio
import hashlib
import os
import select
import signal
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

MARK = "DECNET_TTP_SUPERVISED_BY"
_POLL_S = 0.01
_GRACE_S = 10.0


def instance_id(directory: Path) -> str:
    """Name a directory in 12 hexadecimal digits, equal for every spelling of its path."""
    return hashlib.sha256(os.fsencode(os.path.realpath(directory))).hexdigest()[:12]


def cluster_name(directory: Path) -> str:
    """Name of the PostgreSQL cluster kept in this directory."""
    return f"decnet-ttp-{instance_id(directory)}"


def marked_processes(mark: str) -> list[int]:
    """Process ids of all live processes that carry this mark in their environment."""
    wanted = f"{MARK}={mark}".encode()
    return _processes("environ", lambda content: wanted in content.split(b"\0"))


def postgres_processes(name: str) -> list[int]:
    """Process ids of the postmaster and every backend of the cluster of this name."""
    setting, title = f"cluster_name={name}".encode(), f"postgres: {name}: ".encode()
    return _processes(
        "cmdline",
        lambda content: setting in content.split(b"\0") or content.startswith(title),
    )


def session_processes(leader: int) -> list[int]:
    """Process ids of all live processes in the session that this process leads or led."""
    # proc(5): the name in brackets may hold anything; the session is the fourth field after it.
    return _processes(
        "stat", lambda content: content.rpartition(b")")[2].split()[3] == b"%d" % leader
    )


def _processes(entry: str, matches: Callable[[bytes], bool]) -> list[int]:
    found = []
    for directory in Path("/proc").iterdir():
        if not directory.name.isdigit() or int(directory.name) == os.getpid():
            continue
        # Processes end while we look.
        with suppress(OSError):
            if matches((directory / entry).read_bytes()) and _may_be_ours(directory):
                found.append(int(directory.name))
    return found


def _may_be_ours(directory: Path) -> bool:
    """Rule out other users, who could fake a mark, and containers with the same paths inside."""
    if os.geteuid() not in {0, directory.stat().st_uid}:
        return False
    status = (directory / "status").read_text(encoding="utf-8", errors="replace")
    # One process id for each nested namespace the process is in.
    ids = [line.split()[1:] for line in status.splitlines() if line.startswith("NSpid:")]
    return all(len(one) == 1 for one in ids)


async def end(pids: Iterable[int], *signals: signal.Signals, grace_s: float = _GRACE_S) -> None:
    """End these processes: the given signals one after the other, then SIGKILL.

    Args:
        pids: Process ids; those that are gone already are passed over.
        signals: What to try first, in this order.
        grace_s: Seconds to wait after each of them; SIGKILL is waited for at least as long as
            the kernel may need.

    Raises:
        PermissionError: A process belongs to another user.
    """
    handles = []
    for pid in pids:
        with suppress(ProcessLookupError):
            handles.append(os.pidfd_open(pid))
    try:
        for number in (*signals, signal.SIGKILL):
            for handle in handles:
                with suppress(ProcessLookupError):
                    signal.pidfd_send_signal(handle, number)
            kernels = number is signal.SIGKILL
            if await _all_ended(handles, max(grace_s, _GRACE_S) if kernels else grace_s):
                return
    finally:
        for handle in handles:
            os.close(handle)


async def end_session(leader: int, grace_s: float = _GRACE_S) -> None:
    """Kill a program that leads its own session, with all it has started, and see them gone.

    Args:
        leader: Process id of the program, started with a new session.
        grace_s: Seconds to wait for the ends.
    """
    with suppress(ProcessLookupError):
        # At once for all of them: one by one, another could be started in between.
        os.killpg(leader, signal.SIGKILL)
    await end(session_processes(leader), grace_s=grace_s)


async def wait_ended(pid: int, timeout_s: float) -> bool:
    """Wait until a process has ended; False when it still runs after `timeout_s` seconds."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return await _all_ended([handle], timeout_s)
    finally:
        os.close(handle)


async def _all_ended(handles: list[int], timeout_s: float) -> bool:
    poll = select.poll()
    for handle in handles:
        poll.register(handle, select.POLLIN)
    deadline = asyncio.get_running_loop().time() + timeout_s
    while len(poll.poll(0)) < len(handles):
        if asyncio.get_running_loop().time() > deadline:
            return False
        await asyncio.sleep(_POLL_S)
    return True
