# SPDX-License-Identifier: AGPL-3.0-or-later
"""What the parts of a mail tell: links, digests, counts and marks of attachments."""

import io
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import blake2b, sha256
from html import unescape
from typing import Final
from urllib.parse import urlsplit

from decnet_ttp.sources.mail_headers import Mail

MAX_PARTS: Final = 500
MAX_TEXT: Final = 2 * 1024 * 1024
MAX_ATTACHMENTS: Final = 200
MAX_URLS: Final = 200
MAX_WORDS: Final = 4_000
SHINGLE: Final = 3
HASH_BITS: Final = 64

# Python knows encodings that no mail has, among them one whose decoding takes quadratic time.
_CHARSET: Final = re.compile(
    r"(?:us-)?ascii|utf-?(?:8|16|32)(?:-?[bl]e)?|iso-?[\w-]+|(?:windows|cp)-?\d+|koi8-?[rut]"
    r"|gb(?:2312|k|18030)|big5(?:-?hkscs)?|euc-?(?:jp|kr|tw|cn)|shift[-_]?jis|latin-?\d+|macintosh"
)
_URL: Final = re.compile(r"\bhttps?://[^\s<>\"'`{}|\\^]{1,2000}", re.IGNORECASE)
_BASE64: Final = re.compile(r"(?:[A-Za-z0-9+/]{60,}[ \t]*\r?\n?)+[A-Za-z0-9+/]*={0,2}")
_BLANK: Final = re.compile(r"\s+")
_WORD: Final = re.compile(r"\w+")
_EXTENSION: Final = re.compile(r"\.([A-Za-z0-9]{1,16})$")
_HTML_TYPES: Final = frozenset({"text/html", "application/xhtml+xml", "image/svg+xml"})
_HTML_EXTENSIONS: Final = frozenset({"html", "htm", "xhtml", "shtml", "svg"})
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


@dataclass(slots=True)
class Content:
    """What the parts of one mail tell, without any of their text.

    Attributes:
        body_sha256: of the body that a reader shows (plain before HTML), "" without one.
        body_simhash: 64 bits in hex, alike for bodies alike; "" for one of few words.
        base64_bytes: size of what stands as base64 inside the text, decoded.
        urls: links without user, query and fragment.
    """

    body_sha256: str = ""
    body_simhash: str = ""
    base64_bytes: int = 0
    urls: list[str] = field(default_factory=list)
    attachments: int = 0
    attachment_sha256s: list[str] = field(default_factory=list)
    extensions: list[str] = field(default_factory=list)
    macros: bool = False
    locked: bool = False
    smuggling: bool = False


def read_content(mail: Mail) -> Content:
    """Looks at every part of a mail, within bounds."""
    content = Content()
    bodies: dict[str, str] = {}
    urls: dict[str, None] = {}
    for part in _leaves(mail):
        kind = part.get_content_type()
        name = part.get_filename() or ""
        data = part.get_payload(decode=True)
        if not isinstance(data, bytes):
            continue
        attached = part.get_content_disposition() == "attachment" or bool(name)
        if kind in _HTML_TYPES or kind == "text/plain":
            text = _text(data, part)
            # Links in attached text are no less followed.
            urls.update(dict.fromkeys(_urls(text)))
            content.smuggling = content.smuggling or _smuggles(text, kind, name)
            if not attached:
                bodies.setdefault(kind, text)
                content.base64_bytes += _base64_bytes(text)
                continue
        elif name.rpartition(".")[2].lower() in _HTML_EXTENSIONS:
            content.smuggling = content.smuggling or _smuggles(_text(data, part), kind, name)
        _attachment(content, name, data)
    body = bodies.get("text/plain") or next(iter(bodies.values()), "")
    if body:
        content.body_sha256 = sha256(body.encode("utf-8", "replace")).hexdigest()
        content.body_simhash = simhash(body)
    content.urls = list(urls)[:MAX_URLS]
    return content


def _leaves(mail: Mail) -> Iterator[Mail]:
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


def _text(data: bytes, part: Mail) -> str:
    charset = part.get_param("charset", "utf-8")
    name = charset.lower() if isinstance(charset, str) else "utf-8"
    if not _CHARSET.fullmatch(name):
        name = "utf-8"
    try:
        text = data[:MAX_TEXT].decode(name, "replace")
    except (LookupError, ValueError):
        text = data[:MAX_TEXT].decode("utf-8", "replace")
    return text.encode("utf-8", "replace").decode()


def _attachment(content: Content, name: str, data: bytes) -> None:
    content.attachments += 1
    if content.attachments > MAX_ATTACHMENTS:
        return
    content.attachment_sha256s.append(sha256(data).hexdigest())
    extension = _EXTENSION.search(name.strip())
    content.extensions.append(extension[1].lower() if extension else "")
    macros, locked = inspect(data)
    content.macros = content.macros or macros
    content.locked = content.locked or locked


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


def _smuggles(text: str, kind: str, name: str) -> bool:
    html = kind in _HTML_TYPES or name.rpartition(".")[2].lower() in _HTML_EXTENSIONS
    return html and bool(_BUILDS_A_FILE.search(text) and _HANDS_IT_OVER.search(text))


def _base64_bytes(text: str) -> int:
    return sum(
        len(_BLANK.sub("", found[0]).rstrip("=")) * 3 // 4 for found in _BASE64.finditer(text)
    )


def _urls(text: str) -> Iterator[str]:
    for found in _URL.finditer(text):
        if url := without_secrets(unescape(found[0]).rstrip(".,;:!?)]")):
            yield url


def without_secrets(url: str) -> str:
    """Scheme, host, port and path of a link; user, query, fragment and addresses left out."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return ""
    if not host:
        return ""
    if ":" in host:
        host = f"[{host}]"
    path = "/".join("" if "@" in piece else piece for piece in parts.path.split("/"))
    return f"{parts.scheme.lower()}://{host}{f':{port}' if port else ''}{path}"


def simhash(text: str) -> str:
    """Charikar's similarity hash over runs of three words, as 16 hex digits.

    Texts alike differ in few bits. "" for fewer words than a run holds. (M. Charikar, "Similarity
    estimation techniques from rounding algorithms", STOC 2002.)
    """
    words = [
        match[0].lower() for _, match in zip(range(MAX_WORDS), _WORD.finditer(text), strict=False)
    ]
    if len(words) < SHINGLE:
        return ""
    runs = {" ".join(words[at : at + SHINGLE]) for at in range(len(words) - SHINGLE + 1)}
    weights = [0] * HASH_BITS
    for run in runs:
        bits = int.from_bytes(
            blake2b(run.encode("utf-8", "replace"), digest_size=HASH_BITS // 8).digest(), "big"
        )
        for at in range(HASH_BITS):
            weights[at] += 1 if bits >> at & 1 else -1
    value = sum(1 << at for at, weight in enumerate(weights) if weight > 0)
    return f"{value:016x}"
