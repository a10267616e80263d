# SPDX-License-Identifier: AGPL-3.0-or-later
"""Every rule of high confidence is silent on something that nearly fires it."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from decnet_ttp.attack import load_catalogue
from decnet_ttp.cli.corpus import Row, events_of
from decnet_ttp.core.source_kinds import SourceKind
from decnet_ttp.matching import RulePack
from decnet_ttp.rule_store.loader import load_pack
from decnet_ttp.rule_store.vocabulary import Vocabulary
from decnet_ttp.tagger.lifters.rule_engine import RuleEngine
from decnet_ttp.tagger.rule_set import RuleSet
from decnet_ttp.v1 import event_pb2, rule_pb2
from precision.corpora import ROOT
from tagger.lifters.lifting import LIFTERS, event

PAIRS: dict[str, dict[str, Any]] = yaml.safe_load(
    (Path(__file__).parent / "near_misses.yaml").read_text(encoding="utf-8")
)
HIGH = 0.85


@cache
def shipped() -> list[rule_pb2.Rule]:
    """All rules."""
    loaded = load_pack([ROOT / "rules"], Vocabulary(load_catalogue()), with_examples=False)
    return [each.message for each in loaded.rules]


@pytest.fixture(scope="module")
def rules() -> RuleSet:
    lifters = [*(lifter() for lifter in LIFTERS), RuleEngine()]
    return RuleSet.empty().changed(shipped(), (), lifters, load_catalogue())


@pytest.fixture(scope="module")
def timelines() -> RulePack:
    steps = [rule for rule in shipped() if rule.rule_id in PAIRS]
    return RulePack.compile(rule for rule in steps if PAIRS[rule.rule_id].get("kind") == "timeline")


def _event(pair: dict[str, Any], which: str) -> event_pb2.Event:
    kind, given = pair.get("kind", "command"), pair[which]
    if isinstance(given, str):
        given = (
            {"command_text": given}
            if kind == "command"
            else {"method": "GET", "raw_url": given, "user_agent": "x"}
        )
    return event(kind, **pair.get("all", {}), **given)


def _session(pair: dict[str, Any], which: str) -> Row:
    """A log-in is its result and perhaps a name, a request its method, address and perhaps body."""
    payload: dict[str, Any] = {"source_id": "s", **pair.get("all", {})}
    for second, step in enumerate(pair[which]):
        first, _, rest = step.partition(" ")
        at = f"2026-11-21T10:00:{second:02}Z"
        if first in {"success", "failure"}:
            item = {"username": rest or "root", "password": "x", "result": first}
            payload.setdefault("auth_attempts", []).append(item | {"ts": at})
        elif first in {"GET", "PUT", "POST", "DELETE"}:
            url, _, body = rest.partition(" ")
            item = {"method": first, "raw_url": url, "body": body}
            payload.setdefault("http_requests", []).append(item | {"ts": at})
        else:
            payload.setdefault("commands", []).append({"command_text": step, "ts": at})
    return Row("s", SourceKind.SESSION, payload)


def _fired(rules: RuleSet, timelines: RulePack, pair: dict[str, Any], which: str) -> set[str]:
    if pair.get("kind") == "timeline":
        events = events_of(_session(pair, which), frozenset(SourceKind))
        return {result.rule.rule_id for result in timelines.timelines(events).fired()}
    on = _event(pair, which)
    return {
        found.rule.rule_id
        for evaluator in rules.evaluators.values()
        if on.source_kind in evaluator.source_kinds
        for found in evaluator.lift(on)
    }


def test_every_rule_of_high_confidence_has_a_pair() -> None:
    high = {
        rule.rule_id
        for rule in shipped()
        if max((each.confidence for each in rule.emissions), default=0.0) >= HIGH
    }
    assert PAIRS.keys() == high


@pytest.mark.parametrize("rule_id", PAIRS)
def test_the_near_miss_is_silent_and_near(
    rules: RuleSet, timelines: RulePack, rule_id: str
) -> None:
    """What hits shows that the miss is near: the two differ in a word, a number or an order."""
    pair = PAIRS[rule_id]
    assert rule_id not in _fired(rules, timelines, pair, "miss")
    assert rule_id in _fired(rules, timelines, pair, "hit")
