# SPDX-License-Identifier: AGPL-3.0-or-later
"""The service as a process of its own."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from decnet_ttp.v1 import rule_pb2
from decnet_ttp.v1 import rule_store_service_pb2 as pb
from decnet_ttp.v1 import rule_store_service_pb2_grpc as pb_grpc

OPTIONS = [("grpc.default_authority", "localhost")]


@pytest.fixture
def socket_path() -> Iterator[str]:
    folder = tempfile.mkdtemp(prefix="rs-")
    yield f"unix:{folder}/rule-store.sock"
    shutil.rmtree(folder)


@asynccontextmanager
async def _process(**settings: str) -> AsyncIterator[asyncio.subprocess.Process]:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("DECNET_TTP_")}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "decnet_ttp.cli.main",
        "serve",
        "rule-store",
        env=inherited | {f"DECNET_TTP_{name}": value for name, value in settings.items()},
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def _wait_until_serving(channel: grpc.aio.Channel) -> None:
    health = health_pb2_grpc.HealthStub(channel)
    request = health_pb2.HealthCheckRequest(service="decnet_ttp.v1.RuleStoreService")
    async with asyncio.timeout(20):
        while True:
            try:
                answer = await health.Check(request)
            except grpc.aio.AioRpcError as error:
                assert error.code() is grpc.StatusCode.UNAVAILABLE  # noqa: PT017 - tried again
            else:
                if answer.status == health_pb2.HealthCheckResponse.SERVING:
                    return
            await asyncio.sleep(0.02)


async def test_the_service_serves_keeps_states_and_ends_with_open_watches(
    sound_rules: Path, database_url: str, socket_path: str
) -> None:
    """SIGTERM ends it with 0 though a client still watches; a state outlives kill -9."""
    settings = {
        "LISTEN": socket_path,
        "RULES_DIR": str(sound_rules),
        "DATABASE_URL": database_url,
    }
    async with (
        _process(**settings) as process,
        grpc.aio.insecure_channel(socket_path, options=OPTIONS) as channel,
    ):
        await _wait_until_serving(channel)
        stub = pb_grpc.RuleStoreServiceStub(channel)
        await stub.SetRuleState(
            pb.SetRuleStateRequest(rule_id="R0001", mode=rule_pb2.RULE_MODE_DISABLED)
        )
        process.kill()
        await process.wait()
    async with (
        _process(**settings) as process,
        grpc.aio.insecure_channel(socket_path, options=OPTIONS) as channel,
    ):
        await _wait_until_serving(channel)
        watch = pb_grpc.RuleStoreServiceStub(channel).WatchRules(pb.WatchRulesRequest())
        snapshot = await watch.read()
        assert [c.upserted.state.mode for c in snapshot.changes] == [
            rule_pb2.RULE_MODE_DISABLED,
            rule_pb2.RULE_MODE_ENABLED,
            rule_pb2.RULE_MODE_ENABLED,
        ]
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 5) == 0


async def test_without_a_rules_directory_it_does_not_start(
    tmp_path: Path, socket_path: str
) -> None:
    async with _process(LISTEN=socket_path, RULES_DIR=str(tmp_path)) as process:
        _, err = await asyncio.wait_for(process.communicate(), 20)
        assert process.returncode == 1
        assert b"point DECNET_TTP_RULES_DIR at a directory that has a folder named ttp" in err
