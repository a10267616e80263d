# SPDX-License-Identifier: AGPL-3.0-or-later
"""Child processes that cannot outlive the process that started them.

Linux only: it rests on pidfd (exit without threads or SIGCHLD, no confusion by reused process
ids) and on the parent death signal. That signal is bound to the *thread* that forked, so
children are to be spawned from the main thread, which lives as long as the process.
"""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from decnet_ttp.embedded import log_files

_SHIM = Path(__file__).with_name("shim.py")


@dataclass(frozen=True)
class Account:
    """A user and group of the system, by number."""

    uid: int
    gid: int


@dataclass(frozen=True)
class Command:
    """How to start one program.

    Attributes:
        argv: Absolute path of the program, then its arguments.
        env: The whole environment.
        cwd: Working directory; None keeps the starter's.
        account: Whom to become first; None stays who we are. Needs root.
        death_signal: What the kernel sends the program when its starter dies, however it dies.
        pass_fds: File descriptors the program inherits under the same numbers.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: Path | None = None
    account: Account | None = None
    death_signal: signal.Signals = signal.SIGKILL
    pass_fds: tuple[int, ...] = ()


class Process:
    """One running program."""

    def __init__(self, popen: subprocess.Popen[bytes]) -> None:
        loop = asyncio.get_running_loop()
        self._popen = popen
        self._exit: asyncio.Future[int] = loop.create_future()
        self._pidfd = os.pidfd_open(popen.pid)
        loop.add_reader(self._pidfd, self._reap, loop)

    @classmethod
    def spawn(cls, command: Command, log_path: Path | None = None) -> Self:
        """Start the program in a session of its own, so that a terminal's Ctrl-C passes it by.

        Args:
            command: The program.
            log_path: File that standard output and error are appended to (mode 0600); None
                discards them.

        Raises:
            OSError: The log cannot be opened or the system has no room for a process. A program
                that cannot be executed shows as an early exit instead.
        """
        account = command.account
        credentials = (str(account.uid), str(account.gid)) if account else ("-", "-")
        shim = (sys.executable, "-I", "-S", str(_SHIM), str(os.getpid()))
        output = log_files.open_append(log_path) if log_path else os.open(os.devnull, os.O_WRONLY)
        try:
            popen = subprocess.Popen(  # noqa: S603 - the argv is built by the supervisor alone
                (*shim, str(command.death_signal.value), *credentials, *command.argv),
                env=dict(command.env),
                cwd=command.cwd,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=command.pass_fds,
                start_new_session=True,
            )
        finally:
            os.close(output)
        return cls(popen)

    def _reap(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.remove_reader(self._pidfd)
        os.close(self._pidfd)
        if not self._exit.done():
            self._exit.set_result(self._popen.wait())

    @property
    def pid(self) -> int:
        """Process id."""
        return self._popen.pid

    @property
    def returncode(self) -> int | None:
        """Exit status, negative for a signal; None while it runs."""
        return self._exit.result() if self._exit.done() else None

    async def wait(self) -> int:
        """Wait for the end; returns the exit status, negative for a signal."""
        return await asyncio.shield(self._exit)

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal; does nothing when the program has ended."""
        if not self._exit.done():
            self._popen.send_signal(number)

    async def stop(self, number: signal.Signals, grace_s: float) -> int:
        """Ask the program to end, kill it after `grace_s` seconds; returns its exit status."""
        self.send_signal(number)
        try:
            async with asyncio.timeout(grace_s):
                return await self.wait()
        except TimeoutError:
            self.send_signal(signal.SIGKILL)
            return await self.wait()


def describe_exit(returncode: int) -> str:
    """Name an exit status as a person would: "exit 1" or "SIGKILL"."""
    if returncode >= 0:
        return f"exit {returncode}"
    try:
        return signal.Signals(-returncode).name
    except ValueError:
        return f"signal {-returncode}"
