# SPDX-License-Identifier: AGPL-3.0-or-later
"""What the commands of a shell say of the session as a whole, where its producer did not.

Only what was asked for is written down, not what it means: the paths that were read, the texts that
were left behind, and how containers were asked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any, Final, NamedTuple

from decnet_ttp.ingest.containers import container_of_command
from decnet_ttp.v1 import event_pb2

#: Commands of a session that are looked at, and characters of each.
_MOST_COMMANDS: Final = 2_000
_MOST_TEXT: Final = 8 * 1024
#: Paths kept, characters of each, and characters of all texts left behind.
_MOST_PATHS: Final = 256
_LONGEST_PATH: Final = 512
_MOST_NOTES: Final = 64 * 1024
#: Commands remembered, and characters of each at most: most sessions repeat those of others.
_REMEMBERED: Final = 2_048
_SHORT: Final = 256

_READING: Final = re.compile(
    r"(?:^|[\s;&|(`/])(?:cat|tac|nl|less|more|head|tail|strings|xxd|od|base64|grep|egrep|zcat|bat"
    r"|cut|awk|sed|cp|scp|rsync|source|vi|vim|nano)\s+([^;&|<>\n()`]*)",
    re.ASCII,
)
_WRITING: Final = re.compile(r"\b(?:echo|printf|cat|tee|wall)\b")
_CONTAINERS: Final = re.compile(r"\b(?:docker|podman|nerdctl)\b")


def command_texts(commands: Iterable[Any]) -> Iterator[str]:
    """Yield the texts of a session's commands, bounded; other shapes are none."""
    for number, command in enumerate(commands):
        if number == _MOST_COMMANDS:
            return
        text: Any = command
        if isinstance(command, dict):
            text = command.get("command_text", command.get("text"))
        if isinstance(text, str) and text:
            yield text[:_MOST_TEXT]


def complete_from_shell(
    session: event_pb2.SessionPayload, commands: list[Any], files: list[Any]
) -> None:
    """Fill in paths, texts left behind and signals of containers.

    Args:
        session: What the producer sent is in it already, and stands.
        commands: The session's commands.
        files: The files that were brought in.
    """
    paths: dict[str, None] = {}
    notes: list[str] = []
    room = _MOST_NOTES
    for text in command_texts(commands):
        said = _remembered(text) if len(text) <= _SHORT else _read(text)
        for found in said.paths:
            if len(paths) < _MOST_PATHS:
                paths[found] = None
        if said.writes and room > 0:
            notes.append(text[:room])
            room -= len(text) + 1
        if said.of_container:
            container_of_command(text, session)
    for entry in files:
        content = entry.get("payload_text") if isinstance(entry, dict) else None
        if isinstance(content, str) and content and room > 0:
            notes.append(content[:room])
            room -= len(content) + 1
    if not session.paths:
        session.paths.extend(paths)
    if notes and not session.note_text:
        session.note_text = "\n".join(notes)


class _Said(NamedTuple):
    """What a command line says: the paths it reads, whether it writes text, or runs containers."""

    paths: tuple[str, ...]
    writes: bool
    of_container: bool


def _read(text: str) -> _Said:
    may_write = ">" in text or "wall" in text or "tee" in text
    return _Said(
        tuple(paths_read(text)),
        may_write and _WRITING.search(text) is not None,
        _CONTAINERS.search(text) is not None,
    )


_remembered = lru_cache(_REMEMBERED)(_read)


def paths_read(text: str) -> Iterator[str]:
    """Yield the paths that a command line reads, as they were written, without quotes."""
    for reading in _READING.finditer(text):
        for word in reading[1].replace("\0", "").split():
            path = word.strip("'\"").partition(":")[2] if _remote(word) else word.strip("'\"")
            if len(path) <= _LONGEST_PATH and ("/" in path or path.startswith(".")):
                yield path


def _remote(word: str) -> bool:
    """Whether a word names a file on a host, as scp writes it."""
    host, colon, _ = word.partition(":")
    return bool(colon) and "@" in host and "/" not in host
