# SPDX-License-Identifier: AGPL-3.0-or-later
"""The lines of one growing log, through rotation of any kind."""

import lzma
import os
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from io import BufferedReader
from pathlib import Path
from typing import Final, NamedTuple

from decnet_ttp.sources.cursor import HEAD, Cursor, FileIdentity
from decnet_ttp.sources.lines import MAX_LINE, Chunked, Report, decompressed, open_raw
from decnet_ttp.sources.log_source import Place
from decnet_ttp.sources.logfiles import log_name

CHUNK: Final = 256 * 1024
PEEKED: Final = 64 * 1024
#: A writer may go on for a moment in a file that was renamed under it.
QUIET_S: Final = 1.0

FirstTime = Callable[[Sequence[bytes]], str | None]


class Line(NamedTuple):
    """One line, without its newline; `unended` when its file ended inside it."""

    place: Place
    text: bytes
    unended: bool


class _Candidate(NamedTuple):
    """A file of the log."""

    path: Path
    status: os.stat_result
    head: bytes
    plain: bool

    def time(self, first_time: FirstTime) -> str | None:
        return first_time(self.head.split(b"\n")[:-1])


class Tail:
    """Reads a log from a cursor to its end, and goes on as it grows.

    Understood are renaming with a new file (also several times while nobody reads), copying with
    truncation, truncation without a copy (reported: what nobody read is gone), and compression of
    what was rotated. Which files belong to the log is told by their names; which comes next, by
    the first time inside.
    """

    def __init__(
        self,
        path: Path,
        first_time: FirstTime,
        report: Report,
        *,
        cursor: Cursor | None = None,
        from_oldest: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Opens nothing yet.

        Args:
            path: the file that is written to; it may come into being later.
            first_time: finds the first time among some lines, as text that sorts by time.
            report: told of what cannot be read.
            cursor: where to go on.
            from_oldest: without a cursor, begin with the rotated files.
            clock: seconds of a monotonic clock.
        """
        self.path = path
        self._first_time = first_time
        self._report = report
        self._cursor = cursor
        self._from_oldest = from_oldest
        self._clock = clock
        self._stream: Chunked | None = None
        self._raw: BufferedReader | None = None
        self._plain = True
        self._file = path
        self._files: dict[int, FileIdentity] = {}
        self._bases: dict[int, int] = {}
        self._number = -1
        self._offset = 0
        self._line = 1
        self._rest = b""
        self._skipping = False
        self._quiet_since: float | None = None

    @property
    def file(self) -> str:
        """Name of the file at hand."""
        return str(self._file)

    @property
    def end(self) -> Place:
        """Behind the last line that was read."""
        return (max(self._number, 0), self._offset, self._line)

    def distance(self, place: Place) -> int:
        """Bytes of the log from where reading began to `place`."""
        return self._bases.get(place[0], 0) + place[1]

    def cursor(self, place: Place) -> Cursor | None:
        """The cursor of a place, None while the log does not exist."""
        file = self._files.get(place[0])
        if file is None:
            return self._cursor
        for number in [number for number in self._files if number < place[0]]:
            del self._files[number], self._bases[number]
        return Cursor(file, place[1], place[2])

    def close(self) -> None:
        """Close the file at hand."""
        if self._raw is not None:
            self._raw.close()
        self._raw = self._stream = None

    def read(self) -> list[Line]:
        """Some lines; none when the log has no more for the moment."""
        if self._stream is None and not self._begin():
            return []
        while True:
            data = self._more()
            # A file that was cut and has grown again gives bytes that do not follow on.
            if data and self._is_itself():
                self._quiet_since = None
                if lines := self._split(data):
                    return lines
                continue
            if self._cut():
                continue
            following = self._following()
            if following is None:
                return []
            left = self._rest
            lines = [Line(self.end, left, unended=True)] if left else []
            self._offset += len(left)
            self._open(following, 0, 1)
            if lines:
                return lines

    def _more(self) -> bytes:
        assert self._stream is not None  # noqa: S101 - for the type checker
        try:
            return self._stream.read1(CHUNK)
        except (EOFError, OSError, zlib.error, lzma.LZMAError) as error:
            self._report(
                "unreadable-file",
                0,
                f"reading stopped ({type(error).__name__}); what came before was kept",
            )
            return b""

    def _split(self, data: bytes) -> list[Line]:
        if not self._offset and not self._rest:
            bare = data.removeprefix(b"\xef\xbb\xbf")
            self._offset += len(data) - len(bare)
            data = bare
        if self._skipping:
            dropped, newline, data = data.partition(b"\n")
            self._offset += len(dropped) + len(newline)
            if not newline:
                return []
            self._skipping = False
            self._line += 1
        found = (self._rest + data).split(b"\n")
        self._rest = found.pop()
        lines = []
        for text in found:
            lines.append(Line(self.end, text if len(text) <= MAX_LINE else b"", unended=False))
            if len(text) > MAX_LINE:
                self._too_long()
            self._offset += len(text) + 1
            self._line += 1
        if len(self._rest) > MAX_LINE:
            self._too_long()
            self._offset += len(self._rest)
            self._rest, self._skipping = b"", True
        self._identify()
        return lines

    def _is_itself(self) -> bool:
        """Whether the file at hand still begins as it did."""
        if not self._plain or self._raw is None:
            return True
        return self._files[self._number].begins(os.pread(self._raw.fileno(), HEAD, 0))

    def _too_long(self) -> None:
        self._report("line-too-long", self._line, f"over {MAX_LINE} bytes, left out")

    def _identify(self) -> None:
        """Takes more of the file's beginning into its identity, until that is long enough."""
        known = self._files[self._number]
        if known.length < HEAD and self._plain and self._raw is not None:
            descriptor = self._raw.fileno()
            head = os.pread(descriptor, HEAD, 0)
            if known.begins(head):
                self._files[self._number] = FileIdentity.of(os.fstat(descriptor), head)

    def _cut(self) -> bool:
        """Whether the file was truncated; if so reading goes on in its copy, or at its start."""
        if not self._plain or self._raw is None:
            return False
        descriptor = self._raw.fileno()
        known = self._files[self._number]
        read = self._offset + len(self._rest)
        if os.fstat(descriptor).st_size >= read and self._is_itself():
            return False
        for copy in self._candidates():
            same = known.length and known.begins(copy.head) and not known.is_inode(copy.status)
            if same and (not copy.plain or copy.status.st_size >= read):
                self._open(copy, self._offset, self._line)
                return True
        again = self._candidate(self._file)
        if again is None or not known.is_inode(again.status):
            return False
        self._report(
            "truncated-log",
            self._line,
            "the file was cut and no copy of it lies beside it; what came after this line and "
            "before the cut is lost",
        )
        self._open(again, 0, 1)
        return True

    def _following(self) -> _Candidate | None:
        """The file that comes after the one at hand, None when it is the last or not yet done."""
        known = self._files[self._number]
        try:
            status = self.path.stat()
        except OSError:
            return None
        if known.is_inode(status):
            return None
        if self._plain:
            now = self._clock()
            if self._quiet_since is None:
                self._quiet_since = now
            if now - self._quiet_since < QUIET_S and self._raw is not None:
                # A copy is complete; what was renamed may still be written to.
                return None
        began = self._began()
        if began is not None:
            done = list(self._files.values())
            later = []
            for candidate in self._candidates():
                at = candidate.time(self._first_time)
                read = any(file.length and file.begins(candidate.head) for file in done)
                if at is not None and at >= began and not read:
                    later.append((at, candidate.path.name, candidate))
            if later:
                return min(later)[2]
        return self._candidate(self.path)

    def _began(self) -> str | None:
        again = self._candidate(self._file)
        if self._plain and self._raw is not None:
            head = os.pread(self._raw.fileno(), PEEKED, 0)
        elif again is not None:
            head = again.head
        else:
            return None
        return self._first_time(head.split(b"\n")[:-1])

    def _begin(self) -> bool:
        """Opens the file to begin with; whether there is one."""
        candidates = list(self._candidates())
        cursor = self._cursor
        if cursor is not None and candidates:
            known = cursor.file
            same = [
                c
                for c in candidates
                if known.begins(c.head)
                and (known.length or known.is_inode(c.status))
                and (not c.plain or c.status.st_size >= cursor.offset)
            ]
            same.sort(key=lambda c: not known.is_inode(c.status))
            if same:
                self._open(same[0], cursor.offset, cursor.line)
                return True
            if known.length:
                self._report(
                    "cursor-lost",
                    0,
                    "the file that the cursor lies in is gone; all that is left is read",
                )
        oldest = self._from_oldest or cursor is not None
        timed = [(at, c.path.name, c) for c in candidates if (at := c.time(self._first_time))]
        if oldest and timed:
            self._open(min(timed)[2], 0, 1)
            return True
        live = self._candidate(self.path)
        if live is None:
            return False
        self._open(live, 0, 1)
        return True

    def _open(self, file: _Candidate, offset: int, line: int) -> None:
        travelled = self.distance(self.end) if self._number >= 0 else offset
        self.close()
        raw = open_raw(str(file.path))
        self._raw = raw
        self._stream = decompressed(raw)
        self._plain = self._stream is raw
        self._file = file.path
        self._number += 1
        self._files[self._number] = FileIdentity.of(os.fstat(raw.fileno()), file.head)
        self._bases[self._number] = travelled - offset
        self._offset, self._line = offset, line
        self._rest, self._skipping = b"", False
        self._quiet_since = None
        self._stream.seek(offset)

    def _candidates(self) -> Iterator[_Candidate]:
        """The files of the log; of a plain one and its compressed copy the plain one first."""
        wanted = log_name(self.path)
        try:
            names = sorted(self.path.parent.iterdir())
        except OSError:
            return
        found = [
            candidate
            for name in names
            if name == self.path or log_name(name) == wanted
            if (candidate := self._candidate(name)) is not None
        ]
        yield from sorted(found, key=lambda c: not c.plain)

    def _candidate(self, path: Path) -> _Candidate | None:
        try:
            with open_raw(str(path)) as raw:
                status = os.fstat(raw.fileno())
                stream = decompressed(raw)
                head = stream.read1(PEEKED)
                while len(head) < HEAD and (more := stream.read1(PEEKED)):
                    head += more
                return _Candidate(path, status, head, stream is raw)
        except (EOFError, OSError, zlib.error, lzma.LZMAError):
            return None  # A folder, or a compressed file that is not complete yet.
