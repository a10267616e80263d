# SPDX-License-Identifier: AGPL-3.0-or-later
"""Which files make up which log, and in which order they were written."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from decnet_ttp.sources.lines import STDIN, open_raw, read_blocks

PEEKED_LINES: Final = 20
_COMPRESSED: Final = re.compile(r"\.(?:gz|xz|bz2)$")
# cowrie.json.2024-01-01, cowrie.json.2017_2_11, cowrie.json-20240101, cowrie.json.7
_ROTATION: Final = re.compile(r"[.\-_]\d[\d\-_T:]*$")
# cowrie-2024-01-01.json, cowrie_20240101.json
_DATED_STEM: Final = re.compile(r"[.\-_]\d{4}[\-_]?\d{1,2}[\-_]?\d{1,2}(?=\.jsonl?$)")


@dataclass(frozen=True, slots=True)
class FileNames:
    """Which files of a directory are meant.

    Attributes:
        pattern: searched in the name, without what compression added.
        kind: what such a file is called in messages.
        examples: how such names look, for messages.
    """

    pattern: re.Pattern[str]
    kind: str
    examples: str


JSON_NAMES: Final = FileNames(
    re.compile(r"\.jsonl?(?:$|[.\-_]\d)"), "JSON log", "*.json, *.json.DATE, *.json.N"
)


@dataclass(frozen=True, slots=True)
class Log:
    """The files of one log, oldest first; a session may run from one into the next."""

    name: str
    files: tuple[str, ...]


def log_name(path: Path) -> str:
    """The log's own name, without what rotation and compression added.

    >>> log_name(Path("/a/cowrie.json.2024-01-01.gz"))
    '/a/cowrie.json'
    """
    name = _COMPRESSED.sub("", path.name)
    name = _ROTATION.sub("", name)
    return str(path.with_name(_DATED_STEM.sub("", name)))


def find_logs(
    paths: Sequence[str],
    first_time: Callable[[Sequence[bytes]], str | None],
    names: FileNames = JSON_NAMES,
) -> list[Log]:
    """Resolves files, directories (searched in depth for such logs) and `-` into logs.

    A file that is named twice, or reached through a link as well, is read once. The files of a log
    are ordered by the first time found inside them, since rotation schemes number them in opposite
    directions; files without one come last, by name.

    Args:
        paths: as given on the command line.
        first_time: finds the first time stamp in a few lines, as text that sorts by time.
        names: which files of a directory are meant.

    Raises:
        FileNotFoundError: a path does not exist, or a directory holds no such log.
    """
    logs: dict[str, list[str]] = {}
    seen: set[Path] = set()
    for path in paths:
        if path == STDIN:
            logs.setdefault(STDIN, [STDIN])
            continue
        for file in expand(Path(path), names):
            real = file.resolve()
            if real not in seen:
                seen.add(real)
                logs.setdefault(log_name(file), []).append(str(file))
    return [Log(name, in_order(files, first_time)) for name, files in sorted(logs.items())]


def expand(path: Path, names: FileNames) -> Iterator[Path]:
    """The file itself, or the matching files below a directory.

    Raises:
        FileNotFoundError: the path does not exist, or a directory holds no such file.
    """
    if not path.exists():
        raise FileNotFoundError(
            f"{path}: no such file or directory; name a log file, a directory of them, or -"
        )
    if not path.is_dir():
        yield path
        return
    found = files_below(path, names)
    if not found:
        raise FileNotFoundError(
            f"{path}: no {names.kind} in it ({names.examples}, also .gz, .xz, .bz2); "
            "name the file itself"
        )
    yield from found


def files_below(folder: Path, names: FileNames) -> list[Path]:
    """The matching files below a directory, none where there are none."""
    return [
        file
        for file in sorted(folder.rglob("*"))
        if file.is_file() and names.pattern.search(_COMPRESSED.sub("", file.name))
    ]


def in_order(
    files: Sequence[str], first_time: Callable[[Sequence[bytes]], str | None]
) -> tuple[str, ...]:
    """Files of one log, oldest first by the first time inside them; those without one last."""
    if len(files) == 1:
        return tuple(files)

    def key(file: str) -> tuple[bool, str, str]:
        time = first_time(peek(file))
        return time is None, time or "", file

    return tuple(sorted(files, key=key))


def peek(file: str) -> list[bytes]:
    """The first lines of a file, none when it cannot be read."""
    try:
        raw = open_raw(file)
    except OSError:
        return []  # Reported when its turn to be read comes.
    with raw:
        for _, lines, _unended in read_blocks(raw, lambda *_: None):
            return lines[:PEEKED_LINES]
    return []
