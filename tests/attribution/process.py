# SPDX-License-Identifier: AGPL-3.0-or-later
"""The real service as a process, and a directory beside it that the test fills."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from decnet_ttp.core.errors import NotFoundError
from decnet_ttp.runtime.boundary import ErrorInterceptor
from decnet_ttp.runtime.clients import open_channel
from decnet_ttp.runtime.config import Settings
from decnet_ttp.v1 import directory_service_pb2, directory_service_pb2_grpc

DEADLINE_S = 60.0


async def until(condition: Callable[[], Awaitable[bool]], *, within_s: float = DEADLINE_S) -> None:
    """Wait until a condition holds.

    Raises:
        TimeoutError: It did not in time.
    """
    deadline = time.monotonic() + within_s
    while not await condition():
        if time.monotonic() > deadline:
            raise TimeoutError("the condition did not come true")
        await asyncio.sleep(0.02)


class Service:
    """`decnet-ttp serve attribution` as a child process.

    Args:
        folder: Where its socket and log are.
        environ: DECNET_TTP_* variables.
    """

    def __init__(self, folder: Path, **environ: str) -> None:
        self.target = f"unix:{folder / 'attribution.sock'}"
        self._log = folder / "attribution.log"
        self._environ = {f"DECNET_TTP_{name.upper()}": value for name, value in environ.items()}
        self._process: asyncio.subprocess.Process | None = None
        self.channel = open_channel(self.target, Settings())

    @property
    def log(self) -> str:
        """What it logged so far."""
        return self._log.read_text()

    @property
    def pid(self) -> int:
        """Its process id."""
        if self._process is None:
            raise AssertionError("start it first")
        return self._process.pid

    async def start(self) -> None:
        """Start it; it need not be ready."""
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-m", "decnet_ttp.cli.main", "serve", "attribution"),
                env={**os.environ, **self._environ, "DECNET_TTP_LISTEN": self.target},
                stderr=log,
            )

    async def serving(self) -> bool:
        """Whether its health says so."""
        stub = health_pb2_grpc.HealthStub(self.channel)
        try:
            answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=2.0)
        except grpc.aio.AioRpcError:
            return False
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)

    async def answers(self) -> bool:
        """Whether its process answers at all, ready or not."""
        stub = health_pb2_grpc.HealthStub(self.channel)
        try:
            await stub.Check(health_pb2.HealthCheckRequest(), timeout=2.0)
        except grpc.aio.AioRpcError:
            return False
        return True

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and return the exit code."""
        if self._process is None:
            raise AssertionError("start it first")
        if self._process.returncode is None:
            self._process.send_signal(number)
        return await self._process.wait()

    async def close(self) -> None:
        """End it however it stands."""
        if self._process is not None:
            await self.stop(signal.SIGKILL)
        await self.channel.close()


class DirectoryServicer(directory_service_pb2_grpc.DirectoryServiceServicer):
    """Knows the attackers that the test puts in, with their identities."""

    def __init__(self) -> None:
        self.identities: dict[str, str] = {}
        self.overtaken_by = ""
        self.alone = ""
        self.calls = 0

    async def ResolveIdentities(self, request: Any, context: Any) -> Any:
        """Link those without an identity, or find that another was quicker."""
        self.calls += 1
        answer = directory_service_pb2.ResolveIdentitiesResponse()
        for query in request.queries:
            found = answer.memberships.add()
            uuid = query.attacker_uuid
            if uuid in self.identities:
                if not self.identities[uuid] and uuid != self.alone:
                    self.identities[uuid] = self.overtaken_by or query.default_identity_uuid
                found.attacker_uuid, found.identity_uuid = uuid, self.identities[uuid]
        return answer

    async def GetIdentity(self, request: Any, context: Any) -> Any:
        """Return the attackers of an identity."""
        members = [uuid for uuid, of in self.identities.items() if of == request.identity_uuid]
        if not members:
            raise NotFoundError("no such identity")
        return directory_service_pb2.GetIdentityResponse(
            identity=directory_service_pb2.Identity(attacker_uuids=members)
        )


@asynccontextmanager
async def directory(folder: Path) -> AsyncIterator[tuple[DirectoryServicer, str]]:
    """Serve a directory; gives it and its target."""
    servicer = DirectoryServicer()
    server = grpc.aio.server(interceptors=[ErrorInterceptor()])
    directory_service_pb2_grpc.add_DirectoryServiceServicer_to_server(servicer, server)
    target = f"unix:{folder / 'directory.sock'}"
    server.add_insecure_port(target)
    await server.start()
    try:
        yield servicer, target
    finally:
        await server.stop(None)
