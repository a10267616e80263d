# SPDX-License-Identifier: AGPL-3.0-or-later
from __future__ import annotations

from email import message_from_string

import pytest

from decnet_ttp.core.mail_header import date_lag_s, display_name, is_bulk


@pytest.mark.parametrize(
    ("headers", "bulk"),
    [
        ("List-Id: <x.example>", True),
        ("list-unsubscribe: <mailto:x@y.example>", True),
        ("Precedence: BULK", True),
        ("Precedence: first-class", False),
        ("X-List: List-Id", False),
    ],
)
def test_bulk_is_what_says_so(headers: str, bulk: bool) -> None:  # noqa: FBT001 - a table's column
    assert is_bulk(message_from_string(f"{headers}\n\nbody")) is bulk


@pytest.mark.parametrize(
    ("date", "received", "lag_s"),
    [
        ("Tue, 12 Mar 2024 09:00:00 +0000", "from a by b; Tue, 12 Mar 2024 10:00:00 +0000", 3600.0),
        ("Tue, 12 Mar 2024 12:00:00 +0200", "from a by b; Tue, 12 Mar 2024 10:00:00", 0.0),
        ("Wed, 12 Mar 2025 10:00:00 +0000", "by b; Tue, 12 Mar 2024 10:00:00 +0000", -31536000.0),
        ("yesterday", "by b; Tue, 12 Mar 2024 10:00:00 +0000", None),
        ("Tue, 12 Mar 2024 09:00:00 +0000", "by b", None),
        ("Tue, 12 Mar 99999999999 09:00:00 +0000", "by b; Tue, 12 Mar 2024 10:00:00 +0000", None),
    ],
)
def test_lag_is_from_the_date_to_the_receipt(date: str, received: str, lag_s: float | None) -> None:
    mail = message_from_string(f"Received: {received}\nReceived: by z; x\nDate: {date}\n\n")
    assert date_lag_s(mail) == lag_s


def test_a_header_in_an_encoding_that_cannot_be_is_read_as_it_stands() -> None:
    """The parser raises an error of its own family for a name of an encoding beyond ASCII."""
    mail = message_from_string("From: =?\xe4?q?a?= <x@y.example>\nDate: =?\xe4?q?a?=\n\n")
    assert display_name(mail) == "=?\xe4?q?a?="
    assert date_lag_s(mail) is None


def test_display_name_is_decoded() -> None:
    mail = message_from_string("From: =?utf-8?q?Pay=C3=A4l?= <x@y.example>\n\n")
    assert display_name(mail) == "Payäl"
