# SPDX-License-Identifier: AGPL-3.0-or-later
"""The parser sees fewer lines of a mail, and the same mail."""

from __future__ import annotations

from email.message import Message
from email.parser import BytesParser
from email.policy import compat32
from io import StringIO
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from decnet_ttp.core.mail_lines import MAX_BLOCK_LINES, MAX_STRUCTURE_LINES, hold, release
from decnet_ttp.core.mime import PARSER_FAILURES, leaves, parse_mail

HEAD = b"From: a@b.example\n"
MIXED = HEAD + b"Content-Type: multipart/mixed; boundary=x\n\n"

PIECES = [
    b"\n", b"\r\n", b"\r", b"--x", b"--x--", b"--y", b"-- ", b"--", b"\r\n--x\r\n", b"\n\n--x\n",
    b"Content-Type: multipart/mixed; boundary=x", b"Content-Type: message/rfc822",
    b"Content-Type: multipart/alternative; boundary=y", b"Content-Type: message/delivery-status",
    b"Content-Type: multipart/digest; boundary=x", b"Content-Type: text/plain", b"--: b",
    b"A: b", b" folded", b"text", b"QUJD", b"From x", b"\n\n", b"\xff", b": bad",
]  # fmt: skip


def tree(part: Any) -> Any:
    """Return all that a parser made of a mail."""
    payload = part.get_payload()
    inner = list(map(tree, payload)) if isinstance(payload, list) else payload
    return part.get_content_type(), [(key, str(raw)) for key, raw in part.raw_items()], inner


def outcome(mail: bytes, parse: Any) -> Any:
    try:
        return tree(parse(mail))
    except PARSER_FAILURES as error:
        return type(error).__name__


@given(st.lists(st.sampled_from(PIECES), max_size=30), st.sampled_from([b"", b"\n", b"\r\n"]))
@example([b"Content-Type: message/rfc822", b"--: b", b"\n", b"A: b", b"\n"], b"\n")
@example([b"Content-Type: multipart/mixed; boundary=x", b"\n", b"--x", b"\n", b"--x"], b"\n")
@example([b"Content-Type: message/delivery-status", b"\n", b"--x", b"\n", b"A: b"], b"\n")
def test_any_mail_is_parsed_as_the_standard_parser_does(pieces: list[bytes], end: bytes) -> None:
    mail = HEAD + end.join(pieces)
    assert outcome(mail, parse_mail) == outcome(mail, BytesParser(policy=compat32).parsebytes)


@given(st.text(alphabet=st.sampled_from("-x\r\n :a"), max_size=80))
def test_what_is_held_is_released_as_it_was(text: str) -> None:
    assert release(hold(text)) == text


def texts(mail: bytes) -> list[str]:
    found = [part.get_payload() for part in leaves(parse_mail(mail))]
    assert all(isinstance(each, str) for each in found)
    return [str(each) for each in found]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_of_a_body_are_one_to_the_parser(end: str) -> None:
    body = f"line{end}" * 100_000
    held = hold(f"From: a@b.example\n\n{body}\n--x\n")
    assert len(list(StringIO(held, newline=""))) == 4


def test_a_part_behind_a_very_long_one_is_found() -> None:
    mail = MIXED + b"--x\n\n" + b"a\n" * 600_000 + b"--x\nContent-Type: a/b\n\nlast\n--x--\n"
    first, last = texts(mail)
    assert (len(first), last) == (600_000 * 2 - 1, "last")


def test_headers_beyond_the_bound_of_a_block_are_part_of_the_last() -> None:
    mail = parse_mail(HEAD + b"X-A: b\n" * MAX_BLOCK_LINES + b"\nbody\n")
    assert isinstance(mail, Message)
    assert len(mail.keys()) == MAX_BLOCK_LINES + 1
    assert mail.get_payload() == "body\n"


def test_nothing_of_a_text_is_lost_beyond_the_bound_of_a_mail() -> None:
    body = "--\n\n" * MAX_STRUCTURE_LINES
    assert texts(HEAD + b"\n" + body.encode()) == [body]
