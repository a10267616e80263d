# SPDX-License-Identifier: AGPL-3.0-or-later
"""Logs that grow, and their ends."""

from pathlib import Path

import pytest

from decnet_ttp.embedded import log_files


def test_large_logs_are_moved_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A start keeps three old logs and drops the oldest."""
    monkeypatch.setattr(log_files, "_MAX_BYTES", 4)
    log = tmp_path / "c.log"
    for text in ("log 1", "log 2", "log 3", "log 4", "log 5"):
        log.write_text(text)
        log_files.rotate(log)
    kept = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert kept == {"c.log.1": "log 5", "c.log.2": "log 4", "c.log.3": "log 3"}
    log.write_text("log")
    log_files.rotate(log)
    assert log.read_text() == "log"


def test_a_tail_is_short_and_harmless(tmp_path: Path) -> None:
    """The last lines come without what would steer a terminal, and no log is an empty tail."""
    log = tmp_path / "c.log"
    log.write_bytes(b"x" * 10_000 + b"\n" * 30 + b"".join(b"line %d\n" % n for n in range(20)))
    assert log_files.tail(log) == tuple(f"line {n}" for n in range(5, 20))
    log.write_bytes(b"\x1b[31mred\xff\n")
    assert log_files.tail(log) == ("[31mred\ufffd",)
    assert log_files.tail(tmp_path / "none.log") == ()


def test_a_log_that_is_a_link_is_refused(tmp_path: Path) -> None:
    """Nothing is appended to a file elsewhere."""
    (tmp_path / "c.log").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic links"):
        log_files.open_append(tmp_path / "c.log")
