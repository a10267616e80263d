# SPDX-License-Identifier: AGPL-3.0-or-later
"""docs/inventory.md holds: each row's rules exist and emit what it names."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from decnet_ttp.attack import packaged_catalogue
from decnet_ttp.rule_store.loader import load_pack
from decnet_ttp.rule_store.vocabulary import Vocabulary

ROOT = Path(__file__).parents[2]
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in (ROOT / "docs" / "inventory.md").read_text(encoding="utf-8").splitlines()
    if re.search(r"\| R\d{4}", line)
]
RULES = {
    each.message.rule_id: each.message
    for each in load_pack(
        [ROOT / "rules"], Vocabulary(packaged_catalogue()), with_examples=False
    ).rules
}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0][:40])
def test_the_rules_of_a_row_emit_its_techniques(row: list[str]) -> None:
    _, techniques, rules = row
    named = rules.split(", ")
    assert [rule_id for rule_id in named if rule_id not in RULES] == []
    emitted = {
        each.sub_technique_id or each.technique_id
        for rule_id in named
        for each in RULES[rule_id].emissions
    }
    assert set(techniques.split(", ")) <= emitted
    for rule_id in named:
        own = {each.sub_technique_id or each.technique_id for each in RULES[rule_id].emissions}
        assert own & set(techniques.split(", ")), f"{rule_id} says nothing of this row"


def test_no_rule_written_for_the_inventory_is_left_out() -> None:
    answering = {rule_id for row in ROWS for rule_id in row[2].split(", ")}
    written = {f"R{number:04}" for number in (*range(60, 130), *range(160, 208))}
    assert (written & RULES.keys()) - answering == set()


def test_every_rule_of_the_predecessors_table_is_there() -> None:
    assert {f"R{number:04}" for number in range(1, 60)} - RULES.keys() == set()
