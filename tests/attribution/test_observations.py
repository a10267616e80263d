# SPDX-License-Identifier: AGPL-3.0-or-later
from __future__ import annotations

from typing import Any

import pytest

from attribution.observing import ATTACKER, START_S, message
from decnet_ttp.attribution.observations import (
    Observation,
    RefusedError,
    evidence_key,
    read_observation,
)
from decnet_ttp.attribution.primitives import Primitive, Registry
from decnet_ttp.attribution.states import Kind
from decnet_ttp.runtime.bus import Envelope

REGISTRY = Registry(
    {
        "cadence": Primitive(Kind.CATEGORICAL, allowed=frozenset({"steady", "bursty"})),
        "interval": Primitive(Kind.NUMERIC, minimum=0.0, maximum=10.0),
        "print": Primitive(Kind.HASH),
        "order": Primitive(Kind.ARRAY, items=Kind.FREE_STRING),
        "banner": Primitive(Kind.FREE_STRING),
        "relay": Primitive(Kind.BOOL),
    }
)


def read(envelope: Envelope) -> Observation:
    return read_observation(
        envelope.encode(), subject=envelope.topic, published_s=START_S + 60, registry=REGISTRY
    )


def reason(envelope: Envelope) -> str:
    with pytest.raises(RefusedError) as refused:
        read(envelope)
    return refused.value.reason


def test_reads_every_field() -> None:
    found = read(message("steady", primitive="cadence", evidence="shard:a#1"))
    assert found == Observation(
        key=evidence_key("shard:a#1", "cadence"),
        attacker=ATTACKER,
        primitive="cadence",
        value='"steady"',
        confidence=0.9,
        at=int(START_S * 1e6),
        produced=int((START_S + 1) * 1e6),
        observation_id="shard:a#1:cadence",
        evidence_ref="shard:a#1",
        source="test",
    )


@pytest.mark.parametrize(
    ("primitive", "value"),
    [
        ("cadence", "steady"),
        ("interval", 0),
        ("interval", 9.5),
        ("print", "b12d2871a1189eff20364cf5333619ee"),
        ("order", ["curve25519-sha256", "ecdh-sha2-nistp256"]),
        ("order", []),
        ("banner", ""),
        ("relay", False),
        ("unheard.of", {"any": ["thing", 1, None]}),
    ],
)
def test_takes_values_of_their_kind(primitive: str, value: Any) -> None:
    assert read(message(value, primitive=primitive)).primitive == primitive


@pytest.mark.parametrize(
    ("primitive", "value", "why"),
    [
        ("cadence", "tremor", "value_not_allowed"),
        ("cadence", ["steady"], "value_not_allowed"),
        ("interval", "60", "value_not_of_kind"),
        ("interval", True, "value_not_of_kind"),
        ("interval", -0.1, "value_out_of_bounds"),
        ("interval", 1e101, "value_not_of_kind"),
        ("print", "", "value_not_of_kind"),
        ("print", 17, "value_not_of_kind"),
        ("order", "curve25519", "value_not_of_kind"),
        ("order", [1], "value_not_of_kind"),
        ("relay", 1, "value_not_of_kind"),
        ("unheard.of", None, "value_missing"),
        ("unheard.of", "x" * 17_000, "value_too_large"),
    ],
)
def test_refuses_values_outside_their_kind(primitive: str, value: Any, why: str) -> None:
    assert reason(message(value, primitive=primitive)) == why


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"attacker_uuid": None}, "no_attacker"),
        ({"attacker_uuid": "not-a-uuid"}, "no_attacker"),
        ({"attacker_uuid": 7}, "no_attacker"),
        ({"confidence": 1.01}, "confidence_out_of_bounds"),
        ({"confidence": "high"}, "confidence_out_of_bounds"),
        ({"v": 2}, "unknown_version"),
        ({"window": {"end_ts": START_S + 90_000}}, "time_out_of_bounds"),
        ({"window": {"end_ts": 17}}, "time_out_of_bounds"),
        ({"window": {"end_ts": "now"}}, "time_missing"),
        ({"window": {"end_ts": 1e300}}, "time_missing"),
        ({"evidence_ref": "a\0b"}, "reference_malformed"),
        ({"evidence_ref": "a" * 2_000}, "reference_malformed"),
    ],
)
def test_refuses_what_is_malformed(changed: dict[str, Any], why: str) -> None:
    assert reason(message("x", primitive="banner", **changed)) == why


def test_refuses_a_primitive_that_differs_from_the_topic() -> None:
    sent = message("x", primitive="banner")
    moved = Envelope("attacker.observation.relay", "banner", sent.payload)
    assert reason(moved) == "primitive_mismatch"


def test_refuses_what_has_neither_evidence_nor_id() -> None:
    sent = message("x", primitive="banner", evidence_ref=None, id=None)
    assert reason(Envelope(sent.topic, sent.type, sent.payload, id="")) == "no_identity"


def test_refuses_bytes_that_are_no_envelope() -> None:
    with pytest.raises(RefusedError) as refused:
        read_observation(
            b"\xff", subject="attacker.observation.x", published_s=START_S, registry=REGISTRY
        )
    assert refused.value.reason == "undecodable"


@pytest.mark.parametrize("told", [-9e10, 9e10, "yesterday", None, True])
def test_any_time_of_telling_has_a_place_in_the_order(told: object) -> None:
    found = read(message("x", primitive="banner", ts=told))
    expected = told if isinstance(told, float) else START_S
    assert found.produced == int(expected * 1e6)


def test_equal_lists_and_objects_are_equal_texts() -> None:
    one = read(message({"b": 1, "a": [2]}, primitive="unheard.of"))
    other = read(message({"a": [2], "b": 1}, primitive="unheard.of"))
    assert one.value == other.value == '{"a":[2],"b":1}'


def test_an_attackers_control_characters_are_kept_as_json() -> None:
    assert read(message("a\0b", primitive="banner")).value == '"a\\u0000b"'


def test_without_evidence_the_id_tells_observations_apart() -> None:
    one = read(message("x", primitive="banner", evidence_ref=None, id="01"))
    other = read(message("x", primitive="banner", evidence_ref=None, id="02"))
    assert one.key != other.key
