# SPDX-License-Identifier: AGPL-3.0-or-later
"""docs/rules.md against the program."""

import re
from pathlib import Path

import yaml

from decnet_ttp.rule_store.conditions import FieldTest
from decnet_ttp.rule_store.document import RuleDocument
from decnet_ttp.rule_store.loader import load_rule
from decnet_ttp.rule_store.payload_fields import field_table
from decnet_ttp.rule_store.timelines import TimelineMatch, TimelineStepDocument
from decnet_ttp.rule_store.vocabulary import Vocabulary

MANUAL = (Path(__file__).parents[2] / "docs" / "rules.md").read_text(encoding="utf-8")


def _blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", MANUAL, re.MULTILINE | re.DOTALL)


def test_the_first_rule_of_the_manual_loads(vocabulary: Vocabulary) -> None:
    text = next(block for block in _blocks("yaml") if "rule_id: R9001" in block)
    outcome = load_rule(Path("R9001.yaml"), text.encode(), vocabulary)
    assert outcome.problems == ()
    assert outcome.rule is not None
    assert [result.ran for result in outcome.rule.examples] == [True, True]


def test_the_first_rule_with_steps_loads_and_so_does_the_better_one(vocabulary: Vocabulary) -> None:
    blocks = _blocks("yaml")
    first = next(block for block in blocks if "rule_id: R9002" in block)
    outcome = load_rule(Path("R9002.yaml"), first.encode(), vocabulary)
    assert outcome.problems == ()
    better = yaml.safe_load(next(block for block in blocks if "name: guesses" in block))
    rule = RuleDocument.model_validate({**yaml.safe_load(first), **better})
    assert isinstance(rule.match, TimelineMatch)
    assert [step.name for step in rule.match.steps] == [
        "guesses",
        "log_in",
        "tool_transfer",
        "execute",
    ]


def test_the_table_of_fields_is_what_the_program_prints() -> None:
    """On a difference put the output of `decnet-ttp rules fields` at the end of the manual."""
    assert MANUAL.endswith(f"\n\n{field_table()}\n")


def test_every_key_and_operator_is_in_the_manual() -> None:
    names = [field.alias or name for name, field in RuleDocument.model_fields.items()]
    for model in (FieldTest, TimelineMatch, TimelineStepDocument):
        names += [field.alias or name for name, field in model.model_fields.items()]
    assert [name for name in names if f"`{name}" not in MANUAL] == []


def test_every_yaml_block_is_yaml() -> None:
    assert all(yaml.safe_load(block) for block in _blocks("yaml"))
