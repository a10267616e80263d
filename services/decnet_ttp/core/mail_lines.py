# SPDX-License-Identifier: AGPL-3.0-or-later
"""Which lines of a mail its parser has to look at: headers, and what may part its pieces.

The standard parser takes a mail line by line, and holds each against every container around it. In
the body of a part only a line that begins with two dashes can mean anything to it, so the line ends
of all others are replaced by marks for as long as it works: what stands between two such lines is
one line to it, whatever its length. Nothing is lost of a text; only structure that stands beyond
the bounds is not seen.
"""

from __future__ import annotations

import re
from typing import Final

#: Lines that the parser gets to see as such: of one block of headers, and of a mail.
MAX_BLOCK_LINES: Final = 1_000
MAX_STRUCTURE_LINES: Final = 5_000
#: Lines that a block counts for at least, so that their number is bounded too.
_FEWEST_LINES: Final = 4

# No bytes decode to these: a mail is read as ASCII, other bytes as lone surrogates.
_RETURN_MARK: Final = "\ue00d"
_FEED_MARK: Final = "\ue00a"

_BLOCK: Final = re.compile(rf"(?:[^\r\n]*(?:\r\n|\n|\r(?!\n))){{{MAX_BLOCK_LINES}}}")
#: Types within which any blank line may have headers behind it, whether they are announced or not.
_HEADERS_ANYWHERE: Final = ("message/delivery-status", "multipart/digest")


def hold(text: str) -> str:
    """Return a mail whose line ends mean something to its parser wherever they stand.

    Args:
        text: The mail; it has none of the marks.
    """
    return "".join(_Holder(text).pieces())


def release(text: str) -> str:
    """Return a text of a held mail as it was."""
    return text.replace(_FEED_MARK, "\n").replace(_RETURN_MARK, "\r")


def _one_line(text: str) -> str:
    return text.replace("\n", _FEED_MARK).replace("\r", _RETURN_MARK)


class _Holder:
    """Goes through a mail once, from one block of headers to the next."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._left = MAX_STRUCTURE_LINES
        # Where each was found last, so that none is looked for twice.
        self._places: dict[str, int] = {}
        lower = text.lower()
        self._headers_anywhere = any(each in lower for each in _HEADERS_ANYWHERE)

    def pieces(self) -> list[str]:
        """Return the mail in pieces, held where nothing can mean anything."""
        text, found = self._text, []
        position, headers, message = 0, True, False
        while position < len(text) and self._left > 0:
            if text.startswith("--", position):
                headers = True
            dashes = self._next_dashes(position)
            end = min(dashes, self._next_blank(position)) if headers else dashes
            piece = text[position:end]
            found.append(self._block(piece) if headers else _one_line(piece))
            # The line end that closes the piece stays one.
            position = self._behind_line_end(end)
            found.append(text[end:position])
            message = message or (headers and "message/" in piece.lower())
            headers = True
            if end < dashes:
                # Behind a blank line stands a body, which of a message is headers again.
                headers, message = message or self._headers_anywhere, False
        found.append(_one_line(text[position:]))
        return found

    def _block(self, piece: str) -> str:
        """Return a block of headers; what is over the bound of its lines is one line."""
        lines = piece.count("\n") + piece.count("\r") - piece.count("\r\n")
        self._left -= max(min(lines, MAX_BLOCK_LINES), _FEWEST_LINES)
        kept = _BLOCK.match(piece) if lines > MAX_BLOCK_LINES else None
        return piece if kept is None else kept[0] + _one_line(piece[kept.end() :])

    def _behind_line_end(self, position: int) -> int:
        return position + (2 if self._text.startswith("\r\n", position) else 1)

    def _next_dashes(self, position: int) -> int:
        """Return where the line ends before the next line that begins with two dashes."""
        found = min(self._next("\n--", position), self._next("\r--", position))
        return found - self._text.startswith("\r\n", max(found - 1, position))

    def _next_blank(self, position: int) -> int:
        """Return where the next blank line is, which ends what stands before it."""
        return 1 + min(self._next("\n\n", position), self._next("\n\r\n", position))

    def _next(self, wanted: str, position: int) -> int:
        found = self._places.get(wanted, -1)
        if found < position:
            found = self._text.find(wanted, position)
            found = self._places[wanted] = len(self._text) if found < 0 else found
        return found
