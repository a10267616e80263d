# SPDX-License-Identifier: AGPL-3.0-or-later
from datetime import timedelta
from itertools import permutations
from pathlib import Path
from typing import Any

import orjson
import pytest
from cowrie_log import at, closed, command, connect, encode, event, read, write

from decnet_ttp.sources.cowrie import CowrieSource
from decnet_ttp.sources.cowrie_session import MAX_ITEMS, MAX_TEXT
from decnet_ttp.sources.cowrie_sessions import FINISHED_AT_ONCE, MAX_CLOSING
from decnet_ttp.sources.protocol import SourceUnknownError, load


def login(password: str) -> dict[str, str]:
    return {"username": "root", "password": password}


def whole(session: str, second: float) -> list[dict[str, Any]]:
    """A session with one of everything."""
    return [
        connect(session, second),
        event("client.version", session, second + 0.1, version="SSH-2.0-Go"),
        event("client.kex", session, second + 0.2, hassh="0df0d56bb50c6b2426d8d40234bf1826"),
        event("login.failed", session, second + 1, **login("1234")),
        event("login.success", session, second + 2, **login("admin")),
        command(session, second + 3, "uname -a"),
        command(session, second + 4, "nosuch --flag"),
        event("command.failed", session, second + 4.1, input="nosuch --flag"),
        event(
            "session.file_download",
            session,
            second + 5,
            url="http://192.0.2.1/x",
            shasum="AB" * 32,
            outfile="var/lib/cowrie/downloads/x",
        ),
        event("session.file_upload", session, second + 6, filename="sshd", shasum="cd" * 32),
        event("session.file_download.failed", session, second + 7, url="http://192.0.2.1/y"),
        closed(session, second + 8, duration="8.5"),
    ]


def test_session_becomes_the_payload_that_ingest_reads(tmp_path: Path) -> None:
    payloads, source = read(write(tmp_path / "cowrie.json", whole("a1", 0)))
    assert len(payloads) == 1
    payload = payloads[0]
    ids = [
        item.pop("id")
        for items in ("auth_attempts", "commands", "payloads")
        for item in payload[items]
    ]
    assert len(set(ids)) == 7
    assert payload == {
        "session_id": "a1",
        "source_id": f"pot/a1/{at(0)}",
        "attacker_uuid": None,
        "attacker_ip": "198.51.100.7",
        "decky_id": "pot",
        "service": "ssh",
        "protocol": "ssh",
        "started_at": at(0),
        "ended_at": at(8),
        "duration_s": 8.5,
        "src_port": 40000,
        "dst_port": 2222,
        "client_version": "SSH-2.0-Go",
        "hassh": "0df0d56bb50c6b2426d8d40234bf1826",
        "closed": True,
        "auth_attempts": [
            {
                "ts": at(1),
                "username": "root",
                "password": "1234",
                "result": "failure",
                "service": "ssh",
            },
            {
                "ts": at(2),
                "username": "root",
                "password": "admin",
                "result": "success",
                "service": "ssh",
            },
        ],
        "commands": [
            {"command_text": "uname -a", "ts": at(3), "user": "root"},
            {"command_text": "nosuch --flag", "ts": at(4), "user": "root", "success": False},
        ],
        "payloads": [
            {
                "ts": at(5),
                "direction": "download",
                "url": "http://192.0.2.1/x",
                "sha256": "ab" * 32,
                "filename": None,
            },
            {
                "ts": at(6),
                "direction": "upload",
                "url": None,
                "sha256": "cd" * 32,
                "filename": "sshd",
            },
            {
                "ts": at(7),
                "direction": "download",
                "url": "http://192.0.2.1/y",
                "sha256": None,
                "filename": None,
                "success": False,
            },
        ],
        "http_requests": [],
    }
    assert not source.tally.problems


def test_interleaved_sessions_are_told_apart(tmp_path: Path) -> None:
    events = [item for number in range(200) for item in whole(f"s{number}", number / 100)]
    events.sort(key=lambda item: item["timestamp"])
    payloads, source = read(write(tmp_path / "cowrie.json", events))
    assert source.tally.sessions == 200
    assert {len(payload["commands"]) for payload in payloads} == {2}
    assert all(payload["closed"] for payload in payloads)


