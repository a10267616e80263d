# SPDX-License-Identifier: AGPL-3.0-or-later
"""The logs of children: appended to by them, moved aside by us when they have grown."""

import itertools
import os
from contextlib import suppress
from pathlib import Path

_MODE = 0o600
_MAX_BYTES = 8 * 1024 * 1024
_KEPT = 3
_TAIL_BYTES = 8192
_TAIL_LINES = 15


def open_append(log_path: Path) -> int:
    """Open a log for a child's output (mode 0600); the caller closes the descriptor.

    Raises:
        OSError: No room, no right, or a link lies there.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.open(log_path, flags, _MODE)


def rotate(log_path: Path) -> None:
    """Move a log aside that has grown large; the oldest of those kept is dropped.

    Done between two lives of a child, when nobody has the log open.
    """
    with suppress(FileNotFoundError):
        if log_path.stat().st_size < _MAX_BYTES:
            return
        names = [log_path, *(log_path.with_suffix(f".log.{n}") for n in range(1, _KEPT + 1))]
        for newer, older in reversed(list(itertools.pairwise(names))):
            with suppress(FileNotFoundError):
                newer.replace(older)


def tail(log_path: Path) -> tuple[str, ...]:
    """Return the last lines of a log, oldest first, without control characters."""
    try:
        with log_path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _TAIL_BYTES))
            text = file.read().decode(errors="replace")
    except FileNotFoundError:
        return ()
    lines = (
        "".join(letter for letter in line if letter.isprintable() or letter == "\t")
        for line in text.splitlines()
    )
    return tuple(line for line in lines if line.strip())[-_TAIL_LINES:]
