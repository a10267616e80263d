# SPDX-License-Identifier: AGPL-3.0-or-later
"""The service as a process of its own."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from decnet_ttp.embedded.postgres import PostgresServer
from decnet_ttp.v1 import rule_pb2
from decnet_ttp.v1 import rule_store_service_pb2 as pb
from decnet_ttp.v1 import rule_store_service_pb2_grpc as pb_grpc
from rule_store.process import DEADLINE_S, OPTIONS, rule_store_process, wait_until_serving


async def test_the_service_serves_keeps_states_and_ends_with_open_watches(
    sound_rules: Path, database_url: str, socket_path: str
) -> None:
    """SIGTERM ends it with 0 though a client still watches; a state outlives kill -9."""
    settings = {
        "LISTEN": socket_path,
        "RULES_DIR": str(sound_rules),
        "DATABASE_URL": database_url,
        # Longer than the test waits: whoever had to be cut off at its end is found out.
        "GRACE_S": str(2 * DEADLINE_S),
    }
    async with (
        rule_store_process(**settings) as process,
        grpc.aio.insecure_channel(socket_path, options=OPTIONS) as channel,
    ):
        await wait_until_serving(channel)
        stub = pb_grpc.RuleStoreServiceStub(channel)
        await stub.SetRuleState(
            pb.SetRuleStateRequest(rule_id="R0001", mode=rule_pb2.RULE_MODE_DISABLED)
        )
        process.kill()
        await process.wait()
    async with (
        rule_store_process(**settings) as process,
        grpc.aio.insecure_channel(socket_path, options=OPTIONS) as channel,
    ):
        await wait_until_serving(channel)
        watch = pb_grpc.RuleStoreServiceStub(channel).WatchRules(pb.WatchRulesRequest())
        snapshot = await watch.read()
        assert [c.upserted.state.mode for c in snapshot.changes] == [
            rule_pb2.RULE_MODE_DISABLED,
            rule_pb2.RULE_MODE_ENABLED,
            rule_pb2.RULE_MODE_ENABLED,
        ]
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), DEADLINE_S) == 0


async def test_without_a_rules_directory_it_does_not_start(
    tmp_path: Path, socket_path: str
) -> None:
    async with rule_store_process(LISTEN=socket_path, RULES_DIR=str(tmp_path)) as process:
        _, err = await asyncio.wait_for(process.communicate(), DEADLINE_S)
        assert process.returncode == 1
        assert b"point DECNET_TTP_RULES_DIR at a directory that has a folder named ttp" in err


async def test_it_waits_for_a_database_that_is_away_at_the_start(
    sound_rules: Path, tmp_path: Path, socket_path: str
) -> None:
    """It neither ends nor serves rules whose states it does not know; then it does."""
    server = PostgresServer(tmp_path / "pg")
    await server.prepare()
    settings = {
        "LISTEN": socket_path,
        "RULES_DIR": str(sound_rules),
        "DATABASE_URL": server.url,
    }
    async with (
        rule_store_process(**settings) as process,
        grpc.aio.insecure_channel(socket_path, options=OPTIONS) as channel,
    ):
        health = health_pb2_grpc.HealthStub(channel)
        stub = pb_grpc.RuleStoreServiceStub(channel)
        asked = health_pb2.HealthCheckRequest()
        answer = await health.Check(asked, wait_for_ready=True, timeout=DEADLINE_S)
        assert answer.status == health_pb2.HealthCheckResponse.NOT_SERVING
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.ListRules(pb.ListRulesRequest())
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        with pytest.raises(grpc.aio.AioRpcError, match="not loaded yet; try again shortly"):
            await stub.WatchRules(pb.WatchRulesRequest()).read()
        await server.start()
        try:
            await wait_until_serving(channel)
            assert len((await stub.ListRules(pb.ListRulesRequest())).rules) == 3
            await server.stop()
            assert len((await stub.ListRules(pb.ListRulesRequest())).rules) == 3
        finally:
            await server.stop()
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), DEADLINE_S) == 0


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"RULE_BACKEND": "database"}, b"DECNET_TTP_DATABASE_URL is not set"),
        ({"RULE_ROLE": "reader"}, b"set DECNET_TTP_RULE_BACKEND to database"),
    ],
)
async def test_settings_that_do_not_go_together_end_the_start(
    settings: dict[str, str], told: bytes, socket_path: str
) -> None:
    async with rule_store_process(LISTEN=socket_path, **settings) as process:
        _, err = await asyncio.wait_for(process.communicate(), DEADLINE_S)
        assert process.returncode == 1
        assert told in err


async def test_a_reader_needs_no_directory(
    sound_rules: Path, database_url: str, tmp_path: Path, socket_path: str
) -> None:
    shared = {"DATABASE_URL": database_url, "RULE_BACKEND": "database"}
    writer = {"LISTEN": "127.0.0.1:0", "RULES_DIR": str(sound_rules), **shared}
    reader = {"LISTEN": socket_path, "RULES_DIR": str(tmp_path), "RULE_ROLE": "reader", **shared}
    async with (
        rule_store_process(**reader),
        grpc.aio.insecure_channel(socket_path, options=OPTIONS) as channel,
        rule_store_process(**writer),
    ):
        await wait_until_serving(channel)
        listed = await pb_grpc.RuleStoreServiceStub(channel).ListRules(pb.ListRulesRequest())
        assert [rule.rule_id for rule in listed.rules] == ["R0001", "R0002", "R0003"]
