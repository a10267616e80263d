# SPDX-License-Identifier: AGPL-3.0-or-later
"""Examples of rules that lifters own, run through the plug-ins."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from decnet_ttp.rule_store import lifters
from decnet_ttp.rule_store.loader import load_pack
from decnet_ttp.rule_store.shipped import shipped_rules_dir
from decnet_ttp.rule_store.vocabulary import Vocabulary
from decnet_ttp.v1 import event_pb2, rule_pb2


def test_every_example_of_every_shipped_rule_runs_and_goes_as_written(
    vocabulary: Vocabulary,
) -> None:
    pack = load_pack([shipped_rules_dir()], vocabulary)
    assert [str(problem) for problem in pack.problems] == []
    assert all(result.ran for rule in pack.rules for result in rule.examples)


class _Clumsy:
    """A lifter with a mistake in its predicate."""

    name = "clumsy"

    def __init__(self, rules_dir: Path | None) -> None:
        pass

    def owns(self, rule: rule_pb2.Rule) -> bool:
        return rule.lifter_predicate.kind == "lifter:clumsy_step"

    def compile(self, rules: Any, previous: Any) -> _Clumsy:
        return self

    def lift(self, event: event_pb2.Event) -> Iterator[Any]:
        yield from {}["missing"]


class _EntryPoint:
    name = "clumsy"

    @staticmethod
    def load() -> type[_Clumsy]:
        return _Clumsy


def _only_the_clumsy_one(*, group: str) -> list[type[_EntryPoint]]:
    assert group == "decnet_ttp.lifters"
    return [_EntryPoint]


def test_a_lifter_that_fails_costs_the_example_and_is_named(
    sound_rules: Path, tmp_path: Path, vocabulary: Vocabulary, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lifters, "entry_points", _only_the_clumsy_one)
    text = (sound_rules / "ttp" / "R0003.yaml").read_text(encoding="utf-8")
    path = tmp_path / "R0003.yaml"
    path.write_text(text.replace("credential_auth_brute_generic", "clumsy_step"), encoding="utf-8")
    lifters._installed.cache_clear()
    try:
        pack = load_pack([path], vocabulary)
    finally:
        lifters._installed.cache_clear()
    assert [problem.message for problem in pack.problems] == [
        "the lifter clumsy fails on it with KeyError; mend the lifter"
    ] * 2
