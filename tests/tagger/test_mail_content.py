# SPDX-License-Identifier: AGPL-3.0-or-later
"""What is read of a mail, and that no mail, however made, does harm to its reader."""

from __future__ import annotations

import base64
import io
import random
import time
import zipfile
from contextlib import suppress
from email.message import EmailMessage
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decnet_ttp.tagger.mail_content import MAX_BODY, NotAMailError, content_kind, read_mail
from decnet_ttp.v1 import event_pb2

PE = b"MZ" + bytes(58) + (64).to_bytes(4, "little") + b"PE\0\0" + bytes(64)


def read(data: bytes) -> tuple[event_pb2.MailContent, event_pb2.EmailPayload]:
    payload = event_pb2.EmailPayload()
    return read_mail(data, payload), payload


def test_body_links_and_attachments_are_read() -> None:
    mail = EmailMessage()
    mail["From"] = "Paypäl Service <service@evil.example>"
    mail["Reply-To"] = "x@answers.example"
    mail["List-Id"] = "<a.example>"
    mail.set_content("Look at https://a.example/x.\n")
    mail.add_alternative(
        '<p>Look <a href="https://b.example/y">here</a><img width=1 height=1 src=//t></p>', "html"
    )
    mail.add_attachment(PE, "application", "pdf", filename="Invoice.PDF.exe ")
    mail.add_attachment(b"%PDF-1.7", "application", "pdf", filename="plan")
    content, payload = read(mail.as_bytes())
    assert content == event_pb2.MailContent(
        body_text="Look at https://a.example/x.\n",
        display_name="Paypäl Service",
        links=[
            event_pb2.MailLink(url="https://b.example/y", text="here"),
            event_pb2.MailLink(url="https://a.example/x"),
        ],
        hidden_image_urls=["//t"],
        attachments=[
            event_pb2.MailAttachment(extension="exe", inner_extension="pdf", content="executable"),
            event_pb2.MailAttachment(content="document"),
        ],
    )
    assert payload == event_pb2.EmailPayload(
        from_domain="evil.example",
        reply_to_domain="answers.example",
        mailing_list=True,
        body_base64_bytes=0,
    )


def test_what_a_producer_said_stands() -> None:
    payload = event_pb2.EmailPayload(
        from_domain="said.example", mailing_list=False, date_lag_s=5.0, body_base64_bytes=7
    )
    read_mail(b"From: a@b.example\nPrecedence: bulk\n\n" + b"QUJD" * 100, payload)
    assert (payload.from_domain, payload.mailing_list) == ("said.example", False)
    assert (payload.date_lag_s, payload.body_base64_bytes) == (5.0, 7)


def test_html_alone_is_the_body() -> None:
    content, _ = read(b"From: a@b.example\nContent-Type: text/html\n\n<b>ver</b>ify <br>now")
    assert content.body_text == "verify \nnow"


@pytest.mark.parametrize("data", [b"", b"\n\nno header", b"\0\xff" * 40])
def test_what_has_no_header_is_no_mail(data: bytes) -> None:
    with pytest.raises(NotAMailError):
        read(data)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (PE, "executable"),
        (b"MZ but a text", ""),
        (b"MZ" + b"\xff" * 62, ""),
        (b"\x7fELF\x02", "executable"),
        (b"#!/bin/sh", "script"),
        (b"PK\x03\x04", "archive"),
        (b"\x89PNG\r\n\x1a\n", "image"),
        (b"", ""),
    ],
)
def test_content_is_told_by_its_first_bytes(data: bytes, kind: str) -> None:
    assert content_kind(data) == kind


def _nested(depth: int) -> bytes:
    part = b'Content-Type: multipart/mixed; boundary="%d"\n\n--%d\n'
    parts = [part % (level, level) for level in range(depth)]
    return b"".join([b"From: a@b.example\n", *parts, b"Content-Type: text/plain\n\ndeep\n"])


def _in_mails(depth: int) -> bytes:
    return b"Content-Type: message/rfc822\n\n" * depth + b"From: a@b.example\n\ndeep"


def _bomb() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(64 * 1024 * 1024))
    mail = EmailMessage()
    mail["From"] = "a@b.example"
    mail.add_attachment(packed.getvalue(), "application", "zip", filename="b.zip")
    return mail.as_bytes()


