# SPDX-License-Identifier: AGPL-3.0-or-later
"""A service of the project, run by the runtime under test, whose answers the test sets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from decnet_ttp.runtime.clients import open_channel
from decnet_ttp.runtime.config import Settings
from decnet_ttp.runtime.server import Server, Task
from decnet_ttp.v1 import (
    directory_service_pb2,
    directory_service_pb2_grpc,
    rule_store_service_pb2,
    rule_store_service_pb2_grpc,
)

DIRECTORY = "decnet_ttp.v1.DirectoryService"
RULE_STORE = "decnet_ttp.v1.RuleStoreService"

Answer = Callable[[str], Awaitable[str]]


async def echo(ip: str) -> str:
    """Answer with what was asked."""
    return ip


@dataclass
class Directory(directory_service_pb2_grpc.DirectoryServiceServicer):
    """Answers GetAttacker with what `answer` makes of the address."""

    answer: Answer = echo
    asked: list[str] = field(default_factory=list)

    async def GetAttacker(self, request: Any, context: Any) -> Any:
        self.asked.append(request.ip)
        found = directory_service_pb2.GetAttackerResponse()
        found.attacker.ip = await self.answer(request.ip)
        return found


@dataclass
class Rules(rule_store_service_pb2_grpc.RuleStoreServiceServicer):
    """Sends one message to every watcher, then raises `error`."""

    error: BaseException | None = None

    async def WatchRules(self, request: Any, context: Any) -> AsyncIterator[Any]:
        yield rule_store_service_pb2.WatchRulesResponse()
        if self.error is not None:
            raise self.error


@dataclass
class Served:
    """A server that runs, and what a test turns on it."""

    server: Server
    directory: Directory
    rules: Rules
    ready: bool
    run: asyncio.Task[None]

    async def stop(self) -> None:
        """Stop it in good order; raises what the run raised."""
        self.server.request_stop()
        await self.run


async def until(condition: Callable[[], bool | Awaitable[bool]], timeout_s: float = 60.0) -> None:
    """Wait for a condition, and fail after the timeout."""
    async with asyncio.timeout(timeout_s):
        while True:
            held = condition()
            if held if isinstance(held, bool) else await held:
                return
            await asyncio.sleep(0.01)


@asynccontextmanager
async def serving(
    settings: Settings, *, ready: bool = True, tasks: Sequence[Task] = ()
) -> AsyncIterator[Served]:
    """Run a server of two services in this process; stop it at the end."""
    directory, rules = Directory(), Rules()
    server = (
        Server(settings, name="test")
        .add(
            directory_service_pb2_grpc.add_DirectoryServiceServicer_to_server, directory, DIRECTORY
        )
        .add(rule_store_service_pb2_grpc.add_RuleStoreServiceServicer_to_server, rules, RULE_STORE)
    )

    async def is_ready() -> bool:
        return served.ready

    run = asyncio.create_task(server.run(ready=is_ready, tasks=tasks))
    served = Served(server, directory, rules, ready, run)
    await until(lambda: bool(server.address) or run.done())
    if run.done():
        await run
    try:
        yield served
    finally:
        if not run.done():
            await served.stop()


@asynccontextmanager
async def directory_stub(target: str, settings: Settings | None = None) -> AsyncIterator[Any]:
    """Open a channel as clients of the project do."""
    async with open_channel(target, settings or Settings()) as channel:
        yield directory_service_pb2_grpc.DirectoryServiceStub(channel)


async def health(channel: grpc.aio.Channel, service: str = "") -> str:
    """Ask the standard health service."""
    stub: Any = health_pb2_grpc.HealthStub(channel)
    answer = await stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=60)
    return health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)
