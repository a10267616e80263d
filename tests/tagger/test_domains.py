# SPDX-License-Identifier: AGPL-3.0-or-later
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decnet_ttp.tagger.domains import (
    aligned,
    domain_part,
    host_of,
    idn_shape,
    organization,
    skeleton,
)


@pytest.mark.parametrize(
    ("text", "domain"),
    [
        ("Alice <alice@Corp.Example>", "corp.example"),
        ("corp.example", "corp.example"),
        ("bücher.example.", "bücher.example"),
        ("a b", ""),
        ("x" * 300, ""),
        ("", ""),
        ("@", ""),
        ("alice@corp.example/../x", ""),
    ],
)
def test_only_a_domain_is_left_of_an_address(text: str, domain: str) -> None:
    assert domain_part(text) == domain


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("mail.bank.example", "bank.example", True),
        ("a.bank.co.uk", "b.bank.co.uk", True),
        ("bank.co.uk", "shop.co.uk", False),
        ("one.github.io", "two.github.io", False),
        ("bank.example", "bank.test", False),
    ],
)
def test_domains_of_one_organisation_are_aligned(one: str, other: str, same: bool) -> None:  # noqa: FBT001 - a table's column
    assert aligned(one, other) is same


def test_what_is_no_registrable_domain_stands_for_itself() -> None:
    assert [organization(each) for each in ("", "localhost", "co.uk", "192.0.2.1")] == [
        "", "localhost", "co.uk", "192.0.2.1"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("HTTPS://User:pw@Login.Example:8443/x?y", "login.example"),
        ("http://[2001:db8::1]/", "2001:db8::1"),
        ("http://[::1", ""),
        ("javascript:alert(1)", ""),
        ("mailto:a@b.example", ""),
        ("//b.example/x", ""),
        ("", ""),
    ],
)
def test_host_is_that_of_a_web_link(url: str, host: str) -> None:
    assert host_of(url) == host


@pytest.mark.parametrize(
    ("host", "deceptive"),
    [
        ("xn--pypal-4ve.com", True),
        ("xn--80ak6aa92e.com", True),
        ("p\u0430ypal.com", True),
        ("xn--mnchen-3ya.de", False),
        ("xn--e1afmkfd.xn--p1ai", False),
        ("xn--fiqs8s", False),
        ("xn--zzzzzzzzzzz", False),
        ("example.com", None),
    ],
)
def test_names_that_look_latin_deceive(host: str, deceptive: bool | None) -> None:  # noqa: FBT001 - a table's column
    shape = idn_shape(host)
    assert (shape.deceptive if shape else None) is deceptive


def test_skeleton_is_what_a_text_looks_like() -> None:
    assert skeleton("P\u0430y\u200bP\u0430l") == "paypal"
    assert skeleton("\uff30\uff41\uff59") == "pay"
    assert skeleton("M\u00fcnchen") == "munchen"


@given(st.text(max_size=80))
def test_nothing_raises(text: str) -> None:
    for host in (domain_part(text), host_of(f"http://{text}/"), text, f"xn--{text}"):
        organization(host)
        idn_shape(host)
    skeleton(text)
