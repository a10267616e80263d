# SPDX-License-Identifier: AGPL-3.0-or-later
"""docs/lifters.md names every predicate with every parameter, and no other."""

from __future__ import annotations

import dataclasses
import re

import pytest

from tagger.lifters.lifting import LIFTERS, RULES

MANUAL = (RULES.parent / "docs" / "lifters.md").read_text(encoding="utf-8")
ROWS = {
    name: line
    for line in MANUAL.splitlines()
    if line.startswith("| `")
    for name in re.findall(r"`(\w+)`", line.split("|")[1])
}
#: Lifters whose predicates the manual does not speak of.
_ELSEWHERE = {"behavioral"}
PREDICATES = {
    name: each
    for lifter in LIFTERS
    if lifter.name not in _ELSEWHERE
    for name, each in lifter.predicates.items()
}


def test_every_predicate_has_a_row() -> None:
    assert ROWS.keys() >= PREDICATES.keys()


@pytest.mark.parametrize("name", sorted(PREDICATES))
def test_a_row_names_kinds_and_parameters(name: str) -> None:
    columns = ROWS[name].split("|")
    assert set(columns[2].strip().split(", ")) == set(PREDICATES[name].reads)
    for field in dataclasses.fields(PREDICATES[name].parameters):
        assert f"`{field.name}`" in columns[4]
