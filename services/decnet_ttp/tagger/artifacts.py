# SPDX-License-Identifier: AGPL-3.0-or-later
"""Reading stored mails beneath the artifacts root, and nothing else.

A mail is `<root>/<decky>/smtp/<stored_as>`. Both names come from a producer, so they are held to
their form first; then each step opens one name within the folder that is open already, and follows
no link. What a name means can therefore not change between a check and its use.
"""

from __future__ import annotations

import errno
import logging
import os
import re
import stat
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Final

#: Folder of a decoy that holds mails.
SERVICE: Final = "smtp"

#: Decoys that are told at most.
MAX_DECKIES: Final = 20_000

_DECKY: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_STORED_AS: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z_[0-9a-f]{12}_[A-Za-z0-9._-]{1,255}"
)
_FOLDER_FLAGS: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
#: A pipe in the place of a mail must not hold the reader up.
_FILE_FLAGS: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_CHUNK_BYTES: Final = 1024 * 1024
_CURE: Final = {"cure": "let the tagger's user read and enter <root>/<decky>/smtp"}

_log = logging.getLogger(__name__)


class Reason(StrEnum):
    """Why a stored mail was not read."""

    NO_ROOT = "no_root"
    ABSENT = "absent"
    UNREADABLE = "unreadable"
    BAD_DECKY = "bad_decky"
    BAD_NAME = "bad_name"
    SYMLINK = "symlink"
    NOT_REGULAR = "not_regular"
    TOO_LARGE = "too_large"
    NOT_A_MAIL = "not_a_mail"

    @property
    def retryable(self) -> bool:
        """Whether the same mail may be readable later, here or elsewhere."""
        return self in {Reason.NO_ROOT, Reason.ABSENT, Reason.UNREADABLE}


class ArtifactError(Exception):
    """A stored mail that was not read.

    Attributes:
        reason: Why.
    """

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.value)
        self.reason = reason


class Artifacts:
    """The artifacts root.

    Args:
        root: The directory; None: there is none, and nothing is ever read.
        max_bytes: Size of a mail at most.

    Attributes:
        read_count: Mails that were read.
        refused: Mails that were not read, by reason.
    """

    def __init__(self, root: Path | None, *, max_bytes: int) -> None:
        self._root = root
        self._max_bytes = max_bytes
        self.read_count = 0
        self.refused: Counter[str] = Counter()
        self._closed: frozenset[str] = frozenset()

    def read(self, decky: str, stored_as: str) -> bytes:
        """Return the bytes of a stored mail.

        Args:
            decky: Decoy that received it.
            stored_as: Its name.

        Raises:
            ArtifactError: It was not read; the reason is counted.
        """
        try:
            data = self._read(decky, stored_as)
        except ArtifactError as error:
            self.refused[error.reason.value] += 1
            raise
        self.read_count += 1
        return data

    def deckies(self) -> list[str]:
        """Return the decoys whose mails can be read now, in order.

        Folders that are there and closed to us are logged when they change: their mails would wait
        for days, and nothing else would say why.
        """
        if self._root is None:
            return []
        try:
            with os.scandir(self._root) as entries:
                names = sorted(
                    entry.name
                    for entry in entries
                    if _DECKY.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False)
                )
        except OSError as error:
            self._tell_closed({"."} if isinstance(error, PermissionError) else set())
            return []
        closed: set[str] = set()
        held = (name for name in names if self._holds_mails(name, closed))
        found = [name for _, name in zip(range(MAX_DECKIES), held, strict=False)]
        self._tell_closed(closed)
        return found

    def _tell_closed(self, folders: set[str]) -> None:
        if folders and folders != self._closed:
            _log.warning("mail folders closed to us", extra=_CURE | {"folders": len(folders)})
        self._closed = frozenset(folders)

    def _holds_mails(self, decky: str, closed: set[str]) -> bool:
        try:
            with self._folder(decky) as folder:
                # To open by name is less than to be let in.
                os.stat(".", dir_fd=folder)
                return True
        except PermissionError:
            closed.add(decky)
            return False
        except OSError:
            return False

    def _read(self, decky: str, stored_as: str) -> bytes:
        if self._root is None:
            raise ArtifactError(Reason.NO_ROOT)
        if not _DECKY.fullmatch(decky):
            raise ArtifactError(Reason.BAD_DECKY)
        if not _STORED_AS.fullmatch(stored_as):
            raise ArtifactError(Reason.BAD_NAME)
        try:
            with self._folder(decky) as folder:
                try:
                    descriptor = os.open(stored_as, _FILE_FLAGS, dir_fd=folder)
                except OSError as error:
                    raise ArtifactError(_reason(error)) from error
                with os.fdopen(descriptor, "rb", buffering=0) as file:
                    return self._bounded(file.fileno())
        except OSError as error:
            raise ArtifactError(_reason(error)) from error

    def _bounded(self, descriptor: int) -> bytes:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise ArtifactError(Reason.NOT_REGULAR)
        if found.st_size > self._max_bytes:
            raise ArtifactError(Reason.TOO_LARGE)
        chunks, size = [], 0
        while chunk := os.read(descriptor, _CHUNK_BYTES):
            size += len(chunk)
            # It may grow while it is read.
            if size > self._max_bytes:
                raise ArtifactError(Reason.TOO_LARGE)
            chunks.append(chunk)
        return b"".join(chunks)

    @contextmanager
    def _folder(self, decky: str) -> Iterator[int]:
        """Open the folder of a decoy's mails.

        Raises:
            OSError: It cannot be opened, or a link stands in its place.
        """
        if self._root is None:
            raise FileNotFoundError(errno.ENOENT, "no artifacts root")
        # The operator names the root, and may name it by a link.
        opened = [os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)]
        try:
            for name in (decky, SERVICE):
                opened.append(_open_folder(name, opened[-1]))
            yield opened[-1]
        finally:
            for descriptor in opened:
                os.close(descriptor)


def _open_folder(name: str, within: int) -> int:
    try:
        return os.open(name, _FOLDER_FLAGS, dir_fd=within)
    except NotADirectoryError as error:
        # The kernel says the same of a link, which is another matter.
        found = os.stat(name, dir_fd=within, follow_symlinks=False)
        if stat.S_ISLNK(found.st_mode):
            raise OSError(errno.ELOOP, "a link") from error
        raise


def _reason(error: OSError) -> Reason:
    match error.errno:
        case errno.ENOENT:
            return Reason.ABSENT
        case errno.ELOOP:
            return Reason.SYMLINK
        case errno.ENOTDIR | errno.ENXIO | errno.EISDIR:
            return Reason.NOT_REGULAR
        case errno.ENAMETOOLONG:
            return Reason.BAD_NAME
        case _:
            return Reason.UNREADABLE
