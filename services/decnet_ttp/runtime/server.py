# SPDX-License-Identifier: AGPL-3.0-or-later
"""The gRPC server every service runs: health, reflection, bounds, errors, and an orderly end."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from decnet_ttp import program_version
from decnet_ttp.runtime import tracing
from decnet_ttp.runtime.access import AccessInterceptor
from decnet_ttp.runtime.access_file import AccessFile
from decnet_ttp.runtime.binding import bind, bind_for_people
from decnet_ttp.runtime.boundary import ErrorInterceptor
from decnet_ttp.runtime.config import Settings
from decnet_ttp.runtime.figures import Collect, Family, Figure, Progress, gauge
from decnet_ttp.runtime.health import EndingHealthServicer
from decnet_ttp.runtime.listening import host_and_port, is_loopback
from decnet_ttp.runtime.memory import Trimming
from decnet_ttp.runtime.tracing import TracingInterceptor

#: Bound on one message between services, in bytes.
MAX_MESSAGE_BYTES = 64 * 1024 * 1024

#: How often readiness is looked at, in seconds: quickly until it is first reached.
_POLL_STARTING_S = 0.05
_POLL_RUNNING_S = 2.0

#: A client looks its target up again only when a connection ends; so that it finds replicas added
#: later, connections end at this age. Calls and streams that run on one finish undisturbed.
_CONNECTION_AGE_MS = 30_000

_log = logging.getLogger(__name__)

Ready = Callable[[], Awaitable[bool]]
Task = Callable[[asyncio.Event], Awaitable[None]]


class Server:
    """One gRPC server with everything a service of ours shares.

    Health stays NOT_SERVING until `ready` says so, and follows it from then on. On SIGTERM or
    SIGINT the order is: not serving, stop the tasks (which finish and acknowledge what they hold),
    finish the calls, return.

    Args:
        settings: Where to listen, with which certificates, how long to take at the end.
        name: Name of the service, for the log and for its heart-beats, which it has wherever a
            bus is set.
        progress: What heart-beats tell beyond life.
        metrics: What is on the metrics page, where one is set, beyond the process itself.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        name: str,
        progress: Progress | None = None,
        metrics: Sequence[Collect] = (),
    ) -> None:
        self._settings = settings
        self._name = name
        self._progress = progress
        self._metrics = metrics
        self._access = _access(settings)
        self._server = grpc.aio.server(
            interceptors=[
                *([TracingInterceptor()] if settings.otel_endpoint else []),
                ErrorInterceptor(),
                *([self._access] if self._access else []),
            ],
            options=[
                ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
                ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
                ("grpc.so_reuseport", 0),
                ("grpc.keepalive_permit_without_calls", 1),
                ("grpc.http2.min_recv_ping_interval_without_data_ms", 5_000),
                ("grpc.max_connection_age_ms", _CONNECTION_AGE_MS),
            ],
        )
        self._health = EndingHealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        self._names: list[str] = []
        self._stop = asyncio.Event()
        self._serving: bool | None = None
        self.address = ""
        self.people_address = ""
        self.metrics_address = ""

    def add(
        self, register: Callable[[Any, grpc.aio.Server], None], servicer: object, full_name: str
    ) -> Server:
        """Add a servicer.

        Args:
            register: The generated `add_XServicer_to_server`.
            servicer: The servicer.
            full_name: Full name of its gRPC service, for health and reflection.
        """
        register(servicer, self._server)
        self._names.append(full_name)
        return self

    def request_stop(self) -> None:
        """Begin the orderly end, as SIGTERM does."""
        self._stop.set()

    async def _set_serving(self, serving: bool) -> None:  # noqa: FBT001 - one positional state
        if serving == self._serving:
            return
        self._serving = serving
        _log.info("serving" if serving else "not serving", extra={"service": self._name})
        status = (
            health_pb2.HealthCheckResponse.SERVING
            if serving
            else health_pb2.HealthCheckResponse.NOT_SERVING
        )
        for name in ("", *self._names):
            await self._health.set(name, status)

    async def _follow_readiness(self, ready: Ready) -> None:
        reached = False
        while not self._stop.is_set():
            now = await ready()
            if self._stop.is_set():
                return
            reached = reached or now
            await self._set_serving(now)
            try:
                await asyncio.wait_for(
                    self._stop.wait(), _POLL_RUNNING_S if reached else _POLL_STARTING_S
                )
            except TimeoutError:
                continue

    async def run(self, *, ready: Ready, tasks: Sequence[Task] = ()) -> None:
        """Serve until SIGTERM, SIGINT or the end of a task.

        Args:
            ready: Whether the service can do its work now; polled.
            tasks: Work beside the calls; each gets an event that asks it to finish. A task that
                raises ends the service, whose supervisor then starts it anew.

        Raises:
            SettingsError: The address to listen on cannot be used.
            ExceptionGroup: A task failed.
        """
        reflection.enable_server_reflection(
            [
                *self._names,
                health_pb2.DESCRIPTOR.services_by_name["Health"].full_name,
                reflection.SERVICE_NAME,
            ],
            self._server,
        )
        tracing.start(self._settings, self._name)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        try:
            self.address = bind(self._server, self._settings)
            self.people_address = bind_for_people(self._server, self._settings)
            await self._set_serving(False)
            await self._server.start()
            _log.info(
                "listening",
                extra={
                    "service": self._name,
                    "address": self.address,
                    **({"people_address": self.people_address} if self.people_address else {}),
                    "pid": os.getpid(),
                },
            )
            try:
                async with self._metrics_page():
                    await self._run_tasks(ready, [*tasks, *self._tasks_of_our_own()])
            finally:
                self._stop.set()
                await self._set_serving(False)
                self._health.end_watches()
                await self._server.stop(self._settings.grace_s)
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)
            if tracing.enabled():
                await asyncio.to_thread(tracing.stop)
        _log.info("stopped", extra={"service": self._name})

    def _tasks_of_our_own(self) -> list[Task]:
        tasks: list[Task] = [Trimming().run]
        if self._access:
            tasks.append(self._access.follow)
        if not self._settings.nats_url:
            return tasks
        # A service that has no bus does without its client.
        from decnet_ttp.runtime.heartbeat import Heartbeat  # noqa: PLC0415 - not paid for where it is off

        beats = Heartbeat(
            self._settings,
            service=self._name,
            request_stop=self.request_stop,
            progress=self._tell_progress,
        )
        return [*tasks, beats.run]

    async def _tell_progress(self) -> Mapping[str, Figure]:
        told = await self._progress() if self._progress else {}
        return {**told, "ready": bool(self._serving)}

    @asynccontextmanager
    async def _metrics_page(self) -> AsyncIterator[None]:
        if not self._settings.metrics_listen:
            yield
            return
        # The client library is for those who want the page.
        from decnet_ttp.runtime.metrics import MetricsPage  # noqa: PLC0415 - not paid for where it is off

        async with MetricsPage(self._settings, [self._own_figures, *self._metrics]) as page:
            self.metrics_address = page.address
            yield

    async def _own_figures(self) -> list[Family]:
        return [
            Family(
                "build_info",
                "gauge",
                "Version of the program; always 1.",
                {(self._name, program_version()): 1},
                ("service", "version"),
            ),
            gauge("ready", "1 while the service can do its work.", float(bool(self._serving))),
            *(self._access.figures() if self._access else []),
        ]

    async def _run_tasks(self, ready: Ready, tasks: Sequence[Task]) -> None:
        async with asyncio.TaskGroup() as group:
            following = group.create_task(self._follow_readiness(ready))
            for task in tasks:
                group.create_task(self._guarded(task))
            await self._stop.wait()
            # A check that hangs must not hold up the end.
            following.cancel()
            await self._set_serving(False)

    async def _guarded(self, task: Task) -> None:
        """Run a task; its end before the stop is as fatal as its failure."""
        running = asyncio.ensure_future(task(self._stop))
        stopping = asyncio.ensure_future(self._stop.wait())
        try:
            await asyncio.wait((running, stopping), return_when=asyncio.FIRST_COMPLETED)
            if not running.done():
                await asyncio.wait((running,), timeout=self._settings.grace_s)
            if not running.done():
                _log.warning("task cut off after the grace time", extra={"service": self._name})
                running.cancel()
                await asyncio.wait((running,))
                return
            await running
            if not self._stop.is_set():
                raise RuntimeError(f"a task of {self._name} ended by itself")
        finally:
            running.cancel()
            stopping.cancel()


def _access(settings: Settings) -> AccessInterceptor | None:
    """Return what asks callers for tokens; None where only this host can call."""
    if settings.access_file is None:
        return None
    parts = host_and_port(settings.listen)
    near = settings.listen.startswith("unix:") or (parts is not None and is_loopback(parts[0]))
    if near and not settings.people_listen:
        return None
    return AccessInterceptor(AccessFile(settings.access_file))
