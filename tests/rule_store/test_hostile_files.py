# SPDX-License-Identifier: AGPL-3.0-or-later
"""Whatever a file holds, loading it ends in a rule or in problems with a place."""

from __future__ import annotations

import copy
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from decnet_ttp.attack.loader import load_catalogue
from decnet_ttp.rule_store.loader import MAX_PROBLEMS, load_rule
from decnet_ttp.rule_store.vocabulary import Vocabulary

FOLDER = Path(__file__).parent / "rules" / "ttp"
VOCABULARY = Vocabulary(load_catalogue())
SOUND = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in sorted(FOLDER.iterdir())]

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([10**400, -(10**30), 2**63, 2**31])
    | st.floats()
    | st.text(max_size=12)
    | st.dates(min_value=date(1, 1, 1))
    | st.sampled_from(
        ["T1105", "TA0011", "command", "(", "a*", "10.0.0.0/8", "extra", "lifter:a_b"]
    )
)
keys = st.text(max_size=6) | st.sampled_from(
    [
        "all",
        "any",
        "not",
        "field",
        "fields",
        "pattern",
        "kind",
        "is",
        "gt",
        "equals",
        "cidr",
        "extra",
    ]
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=8,
)


def _places(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path]
    if isinstance(node, dict | list):
        for key, member in node.items() if isinstance(node, dict) else enumerate(node):
            found += _places(member, (*path, key))
    return found


@st.composite
def mutants(draw: st.DrawFn) -> tuple[str, str]:
    """Id and text of a sound rule with one or two of its values replaced by anything."""
    document = copy.deepcopy(draw(st.sampled_from(SOUND)))
    stem = document["rule_id"]
    for _ in range(draw(st.integers(1, 2))):
        place = draw(st.sampled_from(_places(document)[1:]))
        node = document
        for step in place[:-1]:
            node = node[step]
        node[place[-1]] = draw(values)
    return stem, yaml.safe_dump(document, allow_unicode=True, sort_keys=False)


def _assert_sane(data: bytes, stem: str = "R0001") -> None:
    outcome = load_rule(Path(f"{stem}.yaml"), data, VOCABULARY)
    assert (outcome.rule is None) == bool(outcome.problems)
    lines = data.count(b"\n") + data.count(b"\r") + 2
    for problem in outcome.problems:
        assert 1 <= problem.line <= lines
        assert problem.column >= 1
        assert "\n" not in problem.message
    assert len(outcome.problems) <= MAX_PROBLEMS


@settings(max_examples=600, deadline=None, derandomize=True)
@given(mutants())
def test_a_rule_with_a_value_replaced_never_raises(mutant: tuple[str, str]) -> None:
    stem, text = mutant
    _assert_sane(text.encode(), stem)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.binary(max_size=200))
def test_any_bytes_never_raise(data: bytes) -> None:
    _assert_sane(data)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.text(alphabet="[]{}:,-?&*!|>'\"# \n\tab01.<=~", max_size=60))
def test_any_punctuation_never_raises(text: str) -> None:
    _assert_sane(text.encode())


@pytest.mark.parametrize("number", ["1" + "0" * 400, "1.0e+999", ".inf", ".nan", str(2**64)])
def test_numbers_that_no_message_can_hold_are_refused(number: str) -> None:
    text = (FOLDER / "R0001.yaml").read_text(encoding="utf-8")
    text = text.replace("extra: {shell: ash}", f"extra: {{shell: {number}}}")
    outcome = load_rule(Path("R0001.yaml"), text.encode(), VOCABULARY)
    (problem,) = outcome.problems
    assert problem.message == "a number must be finite and fit into 64 bits"
    assert text.splitlines()[problem.line - 1][problem.column - 1 :].startswith(number)
