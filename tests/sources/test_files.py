# SPDX-License-Identifier: AGPL-3.0-or-later
import bz2
import gzip
import io
import lzma
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cowrie_log import closed, command, connect, encode, read, write

from decnet_ttp.sources.cowrie import CowrieSource
from decnet_ttp.sources.cowrie_fields import first_time
from decnet_ttp.sources.logfiles import find_logs, log_name

EVENTS = [connect("a", 0), command("a", 1, "id"), closed("a", 2)]


@pytest.mark.parametrize("pack", [bytes, gzip.compress, lzma.compress, bz2.compress])
def test_compression_is_found_by_content_not_by_name(
    tmp_path: Path, pack: Callable[[bytes], bytes]
) -> None:
    log = tmp_path / "cowrie.json"
    log.write_bytes(pack(encode(EVENTS)))
    payloads, source = read(log)
    assert [p["session_id"] for p in payloads] == ["a"]
    assert source.tally.bytes_done == source.tally.bytes_total == log.stat().st_size


def test_concatenated_gzip_members_are_all_read(tmp_path: Path) -> None:
    log = tmp_path / "cowrie.json.gz"
    log.write_bytes(gzip.compress(encode(EVENTS[:1])) + gzip.compress(encode(EVENTS[1:])))
    payloads, _ = read(log)
    assert payloads[0]["closed"]


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress])
def test_truncated_archive_is_reported_and_what_it_held_is_kept(
    tmp_path: Path, pack: Callable[[bytes], bytes]
) -> None:
    events = [event for n in range(3000) for event in (connect(f"s{n}", n), closed(f"s{n}", n))]
    packed = pack(encode(events))
    log = tmp_path / "cowrie.json.gz"
    log.write_bytes(packed[: len(packed) * 9 // 10])
    _, source = read(log)
    assert source.tally.problems["truncated-file"] == 1
    assert source.tally.sessions > 2000


def test_damaged_archive_ends_its_own_file_only(tmp_path: Path) -> None:
    packed = bytearray(gzip.compress(encode(EVENTS)))
    packed[20:40] = bytes(20)
    (tmp_path / "bad.json.gz").write_bytes(packed)
    write(tmp_path / "good.json", EVENTS)
    payloads, source = read(tmp_path)
    assert [p["session_id"] for p in payloads][-1:] == ["a"]
    assert source.tally.problems["unreadable-file"] == 1


def test_byte_order_mark_and_dos_line_ends_are_harmless(tmp_path: Path) -> None:
    log = tmp_path / "cowrie.json"
    log.write_bytes(b"\xef\xbb\xbf" + encode(EVENTS).replace(b"\n", b"\r\n"))
    payloads, source = read(log)
    assert len(payloads) == 1
    assert not source.tally.problems


def test_endless_line_is_skipped_and_the_numbers_stay_right(tmp_path: Path) -> None:
    log = tmp_path / "cowrie.json"
    log.write_bytes(b"x" * 3_000_000 + b"\n" + encode(EVENTS) + b"oops\n")
    payloads, source = read(log)
    assert len(payloads) == 1
    assert [(p.reason, p.line) for p in source.tally.listed] == [
        ("line-too-long", 1),
        ("not-json", 5),
    ]


def test_standard_input_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.TextIOWrapper(io.BufferedReader(io.BytesIO(gzip.compress(encode(EVENTS)))))
    monkeypatch.setattr(sys, "stdin", stream)
    source = CowrieSource()
    assert len(list(source.read(["-"]))) == 1


@pytest.mark.parametrize(
    "name",
    [
        "cowrie.json",
        "cowrie.json.gz",
        "cowrie.json.1",
        "cowrie.json.12.gz",
        "cowrie.json.2024-01-01",
        "cowrie.json.2017_2_11",
        "cowrie.json-20240101.xz",
        "cowrie.json.2024-01-01T10:00",
        "cowrie-2024-01-01.json",
        "cowrie_20240101.json.gz",
    ],
)
def test_rotated_names_belong_to_one_log(name: str) -> None:
    assert log_name(Path("/logs") / name) == "/logs/cowrie.json"


def test_files_of_a_log_come_in_the_order_of_their_times(tmp_path: Path) -> None:
    """Numbers grow backwards and dates forwards, so only the content tells."""
    write(tmp_path / "cowrie.json", [connect("a", 30)])
    write(tmp_path / "cowrie.json.1", [connect("a", 20)])
    write(tmp_path / "cowrie.json.2", [connect("a", 10)])
    write(tmp_path / "cowrie.json.2024-01-01", [connect("a", 0)])
    (tmp_path / "cowrie.log").write_text("no JSON log")
    logs = find_logs([str(tmp_path)], first_time)
    assert [[Path(file).name for file in log.files] for log in logs] == [
        ["cowrie.json.2024-01-01", "cowrie.json.2", "cowrie.json.1", "cowrie.json"]
    ]


def test_session_across_a_rotation_is_one_session(tmp_path: Path) -> None:
    write(tmp_path / "cowrie.json.1", EVENTS[:1])
    write(tmp_path / "cowrie.json", EVENTS[1:])
    payloads, _ = read(tmp_path)
    assert [(len(p["commands"]), p["closed"]) for p in payloads] == [(1, True)]


def test_same_names_in_two_folders_are_two_logs(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        write(tmp_path / name / "cowrie.json", EVENTS)
    assert len(find_logs([str(tmp_path)], first_time)) == 2


def test_file_named_twice_is_read_once(tmp_path: Path) -> None:
    log = write(tmp_path / "cowrie.json", EVENTS)
    (tmp_path / "link.json").symlink_to(log)
    payloads, source = read([log, tmp_path, tmp_path / "link.json"])
    assert len(payloads) == source.tally.files == 1


def test_missing_path_and_empty_folder_say_what_to_name(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no such file"):
        CowrieSource().read([str(tmp_path / "nosuch")])
    with pytest.raises(FileNotFoundError, match="no JSON log"):
        CowrieSource().read([str(tmp_path)])


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_forbidden_file_is_reported(tmp_path: Path) -> None:
    log = write(tmp_path / "cowrie.json", EVENTS)
    log.chmod(0)
    _, source = read(log)
    assert source.tally.problems == {"unreadable-file": 1}
