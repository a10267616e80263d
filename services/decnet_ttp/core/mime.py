# SPDX-License-Identifier: AGPL-3.0-or-later
"""Looking into the parts of a hostile mail: all of it bounded, nothing unpacked."""

import codecs
import io
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from email.errors import MessageError
from email.message import Message
from email.parser import FeedParser
from email.policy import Policy, compat32
from typing import Final, TypeAlias

from decnet_ttp.core.mail_lines import hold, release

Mail: TypeAlias = "Message[str, str]"

MAX_PARTS: Final = 500
#: Characters of a text that are read, and bytes of it that are decoded at once.
MAX_TEXT: Final = 2 * 1024 * 1024
_DECODED_AT_ONCE: Final = 16 * 1024
#: Characters that cannot be decoded before the rest of a text is given up. In most encodings each
#: costs as much as a thousand others; in UTF-8, which much is wrongly said to be, it does not.
_MAX_UNDECODABLE: Final = 64 * 1024

# Python knows encodings that no mail has, among them one whose decoding takes quadratic time.
_CHARSET: Final = re.compile(
    r"(?:us-)?ascii|utf-?(?:8|16|32)(?:-?[bl]e)?|iso-?[\w-]+|(?:windows|cp)-?\d+|koi8-?[rut]"
    r"|gb(?:2312|k|18030)|big5(?:-?hkscs)?|euc-?(?:jp|kr|tw|cn)|shift[-_]?jis|latin-?\d+|macintosh"
)
_BYTE_ORDER_MARKS: Final = {
    "utf-16": (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE),
    "utf-32": (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE),
}
HTML_TYPES: Final = frozenset({"text/html", "application/xhtml+xml", "image/svg+xml"})
HTML_EXTENSIONS: Final = frozenset({"html", "htm", "xhtml", "shtml", "svg"})
_BASE64: Final = re.compile(r"(?:[A-Za-z0-9+/]{60,}[ \t]*\r?\n?)+[A-Za-z0-9+/]*={0,2}")
_BLANK: Final = re.compile(r"\s+")
_BUILDS_A_FILE: Final = re.compile(
    r"new\s+Blob\s*\(|msSaveOrOpenBlob|createObjectURL|atob\s*\(|data:application/", re.IGNORECASE
)
_HANDS_IT_OVER: Final = re.compile(
    r"\.download\b|\bdownload\s*=|msSaveOrOpenBlob|\.click\s*\(|location\.(?:href|replace)",
    re.IGNORECASE,
)
_OLE: Final = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_RAR4: Final = b"Rar!\x1a\x07\x00"
_RAR5: Final = b"Rar!\x1a\x07\x01\x00"
_VBA: Final = ("_VBA_PROJECT".encode("utf-16le"), "Macros".encode("utf-16le"), b"Attribut\x00e ")
_ENCRYPTED: Final = "EncryptedPackage".encode("utf-16le")


#: What the standard parser gets to see of one mail. Its time grows with the square of the length of
#: a Content header, and with lines times the depth of their nesting.
MAX_CONTAINERS: Final = 12
_MAX_PARSED_HEADERS: Final = 10_000
_MAX_PARSED_PARTS: Final = 2_000
_MAX_CONTENT_HEADER: Final = 2 * 1024
_CONTENT_HEADERS_TOTAL: Final = 256 * 1024
_SHORT_HEADER: Final = 64


#: What the standard parser raises on what no mail program writes, mistakes of its own among it.
PARSER_FAILURES: Final = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    MessageError,
    NotImplementedError,
    RecursionError,
    TypeError,
    ValueError,
)


class MailLimitError(ValueError):
    """A mail of more parts than anybody writes."""


@dataclass(slots=True)
class _Budget:
    """What is left of the bounds of one mail."""

    parts: int = _MAX_PARSED_PARTS
    containers: int = MAX_CONTAINERS
    headers: int = _MAX_PARSED_HEADERS
    content_headers: int = _CONTENT_HEADERS_TOTAL


class _BoundedMessage(Message):
    """A part whose headers are cut as the parser sets them."""

    def __init__(self, budget: _Budget, policy: Policy) -> None:
        super().__init__(policy)
        budget.parts -= 1
        if budget.parts < 0:
            raise MailLimitError("too many parts")
        self._budget = budget

    def set_raw(self, name: str, value: str) -> None:
        self._budget.headers -= 1
        if self._budget.headers < 0:
            return
        lower = name.lower()
        if lower.startswith("content-"):
            room = min(_MAX_CONTENT_HEADER, max(self._budget.content_headers, _SHORT_HEADER))
            value = value[:room]
            self._budget.content_headers -= len(value)
        if lower == "content-type" and value.lstrip().lower().startswith(
            ("multipart/", "message/")
        ):
            self._budget.containers -= 1
            if self._budget.containers < 0:
                value = "text/plain"
        super().set_raw(name, value)

    def release(self) -> None:
        """Give the text its line ends back, which the parser was not to see.

        Not before it has ended: it looks for the last line end of each text, and takes its time at
        every other one.
        """
        payload = self.__dict__["_payload"]  # get_payload() decodes what it gives
        if isinstance(payload, str):
            self.set_payload(release(payload))


