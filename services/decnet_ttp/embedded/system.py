# SPDX-License-Identifier: AGPL-3.0-or-later
"""One embedded installation from its lock to its last child: what `up` and `down` do."""

import asyncio
import fcntl
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from decnet_ttp.embedded import proc, remains, services
from decnet_ttp.embedded.child import Backoff, Child
from decnet_ttp.embedded.errors import AlreadyRunningError, EmbeddedError
from decnet_ttp.embedded.layout import ChildReport, Instance, Layout
from decnet_ttp.embedded.nats import NatsServer
from decnet_ttp.embedded.postgres import PostgresServer
from decnet_ttp.embedded.supervisor import Supervisor

_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_REMAINS_GRACE_S = 5.0
_POLL_S = 0.05


def _nothing(_: object) -> None:
    """Report to nobody."""


@dataclass(frozen=True)
class Choices:
    """What may differ from the default.

    Attributes:
        database_url: A PostgreSQL of one's own; empty starts a private one.
        nats_url: A NATS of one's own; empty starts a private one.
        pg_bin: PostgreSQL programs to use instead of the wheel's.
        children: Describes the services of an instance.
        backoff: Pauses between restarts.
        on_change: Called with each new state of a child.
        on_ready: Called once, when everything is ready.
    """

    database_url: str = ""
    nats_url: str = ""
    pg_bin: Path | None = None
    children: Callable[[Instance], Sequence[Child]] = services.children
    backoff: Backoff = field(default_factory=Backoff)
    on_change: Callable[[ChildReport], None] = _nothing
    on_ready: Callable[[Instance], None] = _nothing


async def run(data_dir: Path, choices: Choices) -> None:
    """Start everything over a data directory, keep it alive, stop it on SIGTERM or SIGINT.

    A second such signal kills what has not stopped yet.

    Raises:
        AlreadyRunningError: Another supervisor holds the directory.
        EmbeddedError: Something cannot start.
        OSError: The directory cannot be used.
    """
    layout = Layout.of(data_dir)
    layout.create()
    with _locked(layout):
        await end_remains(layout)
        await _Running(layout, choices).run()


async def down(data_dir: Path, *, timeout_s: float = 240.0) -> bool:
    """Stop the instance over a data directory and wait until none of its processes is left.

    Args:
        data_dir: The data directory.
        timeout_s: Seconds the supervisor has for an orderly stop before it is killed.

    Returns:
        Whether anything was running.

    Raises:
        EmbeddedError: A supervisor does not tell who it is, or is started again and again.
        PermissionError: It belongs to another user.
    """
    layout = Layout.of(data_dir)
    was_running = False
    deadline = time.monotonic() + timeout_s
    while True:
        instance = Instance.load_last(layout.data_dir)
        if instance is not None and instance.alive:
            was_running = True
            await remains.end([instance.pid], signal.SIGTERM, grace_s=timeout_s)
        try:
            # Under the lock, so that what is ended and cleared is not of one that starts now.
            with _locked(layout) if layout.lock_file.exists() else nullcontext():
                left = await end_remains(layout)
                last = Instance.load_last(layout.data_dir)
                if last is not None:
                    _clear(layout, last.run_dir)
                return was_running or left
        except AlreadyRunningError:
            # A supervisor has begun and not told yet who it is, or is at its very end.
            was_running = True
        if time.monotonic() > deadline:
            raise EmbeddedError(
                f"another process holds {layout.lock_file} and does not end: find it with "
                f"`fuser {layout.lock_file}`, end it, and run `decnet-ttp down` again"
            )
        await asyncio.sleep(_POLL_S)


async def end_remains(layout: Layout) -> bool:
    """End what a supervisor that was killed has left; returns whether there was anything.

    The kernel ends the children together with their supervisor; this is for those it did not
    reach in time, and it waits until they are gone.
    """

    def find() -> tuple[list[int], list[int]]:
        marks = (remains.instance_id(path) for path in (layout.data_dir, layout.nats_dir))
        marked = [pid for mark in marks for pid in remains.marked_processes(mark)]
        cluster = remains.cluster_name(layout.postgres_dir)
        return marked, remains.postgres_processes(cluster)

    marked, postgres = await asyncio.to_thread(find)
    await remains.end(marked, signal.SIGTERM, grace_s=_REMAINS_GRACE_S)
    await remains.end(postgres, signal.SIGINT, signal.SIGQUIT, grace_s=_REMAINS_GRACE_S)
    return bool(marked or postgres)


