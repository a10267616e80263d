# SPDX-License-Identifier: AGPL-3.0-or-later
"""Logs that grow, rotate and are cut while somebody, or nobody, follows."""

import gzip
import random
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from cowrie_log import at, closed, command, connect, encode, event

from decnet_ttp.sources.access_log import AccessLogSource
from decnet_ttp.sources.cowrie import CowrieSource
from decnet_ttp.sources.cursor import CursorError, CursorFile
from decnet_ttp.sources.follow import FollowedLog, Pace
from decnet_ttp.sources.log_source import LogSource
from decnet_ttp.sources.protocol import Upstream

QUIET = Pace(live=False)
Following = Callable[..., "Follower"]


class Follower:
    """Follows one log as a process would, with a clock of its own and a bus that is a list."""

    def __init__(
        self, path: Path, *, pace: Pace = QUIET, make: type[LogSource] = CowrieSource
    ) -> None:
        self.path = path
        self.pace = pace
        self.make = make
        self.cursor_path = path.parent / "cursors" / "cursor.json"
        self.bus: list[Upstream] = []
        self.excused: list[Upstream] = []
        self.clock = 1000.0
        self.start()

    def start(self, *, from_oldest: bool = False) -> None:
        self.stopped = False
        self.cursors = CursorFile(self.cursor_path)
        self.source = self.make()
        self.log = FollowedLog(
            self.path,
            self.source,
            self.pace,
            cursor=self.cursors.load().get(str(self.path)),
            from_oldest=from_oldest,
            clock=lambda: self.clock,
            now=lambda: 2e9,
        )

    def step(self, *, crash: str = "") -> bool:
        """One step; a crash is `before` the bus has the messages or `after`, without a cursor."""
        self.clock += 2.0
        messages = self.log.advance()
        if crash != "before":
            self.bus += messages
        if crash == "after":
            self.excused += messages
        if crash:
            return False
        self.log.acknowledge(messages)
        cursor = self.log.cursor()
        if cursor is not None:
            self.cursors.save({str(self.path): cursor})
        return cursor is not None or not self.log.caught_up

    def catch_up(self) -> None:
        for _ in range(6):  # A rotated file is left after a moment; a session closes after one.
            self.step()

    def stop(self) -> None:
        if not self.stopped:
            self.log.close()
            self.cursors.close()
        self.stopped = True

    def restart(self) -> None:
        self.stop()
        self.start()

    def payloads(self) -> list[dict[str, Any]]:
        return [orjson.loads(message.payload) for message in self.bus]

    def sessions(self) -> list[str]:
        return sorted(payload["session_id"] for payload in self.payloads())


@pytest.fixture
def following() -> Iterator[Callable[..., Follower]]:
    """Makes followers, and stops them at the end."""
    followers: list[Follower] = []

    def make(*args: Any, **options: Any) -> Follower:
        followers.append(Follower(*args, **options))
        return followers[-1]

    yield make
    for follower in followers:
        follower.stop()


def session(name: str, second: float) -> list[dict[str, Any]]:
    return [
        connect(name, second),
        event("login.success", name, second + 1, username="root", password="x"),  # noqa: S106
        command(name, second + 2, f"wget http://192.0.2.1/{name}"),
        closed(name, second + 3),
    ]


def append(path: Path, events: list[dict[str, Any]]) -> None:
    with path.open("ab") as out:
        out.write(encode(events))


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "cowrie.json"
    path.touch()
    return path


def test_closed_sessions_are_published_and_open_ones_wait(following: Following, log: Path) -> None:
    follower = following(log)
    append(log, session("a", 0) + session("b", 1)[:3])
    follower.catch_up()
    assert follower.sessions() == ["a"]
    append(log, session("b", 1)[3:])
    follower.catch_up()
    assert follower.sessions() == ["a", "b"]
    assert follower.payloads()[1]["closed"]


def test_restart_neither_loses_nor_repeats(following: Following, log: Path) -> None:
    """An open session older than published ones is read again, the published ones are not sent."""
    follower = following(log)
    long = session("long", 0)
    append(log, [*long[:3], *session("a", 1), *session("b", 9)])
    follower.catch_up()
    assert follower.sessions() == ["a", "b"]
    for _ in range(3):
        follower.restart()
        follower.catch_up()
    assert follower.sessions() == ["a", "b"]
    append(log, long[3:])
    follower.restart()
    follower.catch_up()
    assert follower.sessions() == ["a", "b", "long"]
    assert len(follower.payloads()[2]["commands"]) == 1
    cursor = follower.cursors.load()[str(log)]
    assert cursor.offset == log.stat().st_size
    assert cursor.published == ()
    assert cursor.line == len(log.read_bytes().splitlines()) + 1


