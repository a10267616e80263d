# SPDX-License-Identifier: AGPL-3.0-or-later
"""What the bus is told of rules: one message a rule and change, whatever is away."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import grpc
import nats.errors
import nats.js.errors
import orjson
import pytest

from decnet_ttp.embedded.nats import NatsServer
from decnet_ttp.runtime.bus import Bus, connect_bus
from decnet_ttp.runtime.config import Settings
from decnet_ttp.runtime.streams import TTP_STREAM
from decnet_ttp.v1 import rule_pb2
from decnet_ttp.v1 import rule_store_service_pb2 as pb
from decnet_ttp.v1 import rule_store_service_pb2_grpc as pb_grpc
from rule_store.process import DEADLINE_S, OPTIONS, rule_store_process, wait_until_serving

Stub = pb_grpc.RuleStoreServiceStub

SOUND_IDS = ("R0001", "R0002", "R0003")


async def _until_counted(database_url: str, table: str, rows: int) -> None:
    """Wait until a table of the rule-store has so many rows."""
    database = await asyncpg.connect(database_url)
    try:

        async def counted() -> bool:
            found = await database.fetchval(f"SELECT count(*) FROM rules.{table}")  # noqa: S608 - ours
            return bool(found == rows)

        await _until(counted)
    finally:
        await database.close()


@pytest.fixture
def rules_dir(sound_rules: Path, tmp_path: Path) -> Path:
    shutil.copytree(sound_rules, tmp_path / "rules")
    return tmp_path / "rules"


@pytest.fixture(params=["filesystem", "database"])
def settings(
    request: pytest.FixtureRequest, rules_dir: Path, database_url: str, socket_path: str
) -> dict[str, str]:
    return {
        "LISTEN": socket_path,
        "RULES_DIR": str(rules_dir),
        "DATABASE_URL": database_url,
        "RULE_BACKEND": request.param,
    }


@asynccontextmanager
async def running(settings: dict[str, str], **more: str) -> AsyncIterator[Stub]:
    async with (
        rule_store_process(**settings, **more),
        grpc.aio.insecure_channel(settings["LISTEN"], options=OPTIONS) as channel,
    ):
        await wait_until_serving(channel)
        # It serves its folder before it has noted what there is to tell changes from.
        await _until_counted(settings["DATABASE_URL"], "rule_announced", len(SOUND_IDS))
        yield Stub(channel)


@asynccontextmanager
async def bus_at(url: str) -> AsyncIterator[Bus]:
    bus = await connect_bus(Settings(nats_url=url), name="test")
    try:
        yield bus
    finally:
        await bus.close()


async def _told(bus: Bus) -> list[dict[str, Any]]:
    try:
        total = (await bus.js.stream_info(TTP_STREAM)).state.messages
        stored = [await bus.js.get_msg(TTP_STREAM, place + 1) for place in range(total)]
    except (nats.js.errors.NotFoundError, nats.errors.Error):
        return []
    return [orjson.loads(message.data or b"{}") for message in stored]


async def _until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not await condition():
            await asyncio.sleep(0.02)


async def _until_told(bus: Bus, count: int) -> list[dict[str, Any]]:
    async with asyncio.timeout(DEADLINE_S):
        while len(told := await _told(bus)) < count:
            await asyncio.sleep(0.02)
    return told


def _edit(rules_dir: Path, old: str, new: str) -> None:
    """Save as one step: on a slow machine an emptied file may lie there long enough to be told."""
    path = rules_dir / "ttp" / "R0001.yaml"
    scratch = path.with_name("R0001.yaml.tmp")
    scratch.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    scratch.rename(path)


def _disable(**members: Any) -> pb.SetRuleStateRequest:
    return pb.SetRuleStateRequest(
        rule_id="R0001",
        mode=rule_pb2.RULE_MODE_DISABLED,
        reason="noise",
        set_by="ann",
        **members,
    )


async def test_each_change_is_told_once_with_its_rule(
    settings: dict[str, str], rules_dir: Path, nats_url: str
) -> None:
    async with running(settings, NATS_URL=nats_url) as stub, bus_at(nats_url) as bus:
        _edit(rules_dir, "rule_version: 3", "rule_version: 4")
        (first,) = await _until_told(bus, 1)
        assert first["topic"] == "ttp.rule.reloaded.R0001"
        assert first["type"] == "rule.reloaded"
        sha256 = first["payload"].pop("content_sha256")
        assert len(sha256) == 64
        assert first["payload"] == {
            "rule_id": "R0001",
            "rule_version": 4,
            "deleted": False,
            "load_error": None,
        }
        asked = datetime.now(UTC)
        due = asked + timedelta(seconds=2)
        scope = rule_pb2.StateScope(network="192.0.2.0/24")
        await stub.SetRuleState(_disable(expire_time=due, scope=scope))
        _, was_set, reverted = await _until_told(bus, 3)
        assert {was_set["topic"], reverted["topic"]} == {"ttp.rule.state.R0001"}
        set_at = was_set["payload"].pop("set_at")
        assert asked <= datetime.fromisoformat(set_at) <= datetime.now(UTC)
        assert was_set["payload"] == {
            "rule_id": "R0001",
            "state": "disabled",
            "confidence_max": None,
            "expires_at": due.isoformat(),
            "reason": "noise",
            "set_by": "ann",
            "scope": {"network": "192.0.2.0/24"},
            "auto_revert": False,
        }
        told = reverted["payload"]
        assert (told["state"], told["auto_revert"], told["scope"]) == (
            "enabled",
            True,
            {"network": "192.0.2.0/24"},
        )
        assert told["set_at"] == due.isoformat()
        _edit(rules_dir, "T1105", "T9999")
        broken = (await _until_told(bus, 4))[3]["payload"]
        assert broken["rule_version"] == 4
        assert "T9999" in broken["load_error"]
        (rules_dir / "ttp" / "R0002.yml").unlink()
        gone = (await _until_told(bus, 5))[4]
        assert gone["topic"] == "ttp.rule.reloaded.R0002"
        assert gone["payload"]["deleted"]


async def test_a_restart_tells_only_what_changed_meanwhile(
    settings: dict[str, str], rules_dir: Path, nats_url: str
) -> None:
    async with running(settings, NATS_URL=nats_url), bus_at(nats_url) as bus:
        _edit(rules_dir, "rule_version: 3", "rule_version: 4")
        await _until_told(bus, 1)
    _edit(rules_dir, "rule_version: 4", "rule_version: 5")
    async with running(settings, NATS_URL=nats_url) as stub, bus_at(nats_url) as bus:
        await _until_told(bus, 2)
        await stub.SetRuleState(_disable())
        told = await _until_told(bus, 3)
    topics = [(each["topic"], each["payload"].get("rule_version")) for each in told]
    assert topics == [
        ("ttp.rule.reloaded.R0001", 4),
        ("ttp.rule.reloaded.R0001", 5),
        ("ttp.rule.state.R0001", None),
    ]


@pytest.mark.faults
async def test_what_happens_while_nats_is_away_is_told_later_and_in_order(
    settings: dict[str, str], rules_dir: Path, tmp_path: Path
) -> None:
    server = NatsServer(tmp_path / "away")
    await server.start()
    url = server.url
    async with running(settings, NATS_URL=url) as stub:
        async with bus_at(url) as bus:
            await stub.SetRuleState(_disable())
            await _until_told(bus, 1)
        await _until_counted(settings["DATABASE_URL"], "outbox", 0)
        await server.stop()
        for version in (4, 5):
            _edit(rules_dir, f"rule_version: {version - 1}", f"rule_version: {version}")

            async def in_force(version: int = version) -> bool:
                answer = await stub.GetRule(pb.GetRuleRequest(rule_id="R0001"))
                return bool(answer.rule.rule_version == version)

            await _until(in_force)
            # A version is live before it is noted for the bus, so that a slow database delays none.
            await _until_counted(settings["DATABASE_URL"], "outbox", version - 3)
        await stub.ClearRuleState(pb.ClearRuleStateRequest(rule_id="R0001"))
        await server.start()
        async with bus_at(server.url) as bus:
            told = await _until_told(bus, 4)
    await server.stop()
    assert [each["topic"].rsplit(".", 2)[1] for each in told] == [
        "state",
        "reloaded",
        "reloaded",
        "state",
    ]
    assert [each["payload"].get("rule_version") for each in told] == [None, 4, 5, None]
