# SPDX-License-Identifier: AGPL-3.0-or-later
"""The examples within the shipped rules, run by the lifters that own them."""

from __future__ import annotations

import pytest

from decnet_ttp.attack import load_catalogue
from decnet_ttp.core.source_kinds import PAYLOAD_FIELD, SourceKind
from decnet_ttp.rule_store.convert import example_event
from decnet_ttp.rule_store.document import MatchExample
from decnet_ttp.rule_store.loader import LoadedRule, load_pack
from decnet_ttp.rule_store.vocabulary import Vocabulary
from tagger.lifters.lifting import LIFTERS, RULES, lift, techniques

PACK = load_pack([RULES], Vocabulary(load_catalogue()), with_examples=False)
OWNED = [
    (lifter, loaded) for loaded in PACK.rules for lifter in LIFTERS if lifter().owns(loaded.message)
]
CASES = [
    pytest.param(lifter, loaded, number, id=f"{loaded.message.rule_id}-{number}")
    for lifter, loaded in OWNED
    for number in range(len(loaded.document.tests.match) + len(loaded.document.tests.no_match))
]


def test_the_predecessors_rules_have_an_owner() -> None:
    wanted = [*range(1, 7), *range(30, 63)]
    assert {f"R{number:04}" for number in wanted} <= {r.message.rule_id for _, r in OWNED}


@pytest.mark.parametrize(("lifter", "loaded", "number"), CASES)
def test_example_gives_what_it_says(lifter: type, loaded: LoadedRule, number: int) -> None:
    tests = loaded.document.tests
    example = [*tests.match, *tests.no_match][number]
    event = example_event(loaded.document, example, number)
    findings = lift(lifter(), loaded.message, event)
    wanted = set(example.techniques or ()) if isinstance(example, MatchExample) else set()
    assert set(techniques(findings)) == wanted
    for finding in findings:
        kind = PAYLOAD_FIELD[SourceKind(event.source_kind)]
        assert finding.evidence.WhichOneof("evidence") == kind
        assert finding.identity_only == (event.source_kind == "identity")


@pytest.mark.parametrize(("lifter", "loaded"), OWNED, ids=lambda each: getattr(each, "name", ""))
def test_rule_has_enough_examples(lifter: type, loaded: LoadedRule) -> None:
    assert len(loaded.document.tests.match) >= 3
    assert len(loaded.document.tests.no_match) >= 3
