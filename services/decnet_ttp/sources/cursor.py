# SPDX-License-Identifier: AGPL-3.0-or-later
"""Where following a log goes on after a restart, kept in a file."""

import fcntl
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final, Self

import orjson

HEAD: Final = 1024
_VERSION: Final = 1


class CursorError(Exception):
    """The cursor cannot be used; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class FileIdentity:
    """Tells a log file from others, under whatever name it lies.

    Attributes:
        device: number of its file system.
        inode: its number there; a rename keeps it.
        length: how many of its first bytes `digest` is of, at most `HEAD`.
        digest: blake2b-128 of them in hex; a copy and a compressed copy keep it.
    """

    device: int
    inode: int
    length: int
    digest: str

    @classmethod
    def of(cls, status: os.stat_result, head: bytes) -> Self:
        """The identity of a file that begins with `head`."""
        some = head[:HEAD]
        digest = blake2b(some, digest_size=16).hexdigest()
        return cls(status.st_dev, status.st_ino, len(some), digest)

    def is_inode(self, status: os.stat_result) -> bool:
        """Whether the file lies at the same place of the same file system."""
        return (self.device, self.inode) == (status.st_dev, status.st_ino)

    def begins(self, head: bytes) -> bool:
        """Whether a file that begins with `head` may have the content of this one."""
        some = head[: self.length]
        return len(some) == self.length and (
            blake2b(some, digest_size=16).hexdigest() == self.digest
        )


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place in a log, before which everything is on the bus.

    Attributes:
        file: which file of the log.
        offset: byte in it, decompressed.
        line: number of the line that begins there.
        ahead: bytes behind that place which were read as well.
        published: ids of the messages that are on the bus although their lines may lie behind it.
    """

    file: FileIdentity
    offset: int
    line: int
    ahead: int = 0
    published: tuple[str, ...] = ()


class CursorFile:
    """The cursors of the logs that one process follows.

    Only one process may use the file at a time; it is locked until `close`.

    Raises:
        CursorError: another process uses it, or it cannot be made or read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise CursorError(
                f"{path}: no cursor can be kept there ({error.strerror}); name another by --cursor"
            ) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._lock)
            raise CursorError(
                f"{path}: another import follows with this cursor; stop it, or name another file "
                "by --cursor"
            ) from error

    def close(self) -> None:
        """Let others use the file."""
        os.close(self._lock)

    def load(self) -> dict[str, Cursor]:
        """Return the cursors by log, none when there is no file yet.

        Raises:
            CursorError: the file holds something else.
        """
        try:
            return _read(orjson.loads(self.path.read_bytes()))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise CursorError(
                f"{self.path}: cannot be read as a cursor ({type(error).__name__}); remove it to "
                "begin anew: what is imported twice is not doubled"
            ) from error

    def save(self, cursors: Mapping[str, Cursor]) -> None:
        """Write all cursors; when this returns they outlive a power cut.

        Raises:
            CursorError: they cannot be written.
        """
        body = {"version": _VERSION, "logs": {log: asdict(c) for log, c in cursors.items()}}
        fresh = Path(f"{self.path}.new")
        try:
            with fresh.open("wb") as out:
                out.write(orjson.dumps(body))
                out.flush()
                os.fsync(out.fileno())
            fresh.replace(self.path)
            folder = os.open(self.path.parent, os.O_RDONLY)
            try:
                # Some file systems know no fsync of a directory.
                with suppress(OSError):
                    os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise CursorError(
                f"{self.path}: the cursor cannot be saved ({error.strerror}); make room, or name "
                "another file by --cursor"
            ) from error


def _read(body: Any) -> dict[str, Cursor]:
    if body["version"] != _VERSION:
        raise ValueError("another version")
    return {
        log: Cursor(
            FileIdentity(**fields.pop("file")), published=tuple(fields.pop("published")), **fields
        )
        for log, fields in body["logs"].items()
    }
