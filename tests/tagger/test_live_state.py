# SPDX-License-Identifier: AGPL-3.0-or-later
"""States that hold for a part of the events only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from decnet_ttp.attack import Catalogue
from decnet_ttp.tagger.evaluation import Evaluation
from decnet_ttp.tagger.lifters.rule_engine import RuleEngine
from decnet_ttp.tagger.rule_set import RuleSet
from decnet_ttp.v1 import event_pb2, rule_pb2, scope_pb2, tagger_service_pb2
from matching.builders import command, field, rule

NOW_S = 1_800_000_000
ATTACKER = "6f9619ff-8b86-5d01-b42d-00cf4fc964ff"
OTHER = "11111111-8b86-5d01-b42d-00cf4fc964ff"

DISABLED = rule_pb2.RULE_MODE_DISABLED
CLIPPED = rule_pb2.RULE_MODE_CLIPPED
ENABLED = rule_pb2.RULE_MODE_ENABLED


def _state(
    mode: rule_pb2.RuleMode.ValueType, ceiling: float = 0.0, **scope: Any
) -> rule_pb2.RuleState:
    state = rule_pb2.RuleState(mode=mode, confidence_max=ceiling)
    if scope:
        state.scope.CopyFrom(rule_pb2.StateScope(**scope))
    return state


async def _confidence(
    catalogue: Catalogue,
    scoped: Sequence[rule_pb2.RuleState],
    state: rule_pb2.RuleState | None = None,
    *,
    attacker: str = ATTACKER,
    address: str = "198.51.100.7",
    decky: str = "decky-1",
) -> float | None:
    """Return the confidence of the one tag, or None when it was withheld."""
    found = rule("R1", field("command_text", pattern="whoami"))
    found.state.CopyFrom(state or rule_pb2.RuleState(mode=ENABLED))
    found.scoped_states.extend(scoped)
    rules = RuleSet.empty().changed([found], (), [RuleEngine()], catalogue)
    group = event_pb2.EventGroup(
        origin_id="o",
        anchor=scope_pb2.Anchor(attacker_uuid=attacker),
        attacker_ip=address,
        decky_id=decky,
        events=[command("whoami")],
    )
    evaluation = Evaluation(
        [RuleEngine()], attack_release="enterprise-v17.1", clock=lambda: float(NOW_S)
    )
    answer = await evaluation.tag(tagger_service_pb2.TagEventsRequest(groups=[group]), rules)
    if not answer.groups:
        assert answer.withheld_count == 1
        return None
    return answer.groups[0].tags[0].confidence


@pytest.mark.parametrize(
    ("scope", "elsewhere"),
    [
        ({"attacker_uuid": ATTACKER}, {"attacker": OTHER}),
        ({"network": "198.51.100.0/24"}, {"address": "203.0.113.7"}),
        ({"network": "198.51.100.0/24"}, {"address": ""}),
        ({"network": "198.51.100.0/24"}, {"address": "2001:db8::1"}),
        ({"decky_id": "decky-1"}, {"decky": "decky-2"}),
    ],
)
async def test_a_scoped_state_mutes_what_it_names_and_nothing_else(
    catalogue: Catalogue, scope: dict[str, str], elsewhere: dict[str, str]
) -> None:
    muted = [_state(DISABLED, **scope)]
    assert await _confidence(catalogue, muted) is None
    assert await _confidence(catalogue, muted, **elsewhere) == 0.9


async def test_a_kind_is_a_scope(catalogue: Catalogue) -> None:
    assert await _confidence(catalogue, [_state(DISABLED, source_kind="command")]) is None
    assert await _confidence(catalogue, [_state(DISABLED, source_kind="session")]) == 0.9


async def test_an_address_matches_a_network_however_it_is_written(catalogue: Catalogue) -> None:
    muted = [_state(DISABLED, network="198.51.100.0/24")]
    assert await _confidence(catalogue, muted, address="::ffff:198.51.100.9") is None
    v6 = [_state(DISABLED, network="2001:db8::/32")]
    assert await _confidence(catalogue, v6, address="2001:0db8:0000::1") is None


async def test_the_narrower_state_counts_then_the_stricter_one(catalogue: Catalogue) -> None:
    everywhere = _state(DISABLED)
    here = _state(ENABLED, decky_id="decky-1")
    clip = _state(CLIPPED, 0.4, attacker_uuid=ATTACKER)
    assert await _confidence(catalogue, [here], everywhere) == 0.9
    assert await _confidence(catalogue, [here], everywhere, decky="decky-2") is None
    assert await _confidence(catalogue, [here, clip], everywhere) == 0.4
    off = _state(DISABLED, network="198.51.100.7/32")
    assert await _confidence(catalogue, [here, clip, off]) is None


async def test_a_scoped_state_that_is_over_counts_no_more(catalogue: Catalogue) -> None:
    over = _state(DISABLED, decky_id="decky-1")
    over.expire_time.CopyFrom(Timestamp(seconds=NOW_S - 1))
    assert await _confidence(catalogue, [over]) == 0.9
    assert await _confidence(catalogue, [over], _state(DISABLED)) is None