def parse_mail(data: bytes) -> Mail:
    """Return a mail in its parts.

    Beyond the bounds headers are left out, long Content headers are cut, and containers are taken
    as text.

    Raises:
        MailLimitError: It has too many parts.
        Exception: One of `PARSER_FAILURES`, when the parser gives up on it.
    """
    budget = _Budget()

    parts: list[_BoundedMessage] = []

    def part(policy: Policy = compat32) -> _BoundedMessage:
        parts.append(_BoundedMessage(budget, policy))
        return parts[-1]

    # As BytesParser does, but for the lines that mean nothing.
    parser = FeedParser(part, policy=compat32)
    parser.feed(hold(data.decode("ascii", "surrogateescape")))
    mail = parser.close()
    for each in parts:
        each.release()
    return mail


def leaves(mail: Mail) -> Iterator[Mail]:
    """Yield the parts of a mail that have no parts of their own, in their order, within bounds."""
    # Not Message.walk: that recurses, and a mail may be nested as deeply as it is long.
    waiting = [mail]
    seen = 0
    while waiting and seen < MAX_PARTS:
        part = waiting.pop()
        seen += 1
        # Asked only of a part that has parts: of others it decodes, and stumbles over odd charsets.
        inner = part.get_payload() if part.is_multipart() else None
        if isinstance(inner, list):
            waiting.extend(item for item in reversed(inner) if isinstance(item, type(mail)))
        else:
            yield part


def text_of(data: bytes, part: Mail, limit: int = MAX_TEXT) -> str:
    """Return the text of a part; what cannot be decoded becomes U+FFFD.

    Args:
        data: Its content.
        part: The part, which names the encoding.
        limit: Characters that are wanted; no more is decoded than it takes.
    """
    charset = part.get_param("charset", "utf-8")
    name = charset.lower() if isinstance(charset, str) else "utf-8"
    if not _CHARSET.fullmatch(name):
        name = "utf-8"
    try:
        text = _decoded(data, name, limit)
    except (LookupError, ValueError):
        text = _decoded(data, "utf-8", limit)
    return text.encode("utf-8", "replace").decode()


def _decoded(data: bytes, name: str, limit: int) -> str:
    """Return the first characters of a text.

    Raises:
        LookupError: There is no such encoding.
        ValueError: It cannot be used.
    """
    normal = codecs.lookup(name).name
    if normal in _BYTE_ORDER_MARKS and not data.startswith(_BYTE_ORDER_MARKS[normal]):
        # Unlike the whole, pieces without a mark are refused.
        normal += "-le"
    decoder = codecs.getincrementaldecoder(normal)("replace")
    utf8 = normal == "utf-8"
    pieces: list[str] = []
    size = position = undecodable = 0
    while size < limit and position < len(data) and undecodable < _MAX_UNDECODABLE:
        chunk = data[position : position + _DECODED_AT_ONCE]
        position += len(chunk)
        pieces.append(decoder.decode(chunk, final=position == len(data)))
        size += len(pieces[-1])
        undecodable += 0 if utf8 else pieces[-1].count("\ufffd")
    return "".join(pieces)[:limit]


def inspect(data: bytes) -> tuple[bool, bool]:
    """Whether a file holds Office macros, and whether it is locked by a password.

    Read from the directories of OLE, ZIP, RAR and PDF files; nothing is unpacked.
    """
    if data.startswith(_OLE):
        return any(mark in data for mark in _VBA), _ENCRYPTED in data
    if data.startswith(b"%PDF-"):
        return False, b"/Encrypt" in data
    if data.startswith(_RAR5):
        # Header type 4 is the encryption header; it stands first, after CRC and size.
        return False, len(data) > 13 and data[13] == 4  # noqa: PLR2004 - from the RAR 5 format
    if data.startswith(_RAR4):
        return False, len(data) > 10 and bool(data[10] & 0x80)  # noqa: PLR2004 - likewise, RAR 4
    return _inspect_zip(data) if data.startswith(b"PK") else (False, False)


def _inspect_zip(data: bytes) -> tuple[bool, bool]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError, LookupError):
        return False, False
    return (
        any(entry.filename.lower().endswith("vbaproject.bin") for entry in entries),
        any(entry.flag_bits & 1 for entry in entries),
    )


def smuggles(text: str, kind: str, name: str) -> bool:
    """Whether HTML builds a file in the browser and hands it over."""
    html = kind in HTML_TYPES or name.rpartition(".")[2].lower() in HTML_EXTENSIONS
    return html and bool(_BUILDS_A_FILE.search(text) and _HANDS_IT_OVER.search(text))


def base64_bytes(text: str) -> int:
    """Return the size of what stands as base64 inside a text, decoded, in bytes."""
    return sum(
        len(_BLANK.sub("", found[0]).rstrip("=")) * 3 // 4 for found in _BASE64.finditer(text)
    )
