# SPDX-License-Identifier: AGPL-3.0-or-later
"""Precision of the rules of lifters, and of those that plain conditions add to the table."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from decnet_ttp.attack import load_catalogue
from decnet_ttp.matching import RulePack
from decnet_ttp.rule_store.loader import load_pack
from decnet_ttp.rule_store.vocabulary import Vocabulary
from decnet_ttp.tagger.lifters.rule_engine import RuleEngine
from decnet_ttp.tagger.rule_set import RuleSet
from precision.corpora import ROOT, run
from tagger.lifters.lifting import LIFTERS, event

ROWS: list[dict[str, Any]] = yaml.safe_load(
    (Path(__file__).parent / "lifters.yaml").read_text(encoding="utf-8")
)

#: Rules that conditions alone decide and that this corpus speaks of.
CONDITIONS = frozenset(f"R{number:04}" for number in (*range(79, 124), *range(160, 208)))
#: Of these, what administrators do as well: they say what a command does, not who does it.
DUAL_USE = frozenset(f"R{number:04}" for number in (*range(179, 200), *range(205, 208)))


@pytest.fixture(scope="module")
def rules() -> RuleSet:
    catalogue = load_catalogue()
    loaded = load_pack([ROOT / "rules"], Vocabulary(catalogue), with_examples=False)
    lifters = [lifter() for lifter in LIFTERS]
    wanted = [
        each.message
        for each in loaded.rules
        if each.message.rule_id in CONDITIONS or any(one.owns(each.message) for one in lifters)
    ]
    return RuleSet.empty().changed(wanted, (), [*lifters, RuleEngine()], catalogue)


@cache
def pack() -> RulePack:
    """The conditions alone, for corpora of commands and requests."""
    loaded = load_pack([ROOT / "rules"], Vocabulary(load_catalogue()), with_examples=False)
    return RulePack.compile(
        each.message for each in loaded.rules if each.message.rule_id in CONDITIONS - DUAL_USE
    )


@cache
def dual_use() -> RulePack:
    loaded = load_pack([ROOT / "rules"], Vocabulary(load_catalogue()), with_examples=False)
    return RulePack.compile(
        each.message for each in loaded.rules if each.message.rule_id in DUAL_USE
    )


def fired(rules: RuleSet, row: dict[str, Any]) -> list[str]:
    on = event(row["kind"], **row["payload"])
    return sorted(
        {
            found.rule.rule_id
            for evaluator in rules.evaluators.values()
            if row["kind"] in evaluator.source_kinds
            for found in evaluator.lift(on)
        }
    )


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['kind']}-{str(row['payload'])[:40]}")
def test_event_fires_exactly_its_rules(rules: RuleSet, row: dict[str, Any]) -> None:
    assert fired(rules, row) == row["rules"]


def test_every_rule_has_a_row(rules: RuleSet) -> None:
    assert rules.rules.keys() == {rule_id for row in ROWS for rule_id in row["rules"]}


@pytest.mark.parametrize(
    "kind", sorted({str(kind) for lifter in LIFTERS for kind in lifter().source_kinds})
)
def test_every_kind_has_what_must_fire_and_what_must_not(kind: str) -> None:
    # A token that is touched always says so: R0068 beside nothing else is what must not fire more.
    own = [bool(set(row["rules"]) - {"R0068"}) for row in ROWS if row["kind"] == kind]
    assert own.count(True) >= 2
    assert own.count(False) >= 2


@pytest.mark.shared
@pytest.mark.parametrize(
    ("corpus", "share"),
    [
        ("tldr", 0.001),
        ("debian_maintainer_scripts", 0.005),
        ("cheatsheets", 0.002),
        ("nl2bash", 0.003),
    ],
)
def test_innocent_commands_are_hardly_tagged(shared_dir: Path, corpus: str, share: float) -> None:
    path = shared_dir / "data" / "benign" / f"{corpus}.jsonl.gz"
    outcomes = run(pack(), path)
    assert sum(bool(each.rules) for each in outcomes) / len(outcomes) <= share


@pytest.mark.shared
@pytest.mark.parametrize(
    ("corpus", "share"),
    [
        ("tldr", 0.010),
        ("debian_maintainer_scripts", 0.004),
        ("cheatsheets", 0.022),
        ("nl2bash", 0.016),
    ],
)
def test_what_administrators_do_as_well_stays_rare(
    shared_dir: Path, corpus: str, share: float
) -> None:
    path = shared_dir / "data" / "benign" / f"{corpus}.jsonl.gz"
    outcomes = run(dual_use(), path)
    assert sum(bool(each.rules) for each in outcomes) / len(outcomes) <= share


@pytest.mark.shared
def test_innocent_requests_are_never_tagged(shared_dir: Path) -> None:
    outcomes = run(pack(), shared_dir / "data" / "http" / "access_log_benign.jsonl.gz")
    assert len(outcomes) > 5_000
    assert [each.row["id"] for each in outcomes if each.rules] == []
