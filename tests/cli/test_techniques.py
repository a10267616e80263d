# SPDX-License-Identifier: AGPL-3.0-or-later
"""`decnet-ttp techniques`: its rows, its forms, its questions and its errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from decnet_ttp.core.errors import UnavailableError
from decnet_ttp.v1.rollup_service_pb2 import (
    CONFIDENCE_BAND_MEDIUM,
    CONFIDENCE_BAND_UNSPECIFIED,
    TECHNIQUE_ORDER_LAST_SEEN,
    TECHNIQUE_ORDER_TACTIC,
    ListTechniquesRequest,
    TechniqueRow,
)
from decnet_ttp.v1.scope_pb2 import FleetScope, Scope

UUID_A = "6a7f3a4e-0a3b-5a52-93a5-6f0c3f1f7b11"


@pytest.fixture
def rows(tag_store: Any, at: Callable[[str], Timestamp]) -> list[TechniqueRow]:
    """Three cells under two tactics."""
    tag_store.techniques = [
        TechniqueRow(
            tactic="TA0002",
            tactic_name="Execution",
            technique_id="T1059",
            technique_name="Command and Scripting Interpreter",
            sub_technique_id="T1059.004",
            sub_technique_name="Unix Shell",
            count=1600,
            first_seen_time=at("2026-03-01T10:00:00Z"),
            last_seen_time=at("2026-03-02T11:30:05.9Z"),
            confidence_max=0.9,
            mitre_uri="https://attack.mitre.org/techniques/T1059/004",
        ),
        TechniqueRow(
            tactic="TA0007",
            tactic_name="Discovery",
            technique_id="T1082",
            technique_name="System Information Discovery",
            count=400,
            first_seen_time=at("2026-03-01T10:00:01Z"),
            last_seen_time=at("2026-03-01T10:00:02Z"),
            confidence_max=0.654,
        ),
        TechniqueRow(
            tactic="TA0007",
            tactic_name="Discovery",
            technique_id="T9999",
            count=1,
            confidence_max=0.3,
        ),
    ]
    return list(tag_store.techniques)


async def test_piped_rows_are_tab_separated_and_complete(piped: Any, rows: object) -> None:
    done = await piped("techniques")
    assert (done.code, done.err) == (0, "")
    assert [line.split("\t") for line in done.lines] == [
        [
            "tactic",
            "technique",
            "name",
            "count",
            "first seen (UTC)",
            "last seen (UTC)",
            "confidence",
        ],
        [
            "Execution",
            "T1059.004",
            "Command and Scripting Interpreter: Unix Shell",
            "1600",
            "2026-03-01 10:00:00",
            "2026-03-02 11:30:05",
            "0.90",
        ],
        [
            "Discovery",
            "T1082",
            "System Information Discovery",
            "400",
            "2026-03-01 10:00:01",
            "2026-03-01 10:00:02",
            "0.65",
        ],
        ["Discovery", "T9999", "", "1", "-", "-", "0.30"],
    ]


async def test_a_terminal_shows_a_tactic_once_and_bars_as_shares_of_the_largest_count(
    on_terminal: Any, rows: object
) -> None:
    done = await on_terminal("techniques", columns=160)
    lines = done.text.splitlines()
    unix_shell = next(line for line in lines if "T1059.004" in line)
    discovery = next(line for line in lines if "T1082" in line)
    unknown = next(line for line in lines if "T9999" in line)
    assert done.code == 0
    assert "Command and Scripting Interpreter: Unix Shell" in unix_shell
    assert unix_shell.rstrip().endswith("0.90  " + "█" * 12)
    assert discovery.split()[0] == "Discovery"
    assert discovery.rstrip().endswith("0.65  ███")
    # A bar that rounds to nothing would say that there was nothing.
    assert unknown.split() == ["T9999", "1", "-", "-", "0.30", "▏"]


async def test_a_narrow_terminal_keeps_every_line_within_its_width(
    on_terminal: Any, rows: object
) -> None:
    done = await on_terminal("techniques", columns=80)
    assert max(len(line) for line in done.text.splitlines()) <= 80
    unix_shell = next(line for line in done.text.splitlines() if "T1059.004" in line)
    assert "2026-03-01" in unix_shell
    assert "2026-03-02" in unix_shell
    assert "10:00:00" not in done.text
    assert unix_shell.rstrip().endswith("0.90  " + "█" * 8)


async def test_json_is_one_array_of_the_response_messages(piped: Any, rows: object) -> None:
    done = await piped("techniques", "--json")
    assert len(done.json()) == 3
    assert done.json()[0] == {
        "tactic": "TA0002",
        "tactic_name": "Execution",
        "technique_id": "T1059",
        "technique_name": "Command and Scripting Interpreter",
        "sub_technique_id": "T1059.004",
        "sub_technique_name": "Unix Shell",
        "count": "1600",
        "first_seen_time": "2026-03-01T10:00:00Z",
        "last_seen_time": "2026-03-02T11:30:05.900Z",
        "confidence_max": 0.9,
        "mitre_uri": "https://attack.mitre.org/techniques/T1059/004",
        "identity_count": "0",
    }


async def test_nothing_tagged_is_an_empty_array_and_no_table(piped: Any) -> None:
    assert (await piped("techniques", "--json")).out == "[]\n"
    done = await piped("techniques")
    assert (done.code, done.out) == (0, "")
    assert done.err == "no techniques: nothing of this scope has been tagged\n"


async def test_pages_are_followed_to_the_end(piped: Any, tag_store: Any) -> None:
    tag_store.techniques = [
        TechniqueRow(technique_id=f"T{number}", count=1) for number in range(1000, 1007)
    ]
    tag_store.page_rows = 3
    done = await piped("techniques", "--json")
    assert [row["technique_id"] for row in done.json()] == [f"T{n}" for n in range(1000, 1007)]
    assert [request.page_token for request in tag_store.requests] == ["", "3", "6"]


async def test_limit_bounds_the_rows_and_says_that_there_are_more(
    piped: Any, tag_store: Any
) -> None:
    tag_store.techniques = [
        TechniqueRow(technique_id=f"T{number}", count=1) for number in range(1000, 1007)
    ]
    done = await piped("techniques", "--json", "--limit", 4)
    assert len(done.json()) == 4
    assert done.err == "the first 4 techniques; there are more, --limit 0 shows all\n"
    whole = await piped("techniques", "--json", "--limit", 7)
    assert (len(whole.json()), whole.err) == (7, "")


@pytest.mark.parametrize(
    ("options", "scope"),
    [
        ([], Scope(fleet=FleetScope())),
        (["--attacker", UUID_A.upper()], Scope(attacker_uuid=UUID_A)),
        (["--ip", "2001:DB8:0::1"], Scope(attacker_ip="2001:db8::1")),
        (["--identity", UUID_A], Scope(identity_uuid=UUID_A)),
        (["--campaign", UUID_A], Scope(campaign_uuid=UUID_A)),
        (["--session", "s-1"], Scope(session_id="s-1")),
    ],
)
async def test_scope_options_become_the_scope_of_the_request(
    piped: Any, tag_store: Any, options: list[str], scope: Scope
) -> None:
    done = await piped("techniques", *options)
    assert done.code == 0
    assert tag_store.requests == [
        ListTechniquesRequest(
            scope=scope,
            min_band=CONFIDENCE_BAND_UNSPECIFIED,
            order=TECHNIQUE_ORDER_TACTIC,
            page_size=1000,
        )
    ]


async def test_band_and_order_reach_the_service(piped: Any, tag_store: Any) -> None:
    await piped("techniques", "--min-band", "medium", "--order", "last-seen", "--limit", "5")
    request = tag_store.requests[0]
    assert (request.min_band, request.order, request.page_size) == (
        CONFIDENCE_BAND_MEDIUM,
        TECHNIQUE_ORDER_LAST_SEEN,
        5,
    )


async def test_a_campaign_shows_how_many_identities(
    piped: Any, tag_store: Any, rows: object
) -> None:
    tag_store.techniques[0].identity_count = 12
    done = await piped("techniques", "--campaign", UUID(UUID_A))
    assert [line.split("\t")[4] for line in done.lines] == ["identities", "12", "0", "0"]


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (
            ["--attacker", UUID_A, "--ip", "10.0.0.1"],
            "--attacker and --ip exclude each other; give one, or none for the fleet",
        ),
        (["--ip", "10.0.0"], "this is no IPv4 or IPv6 address"),
        (["--attacker", "nobody"], "'nobody' is not a valid UUID"),
        (["--session", ""], "a session id has 1 to 512 bytes"),
        (["--min-band", "huge"], "'huge' is not one of"),
        (["--limit", "-1"], "-1 is not in the range"),
    ],
)
async def test_wrong_usage_ends_with_2(
    piped: Any, tag_store: Any, options: list[str], complaint: str
) -> None:
    done = await piped("techniques", *options)
    assert (done.code, done.out, tag_store.requests) == (2, "", [])
    assert complaint in done.err


async def test_a_service_that_is_away_is_named_with_the_cure(piped: Any) -> None:
    done = await piped("techniques", TAG_STORE="unix:/tmp/nobody-listens.sock")
    assert (done.code, done.out) == (1, "")
    assert done.err == (
        "decnet-ttp: the tag-store at unix:/tmp/nobody-listens.sock cannot be reached; start it "
        "with `decnet-ttp up`, or name another with DECNET_TTP_TAG_STORE\n"
    )


async def test_no_installation_at_all_is_one_line_with_the_cure(piped: Any, empty_dir: str) -> None:
    done = await piped("techniques", TAG_STORE="")
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith(
        f"decnet-ttp: nothing runs over {empty_dir}: start it with "
        f"`decnet-ttp up --data-dir {empty_dir}`"
    )
    assert done.err.count("\n") == 1


async def test_what_the_service_says_about_itself_is_passed_on(piped: Any, tag_store: Any) -> None:
    tag_store.error = UnavailableError("the database is away; try again")
    done = await piped("techniques", "--json")
    assert (done.code, done.out) == (1, "")
    assert done.err == "decnet-ttp: the database is away; try again\n"
