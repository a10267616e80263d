# SPDX-License-Identifier: AGPL-3.0-or-later
"""Logs of a directory that come into being, and go, while it is followed."""

from pathlib import Path

import orjson
import pytest
from cowrie_log import closed, command, connect, encode

from decnet_ttp.sources.cowrie import CowrieSource
from decnet_ttp.sources.cursor import Cursor
from decnet_ttp.sources.follow import Pace
from decnet_ttp.sources.followed_logs import LET_GO_S, FollowedLogs, logs_below
from decnet_ttp.sources.logfiles import JSON_NAMES


class Clock:
    """A clock that a test sets."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def write(path: Path, name: str) -> None:
    """Append a session; the later its name, the later it is."""
    second = 100 * ord(name)
    path.parent.mkdir(exist_ok=True, parents=True)
    events = [connect(name, second), command(name, second + 1, "id"), closed(name, second + 2)]
    with path.open("ab") as out:
        out.write(encode(events))


def sessions(logs: FollowedLogs, clock: Clock) -> list[str]:
    """Follow for a while; returns the sessions that were published."""
    found = []
    for _ in range(3):
        clock.now += 2.0
        for log in logs:
            messages = log.advance()
            log.acknowledge(messages)
            found += [orjson.loads(message.payload)["session_id"] for message in messages]
    return sorted(found)


def names(logs: FollowedLogs) -> list[str]:
    return sorted(Path(log.name).name for log in logs)


def follow(*paths: Path, clock: Clock, known: dict[str, Cursor] | None = None) -> FollowedLogs:
    return FollowedLogs(
        [*map(str, paths)], CowrieSource, Pace(live=False), known or {}, clock=clock
    )


def test_directory_names_every_log_in_it_once(tmp_path: Path) -> None:
    for name in ("a/cowrie.json", "a/cowrie.json.1", "b/cowrie.json.2024-01-01.gz"):
        write(tmp_path / name, "s")
    assert logs_below([str(tmp_path)], JSON_NAMES) == [
        (tmp_path / "a" / "cowrie.json", True),
        (tmp_path / "b" / "cowrie.json", True),
    ]
    later = tmp_path / "c.json"
    assert logs_below([str(later)], JSON_NAMES) == [(later, False)]
    with pytest.raises(FileNotFoundError, match="no such directory"):
        logs_below([str(tmp_path / "nosuch" / "c.json")], JSON_NAMES)


def test_log_that_is_new_in_a_directory_is_read_from_its_beginning(tmp_path: Path) -> None:
    clock = Clock()
    logs = follow(tmp_path, clock=clock)
    assert names(logs) == []
    write(tmp_path / "cowrie.json", "a")
    write(tmp_path / "more" / "telnet.json.1", "b")
    write(tmp_path / "more" / "telnet.json", "c")
    assert logs.look() == []
    assert names(logs) == ["cowrie.json", "telnet.json"]
    assert sessions(logs, clock) == ["a", "b", "c"]
    write(tmp_path / "third.json", "d")
    logs.look()
    assert sessions(logs, clock) == ["d"]
    logs.close()


def test_rotated_log_is_no_new_one(tmp_path: Path) -> None:
    clock = Clock()
    write(tmp_path / "cowrie.json", "a")
    logs = follow(tmp_path, clock=clock)
    assert sessions(logs, clock) == ["a"]
    (tmp_path / "cowrie.json").rename(tmp_path / "cowrie.json.1")
    clock.now += 2 * LET_GO_S
    assert logs.look() == []
    write(tmp_path / "cowrie.json", "b")
    clock.now += 2.0
    assert logs.look() == []
    assert len(logs) == 1
    assert sessions(logs, clock) == ["b"]
    logs.close()


def test_log_that_is_gone_is_let_go_of_and_begins_anew_when_it_comes_again(tmp_path: Path) -> None:
    clock = Clock()
    log = tmp_path / "cowrie.json"
    write(log, "a")
    logs = follow(tmp_path, clock=clock)
    assert sessions(logs, clock) == ["a"]
    log.unlink()
    assert logs.look() == []
    clock.now += LET_GO_S
    assert logs.look() == [str(log)]
    assert names(logs) == []
    write(log, "b")
    clock.now += 2.0
    logs.look()
    assert sessions(logs, clock) == ["b"]
    logs.close()


def test_log_with_an_open_session_is_kept_though_it_is_gone(tmp_path: Path) -> None:
    clock = Clock()
    log = tmp_path / "cowrie.json"
    log.write_bytes(encode([connect("s", 0), command("s", 1, "id")]))
    logs = follow(tmp_path, clock=clock)
    assert sessions(logs, clock) == []
    log.unlink()
    logs.look()
    clock.now += 2 * LET_GO_S
    assert logs.look() == []
    assert names(logs) == ["cowrie.json"]
    logs.close()


def test_file_is_followed_before_it_is_there_and_never_let_go_of(tmp_path: Path) -> None:
    clock = Clock()
    log = tmp_path / "cowrie.json"
    logs = follow(log, clock=clock)
    write(tmp_path / "other.json", "x")
    clock.now += 2 * LET_GO_S
    assert logs.look() == []
    write(log, "a")
    assert sessions(logs, clock) == ["a"]
    assert names(logs) == ["cowrie.json"]
    logs.close()


def test_directory_that_is_away_for_a_moment_stops_nothing(tmp_path: Path) -> None:
    clock = Clock()
    folder = tmp_path / "log"
    write(folder / "cowrie.json", "a")
    logs = follow(folder, clock=clock)
    assert sessions(logs, clock) == ["a"]
    folder.rename(tmp_path / "away")
    clock.now += 2.0
    assert logs.look() == []
    (tmp_path / "away").rename(folder)
    write(folder / "cowrie.json", "b")
    clock.now += 2.0
    logs.look()
    assert names(logs) == ["cowrie.json"]
    assert sessions(logs, clock) == ["b"]
    logs.close()