class _Running:
    """The life of one instance."""

    def __init__(self, layout: Layout, choices: Choices) -> None:
        self._layout = layout
        self._choices = choices
        self._supervisor = Supervisor(
            layout.logs_dir, backoff=choices.backoff, on_change=self._changed
        )
        self._postgres: PostgresServer | None = None
        self._instance = Instance(
            data_dir=layout.data_dir,
            run_dir=layout.make_run_dir(),
            pid=os.getpid(),
            pid_ticks=proc.start_ticks(os.getpid()) or 0,
            ready=False,
            started=time.time(),
            database_url=choices.database_url,
            nats_url=choices.nats_url,
        )

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        stop = asyncio.Event()

        def on_signal() -> None:
            if stop.is_set():
                self._supervisor.kill()
            stop.set()

        handled = [
            number
            for number in _STOP_SIGNALS
            # Started by nohup, it is to survive the hang-up.
            if signal.getsignal(number) is not signal.SIG_IGN
        ]
        for number in handled:
            loop.add_signal_handler(number, on_signal)
        self._instance.save()
        work = asyncio.create_task(self._work())
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({work, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                work.result()
        finally:
            for task in (work, stopping):
                task.cancel()
            await asyncio.gather(work, stopping, return_exceptions=True)
            await self._supervisor.stop()
            if self._postgres is not None:
                self._postgres.close()
            _clear(self._layout, self._instance.run_dir)
            for number in handled:
                loop.remove_signal_handler(number)

    async def _work(self) -> None:
        servers = [
            asyncio.create_task(start()) for start in (self._start_postgres, self._start_nats)
        ]
        try:
            await asyncio.gather(*servers)
        finally:
            for server in servers:
                server.cancel()
            await asyncio.gather(*servers, return_exceptions=True)
        await self._supervisor.start(self._choices.children(self._instance))
        self._now(replace(self._instance, ready=True))
        self._choices.on_ready(self._instance)
        await self._supervisor.watch()

    async def _start_postgres(self) -> None:
        if self._choices.database_url:
            return
        self._postgres = PostgresServer(
            self._layout.postgres_dir,
            run_dir=self._instance.run_dir,
            log_path=self._layout.log("postgres"),
            bin_dir=self._choices.pg_bin,
        )
        await self._postgres.prepare()
        await self._supervisor.start([self._postgres.child()])
        self._now(replace(self._instance, database_url=self._postgres.url))

    async def _start_nats(self) -> None:
        if self._choices.nats_url:
            return
        server = NatsServer(self._layout.nats_dir, log_path=self._layout.log("nats"))
        await self._supervisor.start([server.child()])
        self._now(replace(self._instance, nats_url=server.url))

    def _changed(self, report: ChildReport) -> None:
        self._now(replace(self._instance, children=self._supervisor.reports))
        self._choices.on_change(report)

    def _now(self, instance: Instance) -> None:
        self._instance = instance
        # On a full disk the state goes stale; the children matter more.
        with suppress(OSError):
            instance.save()


@contextmanager
def _locked(layout: Layout) -> Iterator[None]:
    """Hold the one lock of a data directory; the kernel drops it when this process ends."""
    with layout.lock_file.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            instance = Instance.load_last(layout.data_dir)
            pid = instance.pid if instance is not None and instance.alive else None
            raise AlreadyRunningError(layout.data_dir, pid) from None
        yield


def _clear(layout: Layout, run_dir: Path) -> None:
    """Remove what only means something while the instance runs."""
    if run_dir in layout.run_dir_candidates():
        shutil.rmtree(run_dir, ignore_errors=True)
    with suppress(OSError):
        layout.state_file.unlink(missing_ok=True)
