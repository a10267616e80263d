# SPDX-License-Identifier: AGPL-3.0-or-later
"""Figures that rules read are counted from the session where nobody sent them."""

from __future__ import annotations

from typing import Any

import pytest

from decnet_ttp.ingest.batch import TaggerRequests, Upstream, sink_of
from decnet_ttp.ingest.fan_out import write_session
from decnet_ttp.v1 import event_pb2


def events_of(kind: str, payload: dict[str, Any]) -> list[event_pb2.Event]:
    requests = TaggerRequests(frozenset({kind}))
    requests.begin(Upstream("origin", "attacker.session.ended", payload, 100))
    write_session(payload, "origin", sink_of([requests]))
    return [e for request in requests.requests for group in request.groups for e in group.events]


def attempt(username: str, password: str, result: str = "failure", **sent: Any) -> dict[str, Any]:
    return {"username": username, "password": password, "result": result, **sent}


def test_attempts_count_failures_and_passwords_so_far() -> None:
    events = events_of(
        "auth_attempt",
        {
            "session_id": "s",
            "auth_attempts": [
                attempt("root", "a"),
                attempt("root", "a"),
                attempt("admin", "b"),
                attempt("root", "c", "success"),
            ],
        },
    )
    assert [
        (event.auth_attempt.fail_count, event.auth_attempt.password_count) for event in events
    ] == [(1, 1), (2, 1), (3, 1), (3, 2)]
    assert [event.auth_attempt.prior_brute for event in events] == [False, True, True, True]


def test_what_the_producer_counted_stands() -> None:
    (event,) = events_of(
        "auth_attempt",
        {"auth_attempts": [attempt("root", "a", fail_count=40, prior_brute=True)]},
    )
    assert (event.auth_attempt.fail_count, event.auth_attempt.prior_brute) == (40, True)


def test_session_sums_up_its_lists() -> None:
    (event,) = events_of(
        "session",
        {
            "service": "redis",
            "commands": ["FLUSHALL", {"command_text": "KEYS *", "rows_read": 7}],
            "auth_attempts": [attempt("root", "a")],
            "http_requests": [{"raw_url": "/", "bytes_out": 5}, {"raw_url": "/", "bytes_out": 6.5}],
        },
    )
    session = event.session
    assert (session.command_count, session.auth_attempt_count, session.request_count) == (2, 1, 2)
    assert session.op_text == "FLUSHALL\nKEYS *"
    assert (session.bytes_out, session.rows_read) == (11.5, 7)


@pytest.mark.parametrize("service", ["FTP", "imap", "mqtt", "modbus", "sip", "snmp"])
def test_commands_of_a_protocol_are_its_operations(service: str) -> None:
    (event,) = events_of("session", {"service": service, "commands": ["A 1", "B 2"]})
    assert event.session.op_text == "A 1\nB 2"


def test_commands_of_a_shell_are_no_database_operations() -> None:
    (event,) = events_of("session", {"service": "ssh", "commands": ["DROP DATABASE x"]})
    assert event.session.op_text == ""


def test_regular_requests_are_a_beacon() -> None:
    times = [f"2026-01-01T00:{minute:02}:00Z" for minute in (0, 1, 2, 3, 4, 5)]
    (event,) = events_of("session", {"http_requests": [{"raw_url": "/", "ts": t} for t in times]})
    assert event.session.beacon_interval_s == 60.0
    assert event.session.beacon_jitter_pct == 0.0


@pytest.mark.parametrize("times", [["2026-01-01T00:00:00Z"] * 6, ["2026-01-01T00:00:00Z"] * 3])
def test_requests_without_distance_or_too_few_are_none(times: list[str]) -> None:
    (event,) = events_of("session", {"http_requests": [{"raw_url": "/", "ts": t} for t in times]})
    assert not event.session.HasField("beacon_interval_s")
