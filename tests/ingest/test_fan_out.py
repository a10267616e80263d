# SPDX-License-Identifier: AGPL-3.0-or-later
"""A session message becomes typed events with stable ids, whatever shape its producer gave it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decnet_ttp.core.source_kinds import SourceKind
from decnet_ttp.ingest.batch import FULL_EVENTS, MAX_EVENTS, TaggerRequests, Upstream, sink_of
from decnet_ttp.ingest.fan_out import write_session
from decnet_ttp.v1 import event_pb2

ALL_KINDS = frozenset(str(kind) for kind in SourceKind)


def fan_out(payload: dict[str, Any], kinds: frozenset[str] = ALL_KINDS) -> list[event_pb2.Event]:
    requests = TaggerRequests(kinds)
    upstream = Upstream("origin", "attacker.session.ended", payload, 100)
    requests.begin(upstream)
    write_session(payload, "origin", sink_of([requests]))
    return [
        event for request in requests.requests for group in request.groups for event in group.events
    ]


def test_session_fans_out_into_itself_and_its_parts_in_order() -> None:
    events = fan_out(
        {
            "session_id": "s",
            "source_id": "sensor/s/1",
            "service": "ssh",
            "commands": [{"id": "c0", "command_text": "id"}],
            "auth_attempts": [{"id": "a0", "username": "root", "password": "x"}],
            "payloads": [{"id": "p0", "sha256": "ab"}],
            "http_requests": [{"id": "h0", "raw_url": "/"}],
        }
    )
    assert [(event.source_kind, event.source_id) for event in events] == [
        ("session", "sensor/s/1"),
        ("command", "c0"),
        ("http_request", "h0"),
        ("auth_attempt", "a0"),
        ("payload", "p0"),
    ]
    assert events[0].session.service == "ssh"
    assert events[1].command.command_text == "id"
    assert events[2].http_request.raw_url == "/"
    assert events[3].auth_attempt.username == "root"
    assert events[4].file.sha256 == "ab"


def test_commands_without_id_are_named_by_session_and_position() -> None:
    events = fan_out(
        {"session_id": "s", "commands": ["id", {"text": "w"}, 7, {"command_text": "ls"}]},
        frozenset({"command"}),
    )
    assert [(event.source_id, event.command.command_text) for event in events] == [
        ("s#cmd0", "id"),
        ("s#cmd1", "w"),
        ("s#cmd3", "ls"),
    ]


def test_session_without_any_id_takes_the_message_id() -> None:
    (event,) = fan_out({"service": "ssh"}, frozenset({"session"}))
    assert event.source_id == "origin"


def test_kinds_nobody_takes_make_no_events() -> None:
    assert fan_out({"session_id": "s", "commands": ["id"]}, frozenset({"email"})) == []


def test_event_time_falls_back_to_the_end_of_the_session() -> None:
    events = fan_out(
        {
            "session_id": "s",
            "ended_at": "2024-05-01T10:00:00.25Z",
            "commands": [
                {"id": "a", "command_text": "id", "ts": "2024-05-01T09:59:59.123456+00:00"},
                {"id": "b", "command_text": "id", "ts": "yesterday"},
            ],
        },
        frozenset({"command"}),
    )
    assert events[0].observe_time.ToJsonString() == "2024-05-01T09:59:59.123456Z"
    assert events[1].observe_time.ToJsonString() == "2024-05-01T10:00:00.250Z"


def test_event_without_any_time_has_none() -> None:
    (event,) = fan_out({"commands": ["id"]}, frozenset({"command"}))
    assert not event.HasField("observe_time")


def test_wrong_types_count_as_absent_and_unknown_fields_are_kept() -> None:
    requests = TaggerRequests(frozenset({"session"}))
    payload = {
        "session_id": "s",
        "service": 7,
        "duration_s": "long",
        "signals": ["privileged:true"],
        "weather": {"sky": ["grey", 1]},
    }
    upstream = Upstream("origin", "t", payload, 1)
    requests.begin(upstream)
    assert write_session(payload, "origin", sink_of([requests])) == 2
    event = requests.requests[0].groups[0].events[0]
    assert event.session == event_pb2.SessionPayload(signals=["privileged:true"])
    assert dict(event.extra)["weather"] == {"sky": ["grey", 1.0]}


def test_an_oversized_id_is_replaced_by_the_position() -> None:
    (event,) = fan_out(
        {"session_id": "s", "commands": [{"id": "x" * 2000, "command_text": "id"}]},
        frozenset({"command"}),
    )
    assert event.source_id == "s#cmd0"


def test_a_huge_session_is_chunked_by_events_under_one_origin() -> None:
    payload = {"session_id": "s", "commands": ["id"] * (2 * MAX_EVENTS + 5)}
    requests = TaggerRequests(frozenset({"command"}))
    requests.begin(Upstream("origin", "t", payload, 1))
    write_session(payload, "origin", sink_of([requests]))
    sizes = [sum(len(group.events) for group in item.groups) for item in requests.requests]
    assert sizes == [MAX_EVENTS, MAX_EVENTS, 5]
    assert {group.origin_id for item in requests.requests for group in item.groups} == {"origin"}


def test_a_session_of_many_parts_stays_whole_where_a_request_would_overflow() -> None:
    """Rules over whole sessions see what lies in one request."""
    requests = TaggerRequests(frozenset({"session", "command"}))
    for name, count in (("a", FULL_EVENTS - 10), ("b", 20), ("c", 3 * FULL_EVENTS), ("d", 1)):
        payload = {"session_id": name, "commands": ["id"] * count}
        requests.begin(Upstream(name, "t", payload, 1))
        write_session(payload, name, sink_of([requests]))
    found = [[group.origin_id for group in item.groups] for item in requests.requests]
    assert found == [["a"], ["b"], ["c"], ["d"]]


def test_what_was_told_before_becomes_parts_marked_as_such() -> None:
    payload = {
        "session_id": "s",
        "commands": [{"id": "c2", "command_text": "./x"}],
        "told_before": {
            "commands": [{"id": "c1", "command_text": "wget x"}],
            "auth_attempts": [{"id": "a1", "result": "success"}],
        },
    }
    events = fan_out(payload, frozenset({"session", "command", "auth_attempt"}))
    assert [(event.source_id, event.told_before) for event in events] == [
        ("s", False),
        ("c1", True),
        ("a1", True),
        ("c2", False),
    ]
    assert events[0].session.command_count == 1
    assert not events[0].HasField("extra")


@pytest.mark.parametrize("value", [[1], "x", {"commands": 7}, {"commands": [None, 3]}])
def test_a_wrong_told_before_is_nothing(value: object) -> None:
    events = fan_out({"session_id": "s", "told_before": value}, frozenset({"session", "command"}))
    assert [event.source_id for event in events] == ["s"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4)
    ),
    max_leaves=12,
)
FIELDS = st.sampled_from(
    [
        *(
            "commands",
            "payloads",
            "auth_attempts",
            "http_requests",
            "session_id",
            "source_id",
            "ts",
        ),
        *("ended_at", "started_at", "service", "duration_s", "signals", "request_count", "text"),
    ]
)
ENTRIES = st.dictionaries(
    st.sampled_from(["id", "command_text", "text", "ts", "headers", "success", "status", "raw_url"])
    | st.text(max_size=8),
    JSON,
    max_size=5,
)


@given(st.dictionaries(FIELDS, JSON | st.lists(ENTRIES | JSON, max_size=4), max_size=8))
def test_no_payload_makes_fan_out_raise(payload: dict[str, Any]) -> None:
    for event in fan_out(payload):
        assert event.source_kind in ALL_KINDS
        assert 0 < len(event.source_id.encode()) <= 1_100
        assert event.SerializeToString()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), True, -5, 10**12, [], {}, "", "12"])
def test_a_time_that_is_none_leaves_the_event_without(value: object) -> None:
    (event,) = fan_out({"commands": [{"command_text": "id", "ts": value}]}, frozenset({"command"}))
    assert not event.HasField("observe_time")
