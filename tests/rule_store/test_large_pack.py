# SPDX-License-Identifier: AGPL-3.0-or-later
"""Two thousand rules: quick to load, and an edit of one of them costs that one."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from decnet_ttp.matching import RulePack
from decnet_ttp.rule_store.directory import RuleDirectory
from decnet_ttp.rule_store.vocabulary import Vocabulary

RULES = 2_000

_TEXT = r"""# SPDX-License-Identifier: AGPL-3.0-or-later
rule_id: {rule_id}
rule_version: 1
name: synthetic_{number}
description: Synthetic rule {number}.
applies_to: [command]
match:
  any:
    - pattern: '(?i)\btool{number}\s.*\bhttps?://'
    - all:
        - {{field: command_text, contains: ["loader{number}"], ignore_case: true}}
        - not: {{fields: [pwd, src], equals: /home/build}}
emits:
  - {{tactic: TA0011, technique_id: T1105, confidence: 0.85}}
evidence_fields: [command_text]
tests:
  match:
    - payload: {{command_text: "tool{number} -q http://198.51.100.7/x"}}
      techniques: [T1105]
  no_match:
    - payload: {{command_text: "man tool{number}"}}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("large") / "ttp"
    made.mkdir()
    for number in range(RULES):
        rule_id = f"R{10_000 + number}"
        text = _TEXT.format(rule_id=rule_id, number=number)
        (made / f"{rule_id}.yaml").write_text(text, encoding="utf-8")
    return made


def test_two_thousand_rules_load_in_two_seconds_of_processor_time(
    folder: Path, vocabulary: Vocabulary
) -> None:
    """The better of two, and processor time, which neighbours on the machine blur less."""
    took = []
    for _ in range(2):
        began = time.process_time()
        changes = RuleDirectory(folder, vocabulary).refresh()
        took.append(time.process_time() - began)
        assert changes is not None
        assert (len(changes.upserted), changes.orphaned) == (RULES, ())
    assert min(took) <= 2.0


def test_one_edit_among_them_is_one_change_and_compiles_one_rule(
    folder: Path, vocabulary: Vocabulary
) -> None:
    directory = RuleDirectory(folder, vocabulary, wall_clock=lambda: time.time() + 10.0)
    first = directory.refresh()
    assert first is not None
    before = RulePack.compile(first.upserted)
    path = folder / "R10500.yaml"
    text = path.read_text(encoding="utf-8")
    edited = text.replace("https?", "https{0,1}").replace("rule_version: 1", "rule_version: 2")
    path.write_text(edited, encoding="utf-8")
    began = time.process_time()
    changes = directory.refresh()
    assert changes is not None
    (rule,) = changes.upserted
    others = [each for each in first.upserted if each.rule_id != rule.rule_id]
    after = RulePack.compile([*others, rule], before)
    took = time.process_time() - began
    fresh = [i for i, each in after.rules.items() if each.tree is not before.rules[i].tree]
    assert fresh == ["R10500"]
    assert took <= 0.5
    path.write_text(text, encoding="utf-8")
