# SPDX-License-Identifier: AGPL-3.0-or-later
from __future__ import annotations

import pytest

from decnet_ttp.matching.derived import DERIVED_FIELDS, percent_decode
from decnet_ttp.matching.fields import payload_member
from decnet_ttp.v1 import event_pb2


@pytest.mark.parametrize(
    ("text", "decoded"),
    [
        ("/a+b", "/a+b"),
        ("/%2e%2e%2f", "/../"),
        ("/%252e%252e/", "/../"),
        ("/%25252e", "/%2e"),
        ("/..%c0%af..%c0%ae", "/../..."),
        ("/%u002e%u002e/", "/../"),
        ("/%zz%", "/%zz%"),
    ],
)
def test_percent_encoding_is_taken_off_twice(text: str, decoded: str) -> None:
    assert percent_decode(text) == decoded


def test_escapes_behind_padding_are_taken_off_too() -> None:
    assert percent_decode("a" * 70_000 + "%252e%2E%2f%5C").endswith("a../\\")


def test_form_bodies_read_plus_as_a_blank() -> None:
    derive = DERIVED_FIELDS["http_request"]["body_decoded"].derive
    assert derive("cmd=cat+%2Fetc%2Fpasswd") == "cmd=cat /etc/passwd"


def test_every_derived_field_comes_from_a_text_field_of_its_kind() -> None:
    for kind, fields in DERIVED_FIELDS.items():
        message = event_pb2.Event.DESCRIPTOR.fields_by_name[payload_member(kind)].message_type
        assert message is not None
        for name, derived in fields.items():
            assert derived.origin in message.fields_by_name
            assert name not in message.fields_by_name
