# SPDX-License-Identifier: AGPL-3.0-or-later
"""An installation spread over processes: every service and every lifter its own."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

#: Only what never happens waits so long.
_READY_S = 240.0
_STOP_S = 120.0
#: What uses something starts after it, so that nobody waits for a reconnection.
_FIRST = ("rule-store", "tag-store")


class Spread:
    """Processes on Unix sockets in one folder; all end with the block.

    Args:
        top: Folder of the sockets and of the logs, one of each per process.
        lifters: Names of lifters, one tagger process each, called by the lifter's name.
        database_url: PostgreSQL.
        nats_url: NATS.
        environ: Settings of all processes beyond these.
    """

    def __init__(
        self,
        top: Path,
        lifters: Sequence[str],
        database_url: str,
        nats_url: str,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self._top = top
        self._lifters = tuple(lifters)
        self._processes: dict[str, asyncio.subprocess.Process] = {}
        self._environ = {
            **{key: value for key, value in os.environ.items() if not key.startswith("DECNET_")},
            "DECNET_TTP_DATABASE_URL": database_url,
            "DECNET_TTP_NATS_URL": nats_url,
            "DECNET_TTP_RULE_STORE": self.target("rule-store"),
            "DECNET_TTP_TAG_STORE": self.target("tag-store"),
            "DECNET_TTP_INGEST": self.target("ingest"),
            "DECNET_TTP_TAGGERS": ",".join(self.target(name) for name in self._lifters),
            **(environ or {}),
        }

    async def __aenter__(self) -> Self:
        """Start everything and wait until it is ready."""
        try:
            await asyncio.gather(*map(self.start, _FIRST))
            await asyncio.gather(*map(self.start, (*self._lifters, "ingest")))
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Stop everything, what feeds before what is fed."""
        await self.stop("ingest")
        await asyncio.gather(*map(self.stop, self._lifters))
        await asyncio.gather(*map(self.stop, _FIRST))

    def target(self, name: str) -> str:
        """Return the gRPC target of a process."""
        return f"unix:{self._top}/{name}.sock"

    def log(self, name: str) -> Path:
        """Return the file with all that a process wrote."""
        return self._top / f"{name}.log"

    async def start(self, name: str) -> None:
        """Start a process and wait until it is ready.

        Raises:
            TimeoutError: It was not ready in time.
        """
        service = ["tagger", "--lifter", name] if name in self._lifters else [name]
        with self.log(name).open("ab") as log:
            self._processes[name] = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "decnet_ttp.cli.main", "serve", *service),
                env={**self._environ, "DECNET_TTP_LISTEN": self.target(name)},
                stdout=log,
                stderr=log,
            )
        options = [("grpc.default_authority", "localhost"), ("grpc.max_reconnect_backoff_ms", 200)]
        async with (
            asyncio.timeout(_READY_S),
            grpc.aio.insecure_channel(self.target(name), options=options) as channel,
        ):
            health = health_pb2_grpc.HealthStub(channel)
            while True:
                answer = await health.Check(health_pb2.HealthCheckRequest(), wait_for_ready=True)
                if answer.status == health_pb2.HealthCheckResponse.SERVING:
                    return
                await asyncio.sleep(0.02)

    async def stop(self, name: str) -> int | None:
        """Ask a process to end and wait for it; returns its exit code."""
        process = self._processes.pop(name, None)
        if process is None:
            return None
        if process.returncode is None:
            process.terminate()
        try:
            return await asyncio.wait_for(process.wait(), _STOP_S)
        except TimeoutError:
            process.kill()
            return await process.wait()
