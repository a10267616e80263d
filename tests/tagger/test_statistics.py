# SPDX-License-Identifier: AGPL-3.0-or-later
"""What rules did, as the metrics page and the heart-beats tell it."""

from __future__ import annotations

from types import SimpleNamespace

from decnet_ttp.attack import Catalogue
from decnet_ttp.runtime.figures import Family
from decnet_ttp.tagger.artifacts import Artifacts
from decnet_ttp.tagger.evaluation import Evaluation
from decnet_ttp.tagger.figures import Figures
from decnet_ttp.tagger.lifters.rule_engine import RuleEngine
from decnet_ttp.tagger.rule_set import RuleSet
from decnet_ttp.v1 import event_pb2, rule_pb2, tagger_service_pb2
from matching.builders import command, field, request, rule

NOW_S = 1_800_000_000.0


async def test_figures_are_those_of_the_rules_and_no_producer_makes_up_labels(
    catalogue: Catalogue,
) -> None:
    trial = rule("R2", field("command_text", contains=["id"]))
    trial.status = rule_pb2.RULE_STATUS_EXPERIMENTAL
    odd_kind = rule("R3", field("raw_url", contains=["zzz"]), "http_request", "mark-me")
    lifters = [RuleEngine()]
    whoami = rule("R1", field("command_text", contains=["whoami"]))
    rules = RuleSet.empty().changed([whoami, trial, odd_kind], (), lifters, catalogue)
    evaluation = Evaluation(lifters, attack_release="r", clock=lambda: NOW_S)
    figures = Figures(
        evaluation.statistics,
        SimpleNamespace(rules=rules, revision=7),
        Artifacts(None, max_bytes=1),
    )
    assert (await figures.progress())["last_event_ts"] is None
    batch = tagger_service_pb2.TagEventsRequest()
    odd = event_pb2.Event(source_kind="mark-me", source_id="x")
    batch.groups.add(origin_id="o").events.extend(
        [command("whoami"), command("id; whoami"), request(raw_url="/"), odd]
    )
    for _ in range(2):
        await evaluation.tag(batch, rules)

    page = {each.name: each.values for each in await figures.counted() if isinstance(each, Family)}
    assert page["events_evaluated"] == {
        ("command", "rule_engine"): 4,
        ("http_request", "rule_engine"): 2,
        ("other", "rule_engine"): 2,
    }
    assert page["rule_evaluations"] == {("R1",): 4, ("R2",): 4, ("R3",): 4}
    assert page["rule_matches"] == {("R1",): 4, ("R2",): 2, ("R3",): 0}
    assert page["rule_tags"] == {("R1",): 4, ("R2",): 0, ("R3",): 0}
    assert page["rule_tags_withheld"] == {("R1",): 0, ("R2",): 2, ("R3",): 0}
    assert page["tags_dropped"] == {("rule_disabled",): 2}
    assert page["rules_in_force"] == {(): 3}
    assert page["rules_revision"] == {(): 7}
    assert evaluation.statistics.latency.buckets()[-1] == ("+Inf", 2)
    assert await figures.progress() == {
        "last_event_ts": NOW_S,
        "events": 8,
        "tags": 4,
        "tags_withheld": 2,
        "messages_unread": 0,
        "failures": 0,
        "rules": 3,
        "rules_revision": 7,
    }