def test_half_a_line_waits_for_its_other_half(following: Following, log: Path) -> None:
    follower = following(log)
    data = encode(session("a", 0))
    for cut in (10, len(data) // 2, len(data) - 1, len(data)):
        with log.open("r+b") as out:
            out.write(data[:cut])
        follower.catch_up()
        assert follower.sessions() == (["a"] if cut == len(data) else [])
        follower.restart()
    assert not follower.source.tally.problems


@pytest.mark.parametrize("followed", [True, False], ids=["followed", "while nobody reads"])
def test_renaming_cuts_no_session(following: Following, log: Path, *, followed: bool) -> None:
    """Three rotations by renaming, sessions running across each."""
    follower = following(log)
    for number in range(3):
        append(log, session(f"s{number}", number * 100)[2:] if number else session("s0", 0)[:2])
        if number == 0:
            append(log, session("s0", 0)[2:])
        if number == 0:
            follower.step()
        append(log, session(f"s{number + 1}", (number + 1) * 100)[:2])
        if followed:
            follower.catch_up()
        else:
            follower.stop()
        log.rename(f"{log}.{number + 1}")
        log.touch()
        if followed:
            follower.catch_up()
        else:
            follower.start()
            follower.stop()
    append(log, session("s3", 300)[2:])
    if not followed:
        follower.start()
    follower.catch_up()
    follower.catch_up()
    assert follower.sessions() == ["s0", "s1", "s2", "s3"]
    assert all(payload["closed"] for payload in follower.payloads())
    assert not follower.source.tally.problems


@pytest.mark.parametrize("followed", [True, False], ids=["followed", "while nobody reads"])
@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "compressed"])
def test_copying_and_truncating_cuts_no_session(
    following: Following, log: Path, *, followed: bool, compressed: bool
) -> None:
    follower = following(log)
    append(log, session("a", 0) + session("b", 1)[:2])
    follower.catch_up()
    if not followed:
        follower.stop()
    append(log, session("b", 1)[2:] + session("c", 2)[:2])
    copy = Path(f"{log}.1")
    shutil.copy(log, copy)
    if compressed:
        Path(f"{log}.1.gz").write_bytes(gzip.compress(copy.read_bytes()))
        copy.unlink()
    with log.open("r+b") as out:
        out.truncate(0)
    append(log, session("c", 2)[2:])
    if not followed:
        follower.start()
    follower.catch_up()
    follower.catch_up()
    assert follower.sessions() == ["a", "b", "c"]
    assert all(payload["closed"] for payload in follower.payloads())
    assert not follower.source.tally.problems


def test_truncation_without_a_copy_is_reported_and_reading_goes_on(
    following: Following, log: Path
) -> None:
    follower = following(log)
    append(log, session("a", 0))
    follower.catch_up()
    with log.open("r+b") as out:
        out.truncate(0)
    append(log, session("b", 99))
    follower.catch_up()
    assert follower.sessions() == ["a", "b"]
    assert follower.source.tally.problems == {"truncated-log": 1}


def test_rewritten_file_that_grew_past_the_cursor_is_noticed(
    following: Following, log: Path
) -> None:
    follower = following(log)
    append(log, session("a", 0))
    follower.catch_up()
    log.write_bytes(encode([item for n in range(9) for item in session(f"n{n}", 100 + n)]))
    follower.catch_up()
    assert follower.sessions() == ["a", *(f"n{n}" for n in range(9))]
    assert follower.source.tally.problems == {"truncated-log": 1}


def test_lost_file_has_all_that_is_left_read(following: Following, log: Path) -> None:
    follower = following(log)
    append(log, session("a", 0))
    follower.catch_up()
    follower.stop()
    log.unlink()
    append(Path(f"{log}.1"), session("b", 100))
    append(log, session("c", 200))
    follower.start()
    follower.catch_up()
    assert follower.sessions() == ["a", "b", "c"]
    assert follower.source.tally.problems == {"cursor-lost": 1}


def test_session_that_never_closes_is_written_once_idle(following: Following, log: Path) -> None:
    follower = following(log, pace=Pace(idle_s=60, live=False))
    append(log, session("a", 0)[:3])
    follower.catch_up()
    assert follower.sessions() == []
    follower.clock += 60
    follower.catch_up()
    assert follower.sessions() == ["a"]
    assert not follower.payloads()[0]["closed"]
    assert follower.source.tally.problems == {"idle": 1}
    assert follower.cursors.load()[str(log)].offset == log.stat().st_size


def test_live_sessions_are_shown_as_they_go_and_whole_at_the_end(
    following: Following, log: Path
) -> None:
    """Every command is there within a step; the last message is that of a plain import."""
    follower = following(log, pace=Pace(live=True))
    append(log, [connect("a", 0)])
    follower.step()
    assert follower.bus == []
    seen: list[str] = []
    for number in range(150):
        append(log, [command("a", number + 1, f"echo {number}")])
        follower.step()
        payload = follower.payloads()[-1]
        seen.append(payload["commands"][-1]["id"])
        assert payload["commands"][-1]["command_text"] == f"echo {number}"
        assert not payload["closed"]
        assert len(payload["commands"]) == (number + 1 if number < 100 else 1)
    assert [message.weight for message in follower.bus] == [0] * 150
    append(log, [closed("a", 200)])
    follower.catch_up()
    whole = follower.payloads()[-1]
    assert [item["id"] for item in whole["commands"]] == seen
    (imported,) = CowrieSource().read([str(log)])
    assert follower.bus[-1].id == imported.id
    assert follower.bus[-1].weight == 1


