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
_JSON_NAME: Final = re.compile(r"\.jsonl?(?:$|[.\-_]\d)")
# cowrie.json.2024-01-01, cowrie.json.2017_2_11, cowrie.json-20240101, cowrie.json.7
_ROTATION: Final = re.compile(r"[.\-_]\d[\d\-_T:]*$")
# cowrie-2024-01-01.json, cowrie_20240101.json
_DATED_STEM: Final = re.compile(r"[.\-_]\d{4}[\-_]?\d{1,2}[\-_]?\d{1,2}(?=\.jsonl?$)")


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
    paths: Sequence[str], first_time: Callable[[Sequence[bytes]], str | None]
) -> list[Log]:
    """Resolves files, directories (searched in depth for JSON logs) and `-` into logs.

    A file that is named twice, or reached through a link as well, is read once. The files of a log
    are ordered by the first time found inside them, since rotation schemes number them in opposite
    directions; files without one come last, by name.

    Args:
        paths: as given on the command line.
        first_time: finds the first time stamp in a few lines, as text that sorts by time.

    Raises:
        FileNotFoundError: a path does not exist, or a directory holds no JSON log.
    """
    logs: dict[str, list[str]] = {}
    seen: set[Path] = set()
    for path in paths:
        if path == STDIN:
            logs.setdefault(STDIN, [STDIN])
            continue
        for file in _expand(Path(path)):
            real = file.resolve()
            if real not in seen:
                seen.add(real)
                logs.setdefault(log_name(file), []).append(str(file))
    return [Log(name, _in_order(files, first_time)) for name, files in sorted(logs.items())]


def _expand(path: Path) -> Iterator[Path]:
    if not path.exists():
        raise FileNotFoundError(
            f"{path}: no such file or directory; name a log file, a directory of them, or -"
        )
    if not path.is_dir():
        yield path
        return
    found = [
        file
        for file in sorted(path.rglob("*"))
        if file.is_file() and _JSON_NAME.search(_COMPRESSED.sub("", file.name))
    ]
    if not found:
        raise FileNotFoundError(
            f"{path}: no JSON log in it (*.json, *.json.DATE, *.json.N, also .gz, .xz, .bz2); "
            "name the file itself"
        )
    yield from found


def _in_order(
    files: Sequence[str], first_time: Callable[[Sequence[bytes]], str | None]
) -> tuple[str, ...]:
    if len(files) == 1:
        return tuple(files)

    def key(file: str) -> tuple[bool, str, str]:
        time = first_time(_peek(file))
        return time is None, time or "", file

    return tuple(sorted(files, key=key))


def _peek(file: str) -> list[bytes]:
    try:
        raw = open_raw(file)
    except OSError:
        return []  # Reported when its turn to be read comes.
    with raw:
        for _, lines, _unended in read_blocks(raw, lambda *_: None):
            return lines[:PEEKED_LINES]
    return []
