# SPDX-License-Identifier: AGPL-3.0-or-later
"""`decnet-ttp attackers`: its rows in each form."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from decnet_ttp.v1.directory_service_pb2 import Attacker

FIRST = "6a7f3a4e-0a3b-5a52-93a5-6f0c3f1f7b11"
SECOND = "00000000-0000-4000-8000-000000000002"


@pytest.fixture
def attackers(tag_store: Any, at: Callable[[str], Timestamp]) -> None:
    """Two attackers, one of whom has never been tagged."""
    tag_store.attackers = [
        Attacker(
            uuid=FIRST,
            ip="203.0.113.77",
            tag_count=23,
            technique_count=4,
            first_seen_time=at("2026-03-01T10:00:00Z"),
            last_seen_time=at("2026-03-02T11:00:00Z"),
        ),
        Attacker(uuid=SECOND, ip="2001:db8::1"),
    ]


async def test_piped_rows_are_tab_separated(piped: Any, attackers: None) -> None:
    done = await piped("attackers")
    assert (done.code, done.err) == (0, "")
    assert [line.split("\t") for line in done.lines] == [
        ["address", "uuid", "tags", "techniques", "first seen (UTC)", "last seen (UTC)"],
        ["203.0.113.77", FIRST, "23", "4", "2026-03-01 10:00:00", "2026-03-02 11:00:00"],
        ["2001:db8::1", SECOND, "0", "0", "-", "-"],
    ]


async def test_a_wide_terminal_shows_everything_with_bars(
    on_terminal: Any, attackers: None
) -> None:
    done = await on_terminal("attackers", columns=140)
    lines = [line.split() for line in done.text.splitlines()]
    assert lines[2] == [
        *("203.0.113.77", FIRST, "23", "4", "2026-03-01", "10:00:00", "2026-03-02", "11:00:00"),
        "█" * 12,
    ]
    assert lines[3] == ["2001:db8::1", SECOND, "0", "0", "-", "-"]


async def test_a_narrow_terminal_names_attackers_by_address(
    on_terminal: Any, attackers: None
) -> None:
    done = await on_terminal("attackers", columns=80)
    lines = done.text.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[2].split() == [*("203.0.113.77", "23", "4", "2026-03-01", "2026-03-02", "█" * 12)]


async def test_json_limit_and_the_note_that_there_are_more(piped: Any, attackers: None) -> None:
    done = await piped("attackers", "--json", "--limit", 1)
    assert done.code == 0
    assert done.json() == [
        {
            "uuid": FIRST,
            "ip": "203.0.113.77",
            "identity_uuid": "",
            "first_seen_time": "2026-03-01T10:00:00Z",
            "last_seen_time": "2026-03-02T11:00:00Z",
            "tag_count": "23",
            "technique_count": "4",
        }
    ]
    assert done.err == "the first 1 attackers; there are more, --limit 0 shows all\n"
    whole = await piped("attackers", "--json", "--limit", 0)
    assert ([row["uuid"] for row in whole.json()], whole.err) == ([FIRST, SECOND], "")


async def test_nobody_seen_is_said_on_standard_error(piped: Any) -> None:
    done = await piped("attackers")
    assert (done.code, done.out) == (0, "")
    assert done.err == "no attackers: nothing has been seen yet\n"