@pytest.mark.parametrize("seed", range(12))
def test_any_history_of_rotation_and_crashes_gives_what_an_import_gives(
    following: Following, tmp_path: Path, seed: int
) -> None:
    """Random writes, rotations of all kinds, crashes before and after the bus has the messages."""
    chance = random.Random(seed)  # noqa: S311 - a seeded history
    log = tmp_path / "cowrie.json"
    events = sorted(
        (item for n in range(80) for item in session(f"s{n}", n * 0.7 + chance.random())),
        key=lambda item: item["timestamp"],
    )
    everything = b""
    pending = encode(events)
    follower = following(log)
    rotations = 0
    while pending:
        size = chance.randrange(1, 1200)
        with log.open("ab") as out:
            out.write(pending[:size])
        everything += pending[:size]
        pending = pending[size:]
        at_line = everything.endswith(b"\n")
        what = chance.random()
        if what < 0.25:
            follower.step(crash=chance.choice(["", "", "before", "after"]))
            follower.restart()
        elif what < 0.6:
            follower.step()
        if at_line and chance.random() < 0.7:
            rotations += 1
            rotated = Path(f"{log}.{rotations}")
            if chance.random() < 0.5:
                log.rename(rotated)
                log.touch()
            else:
                shutil.copy(log, rotated)
                with log.open("r+b") as out:
                    out.truncate(0)
            if chance.random() < 0.3:
                Path(f"{rotated}.gz").write_bytes(gzip.compress(rotated.read_bytes()))
                rotated.unlink()
    for _ in range(60):
        follower.step()
    follower.restart()
    for _ in range(5):
        follower.step()
    whole = tmp_path / "whole.json"
    whole.write_bytes(everything)
    expected = {message.id for message in CowrieSource().read([str(whole)])}
    assert {message.id for message in follower.bus} >= expected
    assert not follower.source.tally.problems
    excused = {message.id for message in follower.excused}
    sent = Counter(message.id for message in follower.bus)
    assert {name for name, count in sent.items() if count > 1} <= excused
    items = Counter(i["id"] for p in follower.payloads() for i in p["commands"])
    assert len(items) == 80


def test_access_log_is_followed_by_windows(following: Following, tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    line = '198.51.100.7 - - [12/Mar/2024:10:00:{:02} +0000] "GET /{} HTTP/1.1" 200 1 "-" "x"\n'
    log.write_text(line.format(1, "a"))
    follower = following(log, make=AccessLogSource)
    follower.catch_up()
    with log.open("a") as out:
        out.write(line.format(2, "b"))
    follower.catch_up()
    follower.restart()
    follower.catch_up()
    paths = [[r["raw_url"] for r in p["http_requests"]] for p in follower.payloads()]
    assert paths == [["/a"], ["/b"]]
    assert len({p["source_id"] for p in follower.payloads()}) == 1


def test_directory_is_followed_from_its_oldest_file(following: Following, log: Path) -> None:
    append(Path(f"{log}.1"), session("old", 0))
    append(log, session("new", 100))
    follower = following(log)
    follower.stop()
    follower.start(from_oldest=True)
    follower.catch_up()
    assert follower.sessions() == ["new", "old"]


def test_cursor_is_one_process_own(tmp_path: Path) -> None:
    first = CursorFile(tmp_path / "c.json")
    with pytest.raises(CursorError, match="another import follows with this cursor"):
        CursorFile(tmp_path / "c.json")
    first.close()
    CursorFile(tmp_path / "c.json").close()


@pytest.mark.parametrize(
    "text", ["", "7", "{}", '{"version":2,"logs":{}}', '{"version":1,"logs":7}']
)
def test_cursor_that_is_none_is_refused_with_the_cure(tmp_path: Path, text: str) -> None:
    path = tmp_path / "c.json"
    path.write_text(text)
    file = CursorFile(path)
    with pytest.raises(CursorError, match="remove it to begin anew"):
        file.load()
    file.close()


def test_long_and_empty_lines_move_the_cursor_on(following: Following, log: Path) -> None:
    log.write_bytes(b"\n\n" + b"x" * 1_500_000 + b"\n" + encode(session("a", 0)))
    follower = following(log)
    follower.catch_up()
    assert follower.sessions() == ["a"]
    assert follower.source.tally.problems == {"line-too-long": 1}
    cursor = follower.cursors.load()[str(log)]
    assert (cursor.offset, cursor.line) == (log.stat().st_size, 8)
    assert at(0) in follower.payloads()[0]["source_id"]
