# SPDX-License-Identifier: AGPL-3.0-or-later
"""From the bytes of a stored mail to what predicates read of it."""

from __future__ import annotations

import re
from typing import Final

from decnet_ttp.core.mail_header import date_lag_s, display_name, first_domain, is_bulk
from decnet_ttp.core.mime import (
    HTML_TYPES,
    PARSER_FAILURES,
    Mail,
    base64_bytes,
    leaves,
    parse_mail,
    text_of,
)
from decnet_ttp.tagger.html_text import MAX_IMAGES, MAX_LINKS, read_html
from decnet_ttp.v1 import event_pb2

#: Longest text of a mail that rules look at, in characters.
MAX_BODY: Final = 256 * 1024
MAX_ATTACHMENTS: Final = 200
_MAX_URL: Final = 2_048
_MAX_NAME: Final = 256

#: Encodings that grow a text by half at most, and characters of such a part that are decoded.
_UUENCODED: Final = frozenset({"x-uuencode", "uuencode", "uue", "x-uue"})
_MAX_UUENCODED: Final = MAX_BODY * 3 // 2

_URL: Final = re.compile(r"\bhttps?://[^\s<>\"'`{}|\\^]{1,2000}", re.IGNORECASE)
_EXTENSION: Final = re.compile(r"[a-z0-9]{1,16}")

#: What the first bytes of a file say it is.
_MAGIC: Final = (
    (b"\x7fELF", "executable"),
    (b"\xca\xfe\xba\xbe", "executable"),
    (b"\xcf\xfa\xed\xfe", "executable"),
    (b"L\x00\x00\x00\x01\x14\x02\x00", "shortcut"),
    (b"#!", "script"),
    (b"PK\x03\x04", "archive"),
    (b"Rar!\x1a\x07", "archive"),
    (b"7z\xbc\xaf\x27\x1c", "archive"),
    (b"%PDF-", "document"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "document"),
    (b"{\\rtf", "document"),
    (b"\x89PNG\r\n", "image"),
    (b"GIF8", "image"),
    (b"\xff\xd8\xff", "image"),
)
_PE_POINTER: Final = 0x3C


class NotAMailError(ValueError):
    """Bytes that are no mail, or one that the parser gives up on."""


def read_mail(data: bytes, payload: event_pb2.EmailPayload) -> event_pb2.MailContent:
    """Return what a mail holds.

    Args:
        data: The mail.
        payload: What its producer said of it; what only the headers tell is added to it.

    Raises:
        NotAMailError: It cannot be read.
    """
    try:
        mail = parse_mail(data)
        if not mail.keys():
            raise NotAMailError("no header")
        _complete(payload, mail)
        return _content(mail, payload)
    except PARSER_FAILURES as error:
        raise NotAMailError(type(error).__name__) from error


def _complete(payload: event_pb2.EmailPayload, mail: Mail) -> None:
    """Add what the producer left out."""
    if not payload.from_domain:
        payload.from_domain = first_domain(mail, "From")
    if not payload.reply_to_domain:
        payload.reply_to_domain = first_domain(mail, "Reply-To")
    if not payload.HasField("mailing_list"):
        payload.mailing_list = is_bulk(mail)
    if not payload.HasField("date_lag_s"):
        lag_s = date_lag_s(mail)
        if lag_s is not None:
            payload.date_lag_s = lag_s


def _content(mail: Mail, payload: event_pb2.EmailPayload) -> event_pb2.MailContent:
    content = event_pb2.MailContent(display_name=display_name(mail)[:_MAX_NAME])
    plain: list[str] = []
    html: list[str] = []
    for part in leaves(mail):
        data = _decoded(part)
        if not isinstance(data, bytes):
            continue
        name = part.get_filename() or ""
        kind = part.get_content_type()
        if part.get_content_disposition() == "attachment" or name or not kind.startswith("text/"):
            _attachment(content, name, data)
            if kind not in HTML_TYPES:
                continue
        text = text_of(data, part, MAX_BODY)
        # An attached page is no body, but its links are followed all the same.
        (html if kind in HTML_TYPES else plain).append(text)
    _bodies(content, plain, html)
    if not payload.HasField("body_base64_bytes"):
        payload.body_base64_bytes = sum(map(base64_bytes, (*plain, *html)))
    return content


def _decoded(part: Mail) -> object:
    """Return the bytes of a part; of what Python decodes line by line no more than is read."""
    if str(part.get("Content-Transfer-Encoding", "")).lower() in _UUENCODED:
        payload = part.get_payload()
        if isinstance(payload, str):
            part.set_payload(payload[:_MAX_UUENCODED])
    return part.get_payload(decode=True)


def _bodies(content: event_pb2.MailContent, plain: list[str], html: list[str]) -> None:
    shown = "\n".join(plain)[:MAX_BODY]
    pages = []
    room = MAX_BODY
    for each in html:
        page = read_html(each[:room])
        room -= min(room, len(each))
        pages.append(page.text)
        for url, text in page.links[: MAX_LINKS - len(content.links)]:
            content.links.add(url=_sound(url)[:_MAX_URL], text=_sound(text))
        content.hidden_image_urls.extend(
            _sound(url)[:_MAX_URL]
            for url in page.hidden_images[: MAX_IMAGES - len(content.hidden_image_urls)]
        )
    content.body_text = _sound(shown if shown.strip() else "\n".join(pages)[:MAX_BODY])
    for found in _URL.finditer(shown):
        if len(content.links) >= MAX_LINKS:
            break
        content.links.add(url=found[0].rstrip(".,;:!?)]"))


def _sound(text: str) -> str:
    """Return text that a message can hold: references may name half of a surrogate pair."""
    return text.encode("utf-8", "replace").decode()


def _attachment(content: event_pb2.MailContent, name: str, data: bytes) -> None:
    if len(content.attachments) >= MAX_ATTACHMENTS:
        return
    # Blanks and dots at the end hide an extension from a reader, not from Windows.
    parts = [part.strip() for part in name.strip(" .").lower().split(".")[-3:]]
    extensions = parts[1:] if len(parts) > 1 else []
    known = [part if _EXTENSION.fullmatch(part) else "" for part in extensions]
    content.attachments.add(
        extension=known[-1] if known else "",
        inner_extension=known[-2] if len(known) > 1 else "",
        content=content_kind(data),
    )


def content_kind(data: bytes) -> str:
    """Return what the first bytes of a file say it is, empty when they say nothing."""
    if data.startswith(b"MZ"):
        pointer = int.from_bytes(data[_PE_POINTER : _PE_POINTER + 4], "little")
        return "executable" if data[pointer : pointer + 4] == b"PE\0\0" else ""
    return next((kind for magic, kind in _MAGIC if data.startswith(magic)), "")