def test_message_ids_are_equal_on_every_reading(tmp_path: Path) -> None:
    log = write(tmp_path / "cowrie.json", [*whole("a", 0), *whole("b", 5)])
    first, second = ([message.id for message in CowrieSource().read([str(log)])] for _ in range(2))
    assert first == second
    assert len(set(first)) == 2


def item_ids(payloads: list[dict[str, Any]]) -> set[str]:
    return {
        item["id"]
        for payload in payloads
        for items in ("commands", "auth_attempts", "payloads")
        for item in payload[items]
    }


@pytest.mark.parametrize("cut", range(1, 12))
def test_item_ids_do_not_depend_on_where_a_file_is_cut(tmp_path: Path, cut: int) -> None:
    events = whole("a", 0)
    together, _ = read(write(tmp_path / "all.json", events))
    head, _ = read(write(tmp_path / "head.json", events[:cut]))
    tail, _ = read(write(tmp_path / "tail.json", events[cut:]))
    assert item_ids(head) | item_ids(tail) == item_ids(together)
    assert head[0]["source_id"] == together[0]["source_id"]


def test_rotated_files_join_whatever_their_order_and_content_order(tmp_path: Path) -> None:
    """The parts of one log give the same messages in every order of lines between files."""
    events = whole("a", 0)
    parts = [events[:4], events[4:7], events[7:]]
    expected, _ = read(write(tmp_path / "one.json", events))
    for number, order in enumerate(permutations(parts)):
        log = write(
            tmp_path / f"{'abcdef'[number]}.json", [item for part in order for item in part]
        )
        payloads, _ = read(log)
        assert [p["source_id"] for p in payloads] == [expected[0]["source_id"]]
        assert item_ids(payloads) == item_ids(expected)
        assert payloads[0]["closed"]


def test_equal_commands_at_one_instant_have_different_ids(tmp_path: Path) -> None:
    events = [connect("a", 0), *[command("a", 1, "ls")] * 3, command("a", 2, "ls")]
    payloads, _ = read(write(tmp_path / "cowrie.json", events))
    ids = [item["id"] for item in payloads[0]["commands"]]
    assert len(set(ids)) == 4
    assert [item.partition("-")[2] for item in ids] == ["", "2", "3", ""]


def test_equal_session_ids_of_other_sensors_and_years_do_not_collide(tmp_path: Path) -> None:
    year = timedelta(days=365).total_seconds()
    events = [
        connect("ab12cd34", 0),
        command("ab12cd34", 1, "id"),
        connect("ab12cd34", 0, sensor="other"),
        command("ab12cd34", 1, "id", sensor="other"),
        command("ab12cd34", year, "id"),
        connect("ab12cd34", 2 * year),
        command("ab12cd34", 2 * year + 1, "id"),
    ]
    payloads, _ = read(write(tmp_path / "cowrie.json", events))
    assert len(payloads) == 4
    assert len({payload["source_id"] for payload in payloads}) == 4
    assert len(item_ids(payloads)) == 4


def test_session_without_a_close_is_written_at_the_end(tmp_path: Path) -> None:
    payloads, _ = read(write(tmp_path / "cowrie.json", whole("a", 0)[:-1]))
    assert payloads[0]["closed"] is False
    assert payloads[0]["ended_at"] == at(7)
    assert payloads[0]["duration_s"] == 7.0


def test_download_that_ends_after_the_close_still_joins(tmp_path: Path) -> None:
    late = event("session.file_download.failed", "a", 20, url="http://192.0.2.1/z", late=True)
    events = [*whole("a", 0), connect("b", 15), late, closed("b", 100), connect("c", 300)]
    payloads, _ = read(write(tmp_path / "cowrie.json", events))
    assert [payload["session_id"] for payload in payloads] == ["a", "b", "c"]
    assert len(payloads[0]["payloads"]) == 4
    assert payloads[0]["ended_at"] == at(8)


