# SPDX-License-Identifier: AGPL-3.0-or-later
"""One attacker, one canonical address, one id."""

from __future__ import annotations

from ipaddress import ip_address
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decnet_ttp.core.addresses import ATTACKER_NAMESPACE, attacker_uuid, canonical_ip


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("  203.0.113.7\n", "203.0.113.7"),
        ("2001:DB8:0:0:0:0:0:1", "2001:db8::1"),
        ("2001:0db8::0001", "2001:db8::1"),
        ("::", "::"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("::FFFF:CB00:7107", "203.0.113.7"),
        ("::ffff:203.0.113.7%eth0", "203.0.113.7"),
        ("fe80::1%eth0", "fe80::1"),
        ("fe80::1%25", "fe80::1"),
    ],
)
def test_canonical_ip_of_an_address(text: str, canonical: str) -> None:
    assert canonical_ip(text) == canonical


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "unknown",
        "203.0.113",
        "203.0.113.256",
        "203.0.113.07",
        "203.0.113.7/32",
        "203.0.113.7:22",
        "203.0.113.7%eth0",
        "fe80::1%",
        "[2001:db8::1]",
        "3405803783",
        "٢٠٣.0.113.7",
        "203.0.113.7\0",
        ":" * 10_000,
    ],
)
def test_canonical_ip_of_anything_else_is_none(text: str) -> None:
    assert canonical_ip(text) is None


@given(st.text(max_size=64))
def test_canonical_ip_takes_any_text_and_is_idempotent(text: str) -> None:
    found = canonical_ip(text)
    assert found is None or canonical_ip(found) == found


@given(st.ip_addresses(v=4))
def test_mapped_address_is_the_ipv4_address(address: object) -> None:
    assert canonical_ip(f"::ffff:{address}") == canonical_ip(str(address)) == str(address)


@given(st.ip_addresses(v=6))
def test_every_spelling_of_an_ipv6_address_is_one(address: object) -> None:
    long = ip_address(str(address)).exploded
    assert canonical_ip(long.upper()) == canonical_ip(str(address))


def test_attacker_ids_stay_what_they_are() -> None:
    """Rows of attackers carry these ids; another formula would make every attacker twice."""
    assert UUID("514143f9-5948-5482-aa1a-5b7c8cc4f628") == ATTACKER_NAMESPACE
    assert attacker_uuid("203.0.113.7") == UUID("6dd21fc3-121b-5123-aaa0-18e21dfe5b91")
    assert attacker_uuid("2001:db8::1") == UUID("8b93dc54-50f0-5b96-b580-413ec4f58e5d")
