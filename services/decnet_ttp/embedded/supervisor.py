# SPDX-License-Identifier: AGPL-3.0-or-later
"""Keeping children alive: start, wait for readiness, restart with growing pauses, stop in order."""

import asyncio
import itertools
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from decnet_ttp.embedded import launch, log_files
from decnet_ttp.embedded.child import Backoff, Child
from decnet_ttp.embedded.errors import EmbeddedError, StartFailedError
from decnet_ttp.embedded.layout import ChildReport, ChildState
from decnet_ttp.embedded.process import Process, describe_exit

OnChange = Callable[[ChildReport], None]

# A child that never became ready is given this many starts: its fault will not heal itself,
# and somebody waits for `up`.
_FIRST_STARTS = 5
_UNREADY_GRACE_S = 5.0
_CANCEL_AGAIN_S = 1.0


class Supervisor:
    """Runs children until it is told to stop.

    Args:
        logs_dir: An existing directory for one log a child.
        backoff: Pauses between restarts.
        on_change: Called with each new state of a child.
        clock: Seconds from any moment on, which tell how long a child was ready.
    """

    def __init__(
        self,
        logs_dir: Path,
        *,
        backoff: Backoff,
        on_change: OnChange,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._logs_dir = logs_dir
        self._backoff = backoff
        self._on_change = on_change
        self._clock = clock
        self._lives: dict[asyncio.Task[NoReturn], _Life] = {}

    @property
    def reports(self) -> tuple[ChildReport, ...]:
        """State of every child, in starting order."""
        return tuple(life.report for life in self._lives.values())

    async def start(self, children: Sequence[Child]) -> None:
        """Start these children together and wait until all are ready.

        Raises:
            StartFailedError: One gave up; the others run on until `stop`.
        """
        fresh = {}
        for child in children:
            log_path = self._logs_dir / f"{child.name}.log"
            life = _Life(child, log_path, self._backoff, self._on_change, self._clock)
            fresh[asyncio.create_task(life.run(), name=child.name)] = life
        self._lives.update(fresh)
        ready = asyncio.create_task(_all_ready(list(fresh.values())))
        try:
            await asyncio.wait({ready, *fresh}, return_when=asyncio.FIRST_COMPLETED)
            for task in fresh:
                if task.done():
                    task.result()
        finally:
            ready.cancel()

    async def watch(self) -> NoReturn:
        """Run until cancelled; an error in supervision itself is raised, never swallowed."""
        while True:
            done, _ = await asyncio.wait(self._lives, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()

    async def stop(self) -> None:
        """Stop everything, stage after stage, and wait for the end."""
        # A cancellation that meets a client at work may be lost: asyncio.wait_for of Python 3.11
        # passes over one that comes together with the answer.
        while going_on := [task for task in self._lives if not task.done()]:
            for task in going_on:
                task.cancel()
            await asyncio.wait(going_on, timeout=_CANCEL_AGAIN_S)
        await asyncio.gather(*self._lives, return_exceptions=True)
        by_stage = sorted(self._lives.values(), key=lambda life: life.child.stop_stage)
        for _, lives in itertools.groupby(by_stage, key=lambda life: life.child.stop_stage):
            await asyncio.gather(*(life.stop() for life in lives))

    def kill(self) -> None:
        """Kill everything that still runs; `stop` then returns at once."""
        for life in self._lives.values():
            life.kill()


class _Life:
    """All starts of one child."""

    def __init__(
        self,
        child: Child,
        log_path: Path,
        backoff: Backoff,
        on_change: OnChange,
        clock: Callable[[], float],
    ) -> None:
        self.child = child
        self.report = ChildReport(child.name, ChildState.STARTING, None, 0, "", time.time())
        self.first_ready = asyncio.Event()
        self._log_path = log_path
        self._backoff = backoff
        self._on_change = on_change
        self._clock = clock
        self._process: Process | None = None

    async def run(self) -> NoReturn:
        failures = 0
        while True:
            try:
                healthy, ended = await self._live_once()
            except (EmbeddedError, OSError) as error:
                healthy, ended = False, str(error)
            failures = 1 if healthy else failures + 1
            if failures >= _FIRST_STARTS and not self.first_ready.is_set():
                tail = log_files.tail(self._log_path)
                raise StartFailedError(self.child.name, ended, self._log_path, tail)
            self._become(ChildState.WAITING, None, last_exit=ended)
            await asyncio.sleep(self._backoff.pause_s(failures))
            self._become(ChildState.STARTING, None, restarts=self.report.restarts + 1)

    async def _live_once(self) -> tuple[bool, str]:
        """One start to its end: whether it had run well for a while, and how it ended."""
        await self.child.before_start()
        log_files.rotate(self._log_path)
        process = self._process = Process.spawn(self.child.command, self._log_path)
        self._become(ChildState.STARTING, process.pid)
        try:
            ready = await launch.until_ready(self.child, process)
        except TimeoutError:
            await process.stop(self.child.stop_signal, _UNREADY_GRACE_S)
            return False, f"not ready within {self.child.ready_timeout_s:g} s"
        began = self._clock()
        if ready:
            self._become(ChildState.READY, process.pid)
            self.first_ready.set()
        ended = describe_exit(await process.wait())
        return ready and self._clock() - began >= self._backoff.healthy_s, ended

    async def stop(self) -> None:
        process = self._process
        ended = self.report.last_exit
        if process is not None and process.returncode is None:
            self._become(ChildState.STOPPING, process.pid)
            ended = describe_exit(await process.stop(self.child.stop_signal, self.child.grace_s))
        self._become(ChildState.STOPPED, None, last_exit=ended)

    def kill(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)

    def _become(
        self,
        state: ChildState,
        pid: int | None,
        *,
        last_exit: str | None = None,
        restarts: int | None = None,
    ) -> None:
        self.report = replace(
            self.report,
            state=state,
            pid=pid,
            last_exit=self.report.last_exit if last_exit is None else last_exit,
            restarts=self.report.restarts if restarts is None else restarts,
            since=time.time(),
        )
        self._on_change(self.report)


async def _all_ready(lives: Sequence[_Life]) -> None:
    for life in lives:
        await life.first_ready.wait()
