# SPDX-License-Identifier: AGPL-3.0-or-later
"""The importer meets lines that nobody foresaw."""

import math
from pathlib import Path

import orjson
import pytest
from cowrie_log import read
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from decnet_ttp.sources.moments import parse_time

NAMES = [
    f"cowrie.{name}"
    for name in [
        "session.connect",
        "session.closed",
        "client.version",
        "client.kex",
        "login.success",
        "login.failed",
        "command.input",
        "command.success",
        "command.failed",
        "session.file_download",
        "session.file_upload.failed",
        "direct-tcpip.request",
        "abuseipdb.started",
    ]
]
ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(min_value=-(2**63), max_value=2**64 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=20),
    st.lists(st.integers(min_value=0, max_value=9), max_size=2),
    st.just("198.51.100.7"),
    st.just("9999-12-31T23:59:59.999999Z"),
    st.just("0001-01-01T00:00:00.000000+14:00"),
    st.datetimes().map(lambda moment: f"{moment:%Y-%m-%dT%H:%M:%S.%f}Z"),
)
FIELDS = [
    "timestamp",
    "sensor",
    "src_ip",
    "src_port",
    "dst_port",
    "protocol",
    "system",
    "duration",
    "duration_ms",
    "version",
    "hassh",
    "username",
    "password",
    "input",
    "url",
    "shasum",
    "filename",
    "destfile",
    "realm",
]
EVENTS = st.fixed_dictionaries(
    {"eventid": st.one_of(st.sampled_from(NAMES), ODD), "session": st.sampled_from(["a", "b", 1])},
    optional=dict.fromkeys(FIELDS, ODD),
)
LINES = st.one_of(
    EVENTS.map(orjson.dumps),
    EVENTS.map(orjson.dumps),
    st.binary(max_size=60),
    ODD.map(orjson.dumps),
)


@settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.lists(LINES, max_size=30))
def test_no_input_ends_the_reading(tmp_path: Path, lines: list[bytes]) -> None:
    """Whatever the lines hold, sessions come out whole and problems are counted."""
    log = tmp_path / "cowrie.json"
    log.write_bytes(b"\n".join(lines))
    payloads, source = read(log)
    tally = source.tally
    assert len(payloads) == tally.sessions - tally.sessions_skipped
    for payload in payloads:
        assert payload["attacker_ip"]
        assert payload["duration_s"] is None or payload["duration_s"] >= 0
        ids = [item["id"] for kind in ("commands", "auth_attempts") for item in payload[kind]]
        assert len(ids) == len([item for item in ids if item])
    assert sum(len(payload["commands"]) for payload in payloads) == tally.commands


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2024-01-01T00:00:00.123456Z", "2024-01-01T00:00:00.123456Z"),
        ("2024-01-01T00:00:00Z", "2024-01-01T00:00:00.000000Z"),
        ("2024-01-01T01:00:00.5+01:00", "2024-01-01T00:00:00.500000Z"),
        ("2024-01-01 00:00:00", "2024-01-01T00:00:00.000000Z"),
        (1704067200.25, "2024-01-01T00:00:00.250000Z"),
        ("2024-13-01T00:00:00.123456Z", None),
        ("2024-01-01X00:00:00.12345Zz", None),
        ("9999-12-31T23:59:59.999999Z", None),
        ("0001-01-01T00:00:00.000000+14:00", None),
        (1e300, None),
        (math.nan, None),
        (True, None),
        ("", None),
        (None, None),
    ],
)
def test_times_are_brought_to_one_form_or_refused(value: object, expected: str | None) -> None:
    assert parse_time(value) == expected