def test_success_event_marks_the_line_and_adds_none(tmp_path: Path) -> None:
    """Old releases repeat each program of a line, resolved; a failure among them decides."""
    events = [
        connect("a", 0),
        command("a", 1, "cat passwd"),
        event("command.success", "a", 1.1, input="cat /etc/passwd"),
        command("a", 2, "cd /tmp; nosuch"),
        event("command.success", "a", 2.1, input="cd /tmp"),
        event("command.failed", "a", 2.2, input="nosuch "),
        command("a", 3, "ls"),
        command("a", 3.1, "ls"),
        event("command.failed", "a", 3.2, input="ls"),
        event("command.success", "a", 4, realm="passwd", input="a new password"),
        command("a", 5, "   "),
    ]
    payloads, _ = read(write(tmp_path / "cowrie.json", events))
    assert [(item["command_text"], item.get("success")) for item in payloads[0]["commands"]] == [
        ("cat passwd", True),
        ("cd /tmp; nosuch", False),
        ("ls", False),
        ("ls", None),
    ]


def test_verdict_without_its_line_adds_no_command(tmp_path: Path) -> None:
    """The line stands in the part of the log that was cut off, and counts there."""
    payloads, _ = read(
        write(tmp_path / "cowrie.json", [event("command.failed", "a", 1, input="nosuch")])
    )
    assert payloads[0]["commands"] == []


def test_fields_of_other_versions_and_pipelines_are_understood(tmp_path: Path) -> None:
    events = [
        {
            "eventid": "cowrie.session.connect",
            "session": "a",
            "t-pot_hostname": "hive",
            "src_ip": "::ffff:203.0.113.9",
            "src_port": 1,
            "dest_port": 23,
            "system": "cowrie.telnet.factory.HoneyPotTelnetFactory",
            "@timestamp": "2024-01-01T01:00:00.5+01:00",
        },
        {
            "eventid": "cowrie.session.closed",
            "session": "a",
            "t-pot_hostname": "hive",
            "duration_ms": 1500,
            "@timestamp": "2024-01-01T00:00:02Z",
        },
    ]
    payloads, source = read(write(tmp_path / "cowrie.json", events))
    assert not source.tally.problems
    found = payloads[0]
    assert (found["attacker_ip"], found["decky_id"], found["service"], found["dst_port"]) == (
        "203.0.113.9",
        "hive",
        "telnet",
        23,
    )
    assert (found["started_at"], found["duration_s"]) == ("2024-01-01T00:00:00.500000Z", 1.5)


def test_malformed_lines_are_counted_with_file_and_line(tmp_path: Path) -> None:
    log = tmp_path / "cowrie.json"
    lines = [
        encode([connect("a", 0)]).strip(),
        b"not json",
        b"[1, 2]",
        encode([{**command("a", 1, "x"), "session": 7}]).strip(),
        encode([command("a", 1, ["x"])]).strip(),
        encode([command("a", 1, "x", timestamp="yesterday")]).strip(),
        encode([command("a", 2, "caf\u00e9")]).strip().replace("\u00e9".encode(), b"\xe9"),
        encode([command("a", 3, "aXb")]).strip().replace(b"X", b"\\udcff"),
        b'{"eventid": "cowrie.abuseipdb.started"}',
        b'{"hello": 1}',
        b"",
        encode([command("a", 4, "long " + "x" * 1024 * 1024)]).strip(),
        encode([closed("a", 5)]).strip()[:-9],
    ]
    log.write_bytes(b"\n".join(lines))
    payloads, source = read(log)
    assert dict(source.tally.problems) == {
        "not-json": 1,
        "not-an-object": 1,
        "no-session-id": 1,
        "wrong-type": 1,
        "bad-timestamp": 1,
        "invalid-utf8": 2,
        "not-an-event": 1,
        "line-too-long": 1,
        "truncated-line": 1,
    }
    assert {(p.reason, p.line) for p in source.tally.listed} == {
        ("not-json", 2),
        ("not-an-object", 3),
        ("no-session-id", 4),
        ("wrong-type", 5),
        ("bad-timestamp", 6),
        ("invalid-utf8", 7),
        ("invalid-utf8", 8),
        ("not-an-event", 10),
        ("line-too-long", 12),
        ("truncated-line", 13),
    }
    assert {p.file for p in source.tally.listed} == {str(log)}
    texts = [item["command_text"] for item in payloads[0]["commands"]]
    assert sorted(texts) == ["a\ufffdb", "caf\ufffd", "x"]


