# SPDX-License-Identifier: AGPL-3.0-or-later
"""Every kind has a message; wrong types are absence, and counted; the unknown is matchable."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict
from hypothesis import given
from hypothesis import strategies as st

from decnet_ttp.core.source_kinds import PAYLOAD_FIELD, SourceKind
from decnet_ttp.ingest.payloads import MAX_TEXT, fill
from decnet_ttp.matching import RulePack
from decnet_ttp.rule_store.payload_fields import PayloadField, payload_fields
from decnet_ttp.v1 import event_pb2, rule_pb2
from matching.builders import every, field, no, rule

#: A value of each type that a producer's JSON may have.
RIGHT: dict[str, Any] = {
    "text": "value",
    "number": 7,
    "boolean": True,
    "list of text": ["one", "two"],
    "list of numbers": [1, 2],
    "map of text": {"X-Name": "value"},
}
#: Values that are of another type than each.
WRONG: dict[str, list[Any]] = {
    "text": [7, 1.5, True, ["value"], {"a": "b"}],
    "number": ["7", True, [7], {"a": 7}],
    "boolean": ["true", 1, 0, [True], {}],
    "list of text": ["one", 7, [1], ["one", None], {"a": "b"}],
    "list of numbers": ["1", 7, ["1"], [1.5], [True], [2**40], {"a": 1}],
    "map of text": ["X", 7, [["X", "v"]], {"X-Name": 7}, {"X-Name": ["v"]}],
}
FIELDS = [(str(kind), each) for kind in SourceKind for each in payload_fields(kind).values()]
KINDS = [str(kind) for kind in SourceKind]


def filled(kind: str, body: dict[str, Any]) -> tuple[event_pb2.Event, int]:
    event = event_pb2.Event(source_id="e")
    return event, fill(event, kind, body, frozenset())


def payload_of(event: event_pb2.Event) -> Any:
    return getattr(event, PAYLOAD_FIELD[SourceKind(event.source_kind)])


def _named(value: Any) -> str:
    return f"{value[0]}-{value[1].name}" if isinstance(value, tuple) else repr(value)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_a_message_and_an_empty_one_is_told_from_none(kind: str) -> None:
    event, wrong = filled(kind, {})
    assert event.WhichOneof("payload") == PAYLOAD_FIELD[SourceKind(kind)]
    assert (event.source_kind, wrong, event.HasField("extra")) == (kind, 0, False)


@pytest.mark.parametrize("told", FIELDS, ids=_named)
def test_a_field_of_the_right_type_arrives(told: tuple[str, PayloadField]) -> None:
    kind, known = told
    event, wrong = filled(kind, {known.name: RIGHT[known.type]})
    got = MessageToDict(payload_of(event), preserving_proto_field_name=True)[known.name]
    # JSON writes 64-bit numbers as text.
    assert got in (RIGHT[known.type], str(RIGHT[known.type]))
    assert wrong == 0


@pytest.mark.parametrize("told", FIELDS, ids=_named)
def test_a_field_of_a_wrong_type_is_absent_and_counted(told: tuple[str, PayloadField]) -> None:
    kind, known = told
    for value in WRONG[known.type]:
        event, wrong = filled(kind, {known.name: value})
        assert payload_of(event).ListFields() == [], value
        assert (wrong, event.HasField("extra")) == (1, False), value


@pytest.mark.parametrize("told", FIELDS, ids=_named)
def test_null_is_absence_and_no_mistake(told: tuple[str, PayloadField]) -> None:
    kind, known = told
    event, wrong = filled(kind, {known.name: None})
    assert (payload_of(event).ListFields(), wrong) == ([], 0)


def test_one_wrong_field_costs_no_other() -> None:
    event, wrong = filled("auth_attempt", {"service": 22, "username": "root", "fail_count": "9"})
    assert event.auth_attempt == event_pb2.AuthAttemptPayload(username="root")
    assert wrong == 2


@pytest.mark.parametrize("kind", KINDS)
def test_an_unknown_field_is_kept_and_rules_match_it_by_name(kind: str) -> None:
    event, wrong = filled(
        kind,
        {"sensor_note": "seen twice", "weather": {"sky": ["grey", "clear"]}, "odds": 0.25},
    )
    assert wrong == 0
    assert MessageToDict(event.extra) == {
        "sensor_note": "seen twice",
        "weather": {"sky": ["grey", "clear"]},
        "odds": 0.25,
    }
    seldom = field("extra.odds", compare=rule_pb2.NumericComparison(lt=0.5))
    pack = RulePack.compile(
        [
            rule("R1", field("extra.sensor_note", contains=["twice"]), kind),
            rule("R2", field("extra.weather.sky", in_set=["clear"]), kind),
            rule(
                "R3",
                every(seldom, field("extra.sensor_note", pattern="^seen")),
                kind,
            ),
            rule("R4", field("extra.absent", contains=["twice"]), kind),
            rule("R5", no(field("extra.absent", contains=["twice"])), kind),
        ]
    )
    assert sorted(match.rule.rule_id for match in pack.evaluate(event)) == ["R1", "R2", "R3", "R5"]


def test_a_kind_without_a_message_travels_whole() -> None:
    event, wrong = filled("telescope", {"mirror": "large", "aims": [1, {"at": "moon"}]})
    assert event.source_kind == "telescope"
    assert MessageToDict(event.other) == {"mirror": "large", "aims": [1.0, {"at": "moon"}]}
    assert wrong == 0


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_kept_is_bounded(kind: str) -> None:
    deep: Any = "bottom"
    for _ in range(40):
        deep = {"further": deep}
    event, _ = filled(
        kind, {"note": "x" * (MAX_TEXT + 9), "many": list(range(5_000)), "deep": deep}
    )
    kept = MessageToDict(event.extra)
    assert len(kept["note"]) == MAX_TEXT
    assert len(kept["many"]) == 1_000
    assert "bottom" not in str(kept["deep"])


@given(
    kind=st.sampled_from(KINDS),
    body=st.dictionaries(
        st.sampled_from([each.name for _, each in FIELDS]) | st.text(max_size=8),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.text(max_size=4), inner, max_size=3)
            ),
            max_leaves=6,
        ),
        max_size=6,
    ),
)
def test_any_json_is_taken_and_a_field_goes_to_one_place(kind: str, body: dict[str, Any]) -> None:
    event, wrong = filled(kind, body)
    known = payload_fields(kind).keys()
    assert wrong <= len(body.keys() & known)
    assert set(event.extra.fields) == {
        key for key, value in body.items() if key not in known and value is not None
    }
