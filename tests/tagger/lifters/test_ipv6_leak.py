# SPDX-License-Identifier: AGPL-3.0-or-later
from __future__ import annotations

from ipaddress import IPv6Address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decnet_ttp.tagger.lifters.ipv6_leak import Ipv6LeakLifter, eui64_oui, link_local
from tagger.lifters.lifting import event, lift, rule

LEAK = rule("ipv6_leak", "ipv6_link_local_leak", "T1090")


@pytest.mark.parametrize(
    ("fields", "addr", "kind", "oui"),
    [
        ({"addr": "fe80::21b:21ff:fe12:3456"}, "fe80::21b:21ff:fe12:3456", "eui64", "00:1b:21"),
        ({"addr": "FE80::1%wlan0"}, "fe80::1", "unknown", ""),
        ({"addr": "fe80::1", "iid_kind": "temporary"}, "fe80::1", "temporary", ""),
        ({"addr": "fe80::1", "iid_kind": "stable_privacy"}, "fe80::1", "stable_privacy", ""),
        ({"addr": "fe80::1", "iid_kind": "made up"}, "fe80::1", "unknown", ""),
        ({"addr": "febf::1"}, "febf::1", "unknown", ""),
        ({"extra": {"src_ip": "fe80::2"}}, "fe80::2", "unknown", ""),
        ({"addr": "fe80::1", "mac_oui": "00:1b:21"}, "fe80::1", "unknown", "00:1b:21"),
    ],
)
def test_link_local_addresses(fields: dict[str, Any], addr: str, kind: str, oui: str) -> None:
    (finding,) = lift(Ipv6LeakLifter(), LEAK, event("ipv6_leak", **fields))
    shown = finding.evidence.ipv6_leak
    assert (shown.addr, shown.iid_kind, shown.mac_oui) == (addr, kind, oui)


@pytest.mark.parametrize(
    "text", ["", "fe80", "fe80:", "2001:db8::1", "fec0::1", "198.51.100.7", "::ffff:198.51.100.7",
             "fe80::1" + "0" * 200, "fe80::g", "\0", "fe80::1 2"]
)  # fmt: skip
def test_anything_else_is_no_leak(text: str) -> None:
    assert lift(Ipv6LeakLifter(), LEAK, event("ipv6_leak", addr=text)) == []


def test_a_rule_may_speak_of_some_kinds_only() -> None:
    narrow = rule("ipv6_leak", "ipv6_link_local_leak", "T1090", iid_kinds=["eui64"])
    assert lift(Ipv6LeakLifter(), narrow, event("ipv6_leak", addr="fe80::1")) == []
    eui64 = event("ipv6_leak", addr="fe80::21b:21ff:fe12:3456")
    assert len(lift(Ipv6LeakLifter(), narrow, eui64)) == 1


@given(mac=st.binary(min_size=6, max_size=6))
def test_an_address_made_of_a_mac_tells_its_maker(mac: bytes) -> None:
    iid = bytes((mac[0] ^ 2, *mac[1:3])) + b"\xff\xfe" + mac[3:]
    address = IPv6Address(b"\xfe\x80" + bytes(6) + iid)
    assert eui64_oui(address) == mac[:3].hex(":")
    assert link_local(str(address)) == address
