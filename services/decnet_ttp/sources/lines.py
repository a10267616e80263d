# SPDX-License-Identifier: AGPL-3.0-or-later
"""Lines out of plain or compressed log files, whatever state the files are in."""

import bz2
import gzip
import lzma
import sys
import zlib
from collections.abc import Callable, Iterator
from io import BufferedReader, FileIO
from typing import Final, Protocol, cast

STDIN: Final = "-"
MAX_LINE: Final = 1024 * 1024
CHUNK: Final = 256 * 1024
DISK_BUFFER: Final = 128 * 1024

Report = Callable[[str, int, str], None]
"""Called with reason, line number (0 for the file as a whole) and detail."""

Block = tuple[int, list[bytes], bool]
"""Number of the first line, the lines without their newline, and whether the last was unended."""


class Chunked(Protocol):
    """What gives bytes as they come."""

    def read1(self, size: int, /) -> bytes:
        """At most so many bytes, b"" at the end."""

    def readline(self, size: int, /) -> bytes:
        """One line with its end, cut at so many bytes; b"" at the end."""

    def seek(self, offset: int, /) -> int:
        """Goes to a byte of what is unpacked."""


def open_raw(path: str) -> BufferedReader:
    """The bytes as they lie on disk, or standard input for `-`."""
    if path == STDIN:
        return cast("BufferedReader", sys.stdin.buffer)
    return BufferedReader(FileIO(path), DISK_BUFFER)


def decompressed(raw: BufferedReader) -> Chunked:
    """Looks at the first bytes, not at the name: rotated logs are named in many ways."""
    magic = raw.peek(6)[:6]
    if magic[:2] == b"\x1f\x8b":
        return gzip.GzipFile(fileobj=raw)
    if magic == b"\xfd7zXZ\x00":
        return lzma.LZMAFile(raw)
    if magic[:3] == b"BZh":
        return bz2.BZ2File(raw)
    return raw


def _chunks(stream: Chunked, report: Report) -> Iterator[bytes]:
    # read1 hands over what is already unpacked before a damaged end is met; read would drop it.
    while True:
        try:
            chunk = stream.read1(CHUNK)
        except EOFError:
            report("truncated-file", 0, "the compressed file ends early; what it held was kept")
            return
        except (OSError, zlib.error, lzma.LZMAError) as error:
            report(
                "unreadable-file",
                0,
                f"reading stopped ({type(error).__name__}); what came before was kept",
            )
            return
        if not chunk:
            return
        yield chunk


def read_blocks(raw: BufferedReader, report: Report) -> Iterator[Block]:
    """Yields the file's lines in blocks; a line over `MAX_LINE` bytes is reported and left out.

    An empty line takes the place of a line left out, so that the numbers stay right.
    """
    number = 1
    rest = b""
    skipping = False
    first = True
    for chunk in _chunks(decompressed(raw), report):
        data = chunk
        if first:
            data = data.removeprefix(b"\xef\xbb\xbf")
            first = False
        if skipping:
            _, newline, data = data.partition(b"\n")
            if not newline:
                continue
            # The long line itself is accounted for now that its end was seen.
            skipping = False
            number += 1
        lines = (rest + data).split(b"\n") if rest else data.split(b"\n")
        rest = lines.pop()
        if lines:
            _blank_long(lines, number, report)
            yield number, lines, False
            number += len(lines)
        if len(rest) > MAX_LINE:
            _too_long(number, report)
            rest, skipping = b"", True
    if rest:
        yield number, [rest], True


def _blank_long(lines: list[bytes], number: int, report: Report) -> None:
    if sum(map(len, lines)) <= MAX_LINE:
        return
    for index, line in enumerate(lines):
        if len(line) > MAX_LINE:
            _too_long(number + index, report)
            lines[index] = b""


def _too_long(number: int, report: Report) -> None:
    report("line-too-long", number, f"over {MAX_LINE} bytes, left out")
