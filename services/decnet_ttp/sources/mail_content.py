# SPDX-License-Identifier: AGPL-3.0-or-later
"""What the parts of a mail tell: links, digests, counts and marks of attachments."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import blake2b, sha256
from html import unescape
from typing import Final
from urllib.parse import urlsplit

from decnet_ttp.core.mime import (
    HTML_EXTENSIONS,
    HTML_TYPES,
    Mail,
    base64_bytes,
    inspect,
    leaves,
    smuggles,
    text_of,
)

MAX_ATTACHMENTS: Final = 200
MAX_URLS: Final = 200
MAX_WORDS: Final = 4_000
SHINGLE: Final = 3
HASH_BITS: Final = 64

_URL: Final = re.compile(r"\bhttps?://[^\s<>\"'`{}|\\^]{1,2000}", re.IGNORECASE)
_WORD: Final = re.compile(r"\w+")
_EXTENSION: Final = re.compile(r"\.([A-Za-z0-9]{1,16})$")


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
    for part in leaves(mail):
        kind = part.get_content_type()
        name = part.get_filename() or ""
        data = part.get_payload(decode=True)
        if not isinstance(data, bytes):
            continue
        attached = part.get_content_disposition() == "attachment" or bool(name)
        if kind in HTML_TYPES or kind == "text/plain":
            text = text_of(data, part)
            # Links in attached text are no less followed.
            urls.update(dict.fromkeys(_urls(text)))
            content.smuggling = content.smuggling or smuggles(text, kind, name)
            if not attached:
                bodies.setdefault(kind, text)
                content.base64_bytes += base64_bytes(text)
                continue
        elif name.rpartition(".")[2].lower() in HTML_EXTENSIONS:
            content.smuggling = content.smuggling or smuggles(text_of(data, part), kind, name)
        _attachment(content, name, data)
    body = bodies.get("text/plain") or next(iter(bodies.values()), "")
    if body:
        content.body_sha256 = sha256(body.encode("utf-8", "replace")).hexdigest()
        content.body_simhash = simhash(body)
    content.urls = list(urls)[:MAX_URLS]
    return content


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