def test_session_without_an_address_is_reported_not_published(tmp_path: Path) -> None:
    log = write(tmp_path / "cowrie.json", [command("a", 1, "id", src_ip=None)])
    payloads, source = read(log)
    assert payloads == []
    assert source.tally.sessions == source.tally.sessions_skipped == 1
    assert source.tally.problems == {"no-attacker-address": 1}


def test_session_over_the_item_bound_is_written_in_parts(tmp_path: Path) -> None:
    count = 2 * MAX_ITEMS + 1
    events = [connect("a", 0), *(command("a", 1 + n, f"echo {n}") for n in range(count))]
    payloads, source = read(write(tmp_path / "cowrie.json", [*events, closed("a", count + 1)]))
    assert [len(p["commands"]) for p in payloads] == [MAX_ITEMS, MAX_ITEMS, 1]
    assert [p["part"] for p in payloads] == [1, 2, 3]
    assert [p["closed"] for p in payloads] == [False, False, True]
    assert [p["source_id"].partition("#")[2] for p in payloads] == ["", "2", "3"]
    assert len(item_ids(payloads)) == count
    assert (source.tally.sessions, source.tally.problems["split"]) == (1, 2)


def test_a_further_part_tells_what_the_one_before_ended_with(tmp_path: Path) -> None:
    """What a rule over the whole session needs at a cut; each entry keeps its id."""
    log_in = event("login.success", "a", 1, **login("x"))
    events = [connect("a", 0), log_in]
    events += [command("a", 2 + n, f"echo {n}") for n in range(2 * MAX_ITEMS)]
    first, second, third = read(write(tmp_path / "cowrie.json", events))[0]
    assert "told_before" not in first
    assert second["told_before"]["auth_attempts"] == first["auth_attempts"]
    assert second["told_before"]["commands"] == first["commands"][-64:]
    assert third["told_before"]["auth_attempts"] == first["auth_attempts"]
    assert third["told_before"]["commands"] == second["commands"][-64:]


def test_session_over_the_text_bound_is_written_in_parts(tmp_path: Path) -> None:
    text = "x" * (MAX_TEXT // 2)
    events = [connect("a", 0), *(command("a", 1 + n, text) for n in range(5))]
    payloads, _ = read(write(tmp_path / "cowrie.json", events))
    assert [len(p["commands"]) for p in payloads] == [2, 2, 1]


def test_oldest_idle_session_gives_way_when_too_many_are_open(tmp_path: Path) -> None:
    events = [connect("a", 0), connect("b", 1), command("a", 2, "id"), connect("c", 3)]
    payloads, source = read(write(tmp_path / "cowrie.json", events), CowrieSource(max_open=2))
    assert [p["session_id"] for p in payloads] == ["b", "a", "c"]
    assert source.tally.problems == {"evicted": 1}


def test_closed_sessions_do_not_wait_for_a_clock_that_stands_still(tmp_path: Path) -> None:
    """The log's times jump back once, so no line is a minute past any close that follows."""
    count = MAX_CLOSING + 10
    events = [connect("late", 90_000), closed("late", 90_001)]
    for number in range(count):
        events += [connect(f"s{number}", 1), closed(f"s{number}", 2)]
    source = CowrieSource()
    path = write(tmp_path / "cowrie.json", events)
    for line_number, line in enumerate(path.read_bytes().splitlines(), 1):
        source.take(line, line_number)
    early = [orjson.loads(message.payload)["session_id"] for message in source.drain()]
    assert early == ["late", *(f"s{number}" for number in range(10))]
    rest = 0
    while True:
        more = source.finish()
        written = len(source.drain())
        assert written <= FINISHED_AT_ONCE
        rest += written
        if not more:
            break
    assert rest == MAX_CLOSING


def test_text_held_is_bounded(tmp_path: Path) -> None:
    events = [connect(name, 0) for name in "abc"]
    events += [command(name, 1, name * 600) for name in "abc"]
    payloads, source = read(write(tmp_path / "cowrie.json", events), CowrieSource(max_held=1000))
    assert [p["session_id"] for p in payloads] == ["a", "b", "c"]
    assert source.tally.problems == {"evicted": 2}


def test_unknown_adapter_is_refused_with_the_known_ones() -> None:
    assert isinstance(load("cowrie"), CowrieSource)
    with pytest.raises(SourceUnknownError, match="cowrie"):
        load("nosuch")
