# SPDX-License-Identifier: AGPL-3.0-or-later
"""What the rule-store tells of itself: on its metrics page, and in its heart-beats."""

from __future__ import annotations

from pathlib import Path

import nats
import pytest

from decnet_ttp.rule_store.app import run
from decnet_ttp.runtime.clients import call, open_channel
from decnet_ttp.runtime.config import Settings
from decnet_ttp.v1 import rule_pb2, rule_store_service_pb2, rule_store_service_pb2_grpc
from runtime.pages import read_page
from runtime.seen import MARK, beat_with, logged, running


async def test_rules_and_states_are_counted_and_a_request_stops_the_store(
    nats_url: str, database_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    settings = Settings(
        nats_url=nats_url,
        database_url=database_url,
        listen=f"unix:{tmp_path}/r.sock",
        metrics_listen="127.0.0.1:0",
        heartbeat_s=0.1,
        attack_cache_dir=tmp_path / "no-cache",
        grace_s=5.0,
    )
    client = await nats.connect(nats_url)
    try:
        async with (
            running(client, "rule-store", run(settings), caplog) as address,
            open_channel(settings.listen, settings) as channel,
        ):
            stub = rule_store_service_pb2_grpc.RuleStoreServiceStub(channel)
            disable = rule_store_service_pb2.SetRuleStateRequest(
                rule_id="R0001", mode=rule_pb2.RULE_MODE_DISABLED, reason=MARK
            )
            await call(stub.SetRuleState, disable, timeout_s=10)
            enable = rule_store_service_pb2.ClearRuleStateRequest(rule_id="R0001")
            await call(stub.ClearRuleState, enable, timeout_s=10)
            page = await read_page(address)
            compiled = page["decnet_ttp_rules_compiled_total"]
            rules = page["decnet_ttp_rules"][()]
            assert rules == len(compiled) > 50
            assert compiled["filesystem", "R0001"] == 1
            assert page["decnet_ttp_rule_state_changes_total"] == {
                ("disabled", "R0001"): 1,
                ("default", "R0001"): 1,
            }
            assert page["decnet_ttp_rule_problems"] == {(): 0}
            beat = await beat_with(client, "rule-store", "state_changes", 2)
            assert (beat["rules"], beat["problems"], beat["ready"]) == (rules, 0, True)
    finally:
        await client.close()
    assert MARK not in f"{page}{beat}{logged(caplog)}"
