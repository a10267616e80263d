# SPDX-License-Identifier: AGPL-3.0-or-later
"""The file that names the tokens a server takes; followed, so that a revoked one ends at once."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from decnet_ttp.runtime.config import SettingsError
from decnet_ttp.runtime.figures import Family, gauge

#: A token that is shorter could be guessed.
MIN_TOKEN_CHARS: Final = 32
_HASHED: Final = "sha256:"
_HASH_CHARS: Final = 64
_MAX_WORDS: Final = 3

#: Seconds between two looks at the file.
_LOOK_S: Final = 1.0

_log = logging.getLogger(__name__)


class Role(StrEnum):
    """What a caller may do."""

    READER = "reader"
    OPERATOR = "operator"
    SERVICE = "service"


_ROLES: Final = frozenset(Role)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sends a token.

    Attributes:
        role: What it may do.
        name: What the file calls it; empty when it does not.
    """

    role: Role
    name: str = ""


def digest(token: str) -> bytes:
    """Return the SHA-256 by which a token is known."""
    return hashlib.sha256(token.encode()).digest()


def read_access(path: Path) -> dict[bytes, Caller]:
    """Return who sends each token, by its SHA-256.

    A line of the file is a role and a token, or a role and `sha256:` with the token's digest in
    hexadecimal; a third word names the caller for the log. What follows a `#` at the start of a
    line is a comment.

    Raises:
        SettingsError: The file cannot be read, or a line is neither; no token is repeated.
    """
    return _parse(_read(path), path)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SettingsError(
            f"access_file: cannot read {path} ({type(error).__name__}); name a readable text file"
        ) from error


def _parse(content: bytes, path: Path) -> dict[bytes, Caller]:
    try:
        lines = content.decode().splitlines()
    except UnicodeDecodeError as error:
        raise SettingsError(
            f"access_file: {path} is no UTF-8 text; name a readable text file"
        ) from error
    found: dict[bytes, Caller] = {}
    for number, line in enumerate(lines, start=1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        place = f"{path}:{number}"
        if not 1 < len(words) <= _MAX_WORDS or words[0] not in _ROLES:
            raise SettingsError(
                f"{place}: not a role and a token; roles are {', '.join(Role)}, and after the "
                "token may stand a name"
            )
        found[_read_token(words[1], place)] = Caller(Role(words[0]), "".join(words[2:]))
    if not found:
        raise SettingsError(f"access_file: {path} names no token; add one, or unset access_file")
    return found


def _read_token(text: str, place: str) -> bytes:
    if not text.startswith(_HASHED):
        if len(text) < MIN_TOKEN_CHARS:
            raise SettingsError(f"{place}: the token is shorter than {MIN_TOKEN_CHARS} characters")
        return digest(text)
    digits = text.removeprefix(_HASHED)
    try:
        found = bytes.fromhex(digits)
    except ValueError:
        found = b""
    if len(digits) != _HASH_CHARS or len(found) != _HASH_CHARS // 2:
        raise SettingsError(f"{place}: sha256: is not followed by 64 hexadecimal digits")
    return found


class AccessFile:
    """The callers that a file names, as it is now.

    An edit that cannot be read leaves in force what was before, as a broken rule does: the typing
    error of one must not stop the service for all.

    Args:
        path: The file.

    Raises:
        SettingsError: It cannot be used.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._content = _read(path)
        self._callers: Mapping[bytes, Caller] = _parse(self._content, path)
        self._refused: str | None = None

    def find(self, token: str) -> Caller | None:
        """Return who sends the token; None when nobody does.

        Looked up by digest: how long that takes tells nothing of a token.
        """
        return self._callers.get(digest(token))

    async def follow(self, stop: asyncio.Event) -> None:
        """Take over each change of the file, within a second, until `stop` is set."""
        while not stop.is_set():
            # The file may lie on a network.
            await asyncio.to_thread(self._look)
            try:
                await asyncio.wait_for(stop.wait(), _LOOK_S)
            except TimeoutError:
                continue

    def _look(self) -> None:
        try:
            content = _read(self._path)
            if content == self._content:
                if self._refused is not None:
                    _log.info("access file as before")
                self._refused = None
                return
            callers = _parse(content, self._path)
        except SettingsError as error:
            # Once for each fault, not once a second.
            if str(error) != self._refused:
                _log.error("access file refused, the last one stays", extra={"error": str(error)})
            self._refused = str(error)
            return
        added = len(callers.keys() - self._callers.keys())
        gone = len(self._callers.keys() - callers.keys())
        self._content, self._callers, self._refused = content, callers, None
        _log.info("access file taken over", extra={"added": added, "removed": gone})

    def figures(self) -> list[Family]:
        """Return how many tokens there are, and whether the file is the one in force."""
        roles = Counter(caller.role for caller in self._callers.values())
        return [
            Family(
                "access_tokens",
                "gauge",
                "Tokens that are taken.",
                {(str(role),): float(roles[role]) for role in Role},
                ("role",),
            ),
            gauge(
                "access_file_in_force",
                "0 while the file has a fault and what was before is in force.",
                float(self._refused is None),
            ),
        ]