HEAD = b"From: a@b.example\n"
HOSTILE = {
    "deep_multipart": _nested(20_000),
    "deep_messages": _in_mails(5_000),
    "many_parts": HEAD + b"Content-Type: multipart/mixed; boundary=x\n\n" + b"--x\n\na\n" * 50_000,
    "huge_header": b"From: " + b"<a@b.example>, " * 70_000 + b"\n\nbody",
    "many_headers": b"X-A: b\n" * 150_000 + b"\nbody",
    "folded_header": b"Subject: a\n" + b" b\n" * 300_000 + b"\nbody",
    "encoded_words": b"From: " + b"=?utf-8?q?=41?= " * 60_000 + b"<a@b.example>\n\nbody",
    "one_line": HEAD + b"\n" + b"A" * 1_000_000,
    "one_line_html": HEAD + b"Content-Type: text/html\n\n" + b"<a href=x>" * 100_000,
    "many_links": HEAD + b"\n" + b"http://a.example/ " * 60_000,
    "odd_charset": HEAD + b"Content-Type: text/plain; charset=punycode\n\n" + b"a" * 500_000,
    "unknown_charset": HEAD + b'Content-Type: text/plain; charset="no\0such"\n\n\xff\xfe',
    "broken_base64": HEAD + b"Content-Transfer-Encoding: base64\n\n" + b"!=A" * 300_000,
    "uuencode": HEAD + b"Content-Transfer-Encoding: x-uuencode\n\nbegin 644 x\n" + b"#" * 100_000,
    "quoted": HEAD + b"Content-Transfer-Encoding: quoted-printable\n\n" + b"=4" * 400_000,
    "half_surrogates": HEAD + b"Content-Type: text/html\n\n&#xd800;<a href='&#xdfff;'>x</a>",
    "rfc2231": HEAD + b"Content-Type: x/y;" + b"".join(b" n*%d*=a;" % n for n in range(30_000)),
    "quoted_parameter": HEAD + b'Content-Type: text/plain; a="' + b'\\";' * 300_000 + b"\n\nx",
    "parameters": HEAD + b"Content-Type: text/plain;" + b" a=b;" * 200_000 + b"\n\nx",
    "disposition": HEAD + b"Content-Disposition: " + b";" * 1_000_000 + b"\n\nx",
    "zip_bomb": _bomb(),
    "crlf_only": b"\r\n" * 400_000,
    "nul": b"From: a\0@b.example\n\n" + b"\0" * 500_000,
    "returns_only": HEAD + b"\n" + b"\r" * 1_000_000,
    "dashes": _nested(12) + b"--a\n\n" * 200_000,
    "status": HEAD + b"Content-Type: message/delivery-status\n\n" + b"A: b\n\n" * 160_000,
    "digest": HEAD + b"Content-Type: multipart/digest; boundary=x\n\n--x\n" + b"\n" * 900_000,
    "lone_surrogates": HEAD + b"Content-Type: text/plain; charset=utf-16\n\n" + b"\0\xd8" * 500_000,
    "brackets": HEAD + b"Content-Type: text/html\n\n" + b"<" * 1_000_000,
    "references": HEAD + b"Content-Type: text/html\n\n" + b"&notareference" * 70_000,
    "base64_lines": HEAD + b"\n" + (b"QUJD" * 15 + b"\n") * 16_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_mails_are_read_within_bounds(name: str) -> None:
    data = HOSTILE[name]
    began = time.process_time()
    with suppress(NotAMailError):
        content, _ = read(data)
        assert content.ByteSize() < 4 * 1024 * 1024
        assert len(content.body_text) <= MAX_BODY
    # The bound leaves room for a busy machine and none for a square.
    assert time.process_time() - began < 4.0


@pytest.mark.parametrize("charset", ["utf-16", "utf-16-le", "utf-32", "utf-8", "iso-2022-jp"])
def test_long_texts_are_decoded_as_their_encoding_says(charset: str) -> None:
    text = "Überweisung 支払い " * 9_000 if charset != "iso-2022-jp" else "支払い " * 30_000
    for data in (text, text[:50]):
        head = HEAD + b"Content-Type: text/plain; charset=" + charset.encode() + b"\n"
        body = base64.encodebytes(data.encode(charset).removeprefix(b"\xff\xfe\0\0"))
        content, _ = read(head + b"Content-Transfer-Encoding: base64\n\n" + body)
        assert content.body_text == data


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_are_no_mail(data: bytes) -> None:
    for mail in (data, b"From: a@b.example\nContent-Type: " + data, HEAD + data):
        with suppress(NotAMailError):
            read(mail)


PIECES = [
    b"From: a <b@c.example>\n", b"From: =?\xe4?q?a?= <b@c.example>\n",
    b"Content-Type: text/html\n", b"\n", b"--x\n", b"--x--\n",
    b"Content-Type: multipart/alternative; boundary=x\n", b"Content-Type: message/rfc822\n",
    b"Content-Transfer-Encoding: base64\n",
    b"Content-Disposition: attachment; filename=a.pdf.exe\n",
    base64.b64encode(PE) + b"\n", b"<a href='http://x.example'>y</a>\n", b"=?utf-8?b?//8=?=\n",
    b"Date: Mon, 99 Foo\n", b"Received: ; ", b"\xff\xfe\0", b" folded\n", b"charset=utf-16\n",
    b"Content-Type: text/plain; charset*0*=''%ff; charset*1=x\n", b"begin 644 a\n",
]  # fmt: skip


@given(st.lists(st.sampled_from(PIECES), max_size=25))
def test_any_arrangement_of_parts_is_read_or_is_no_mail(pieces: list[bytes]) -> None:
    with suppress(NotAMailError):
        read(b"".join(pieces))


@pytest.mark.shared
def test_damaged_real_mails_are_read_or_are_no_mails(shared_dir: Path) -> None:
    """Cut, doubled and with bytes thrown: three times each of some of every kind."""
    chance = random.Random(41)  # noqa: S311 - a fixed series
    for folder in sorted((shared_dir / "data" / "mail").iterdir()):
        for path in sorted(folder.glob("*.eml"))[:12]:
            mail = path.read_bytes()[:100_000]
            read(mail)
            for _ in range(3):
                damaged = bytearray(mail[: chance.randrange(1, len(mail))] + mail)
                for _ in range(40):
                    damaged[chance.randrange(len(damaged))] = chance.randrange(256)
                with suppress(NotAMailError):
                    read(bytes(damaged))
