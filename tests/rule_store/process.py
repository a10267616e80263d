# SPDX-License-Identifier: AGPL-3.0-or-later
"""The rule-store as a process of its own."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

OPTIONS: list[tuple[str, str | int]] = [
    ("grpc.default_authority", "localhost"),
    # A service takes seconds to start: a client that waits longer and longer finds it late.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 200),
]

#: Costs nothing when all is well; machines that run tests are slow at times.
DEADLINE_S = 60.0


def service_environment(**settings: str) -> dict[str, str]:
    """Return our environment with these settings and no others."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("DECNET_TTP_")}
    return inherited | {f"DECNET_TTP_{name}": value for name, value in settings.items()}


@asynccontextmanager
async def rule_store_process(**settings: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "decnet_ttp.cli.main",
        "serve",
        "rule-store",
        env=service_environment(**settings),
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def wait_until_serving(channel: grpc.aio.Channel) -> None:
    health = health_pb2_grpc.HealthStub(channel)
    request = health_pb2.HealthCheckRequest(service="decnet_ttp.v1.RuleStoreService")
    async with asyncio.timeout(DEADLINE_S):
        while True:
            try:
                answer = await health.Check(request)
            except grpc.aio.AioRpcError as error:
                assert error.code() is grpc.StatusCode.UNAVAILABLE  # noqa: PT017 - tried again
            else:
                if answer.status == health_pb2.HealthCheckResponse.SERVING:
                    return
            await asyncio.sleep(0.02)
