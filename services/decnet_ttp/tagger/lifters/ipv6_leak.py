# SPDX-License-Identifier: AGPL-3.0-or-later
"""The IPv6 lifter: an attacker seen over IPv4 let a link-local IPv6 address out."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import AddressValueError, IPv6Address
from typing import ClassVar, Final

from decnet_ttp.core.source_kinds import SourceKind
from decnet_ttp.tagger.fields import MAX_NAME, extra_text
from decnet_ttp.tagger.predicate_lifter import PredicateLifter, holds
from decnet_ttp.v1 import event_pb2, tag_pb2

#: How an interface identifier came to be; `unknown` is what a sensor says that cannot tell.
KINDS: Final = ("eui64", "stable_privacy", "temporary", "unknown")

#: No textual address is longer, zone included.
_MAX_ADDRESS = 128

_IID_BITS = 64
_UNIVERSAL_BIT = 0x02


@dataclass(frozen=True, slots=True)
class Leak:
    """Parameters of `ipv6_link_local_leak`.

    Attributes:
        iid_kinds: Kinds of interface identifier it speaks of, from `KINDS`.
    """

    iid_kinds: tuple[str, ...] = KINDS

    def __post_init__(self) -> None:
        """Refuse kinds that no address has."""
        if not self.iid_kinds or not set(self.iid_kinds) <= set(KINDS):
            raise ValueError(f"unknown name in `iid_kinds`; allowed: {', '.join(KINDS)}")


def link_local(text: str) -> IPv6Address | None:
    """Return a link-local address without its zone; None for anything else."""
    try:
        address = IPv6Address(text.strip().partition("%")[0]) if len(text) < _MAX_ADDRESS else None
    except AddressValueError:
        return None
    return address if address is not None and address.is_link_local else None


def eui64_oui(address: IPv6Address) -> str:
    """Return the organisation prefix in an address made of a MAC (RFC 4291, appendix A).

    Such an address has ff:fe in the middle of the MAC, whose universal bit is inverted.

    Args:
        address: Any address.

    Returns:
        The prefix as ``00:1b:21``; empty when the address is not made of a MAC.
    """
    iid = (int(address) & ((1 << _IID_BITS) - 1)).to_bytes(8)
    if iid[3:5] != b"\xff\xfe":
        return ""
    return bytes((iid[0] ^ _UNIVERSAL_BIT, *iid[1:3])).hex(":")


def link_local_leak(event: event_pb2.Event, parameters: Leak) -> tag_pb2.Evidence | None:
    """A link-local address leaked."""
    payload = event.ipv6_leak
    address = link_local(payload.addr or extra_text(event, "src_ip"))
    if address is None:
        return None
    oui = eui64_oui(address)
    told = payload.iid_kind if payload.iid_kind in KINDS else "unknown"
    # What the address itself shows needs no sensor.
    kind = "eui64" if oui else told
    if kind not in parameters.iid_kinds:
        return None
    evidence = tag_pb2.Evidence()
    shown = evidence.ipv6_leak
    shown.addr = str(address)
    shown.mac_oui = oui or payload.mac_oui[:MAX_NAME]
    shown.iid_kind = kind
    shown.vector = payload.vector[:MAX_NAME]
    return evidence


class Ipv6LeakLifter(PredicateLifter):
    """Lifts leaked IPv6 addresses."""

    name: ClassVar[str] = "ipv6_leak"
    owns_prefixes: ClassVar = ("ipv6_",)
    predicates: ClassVar = {
        "ipv6_link_local_leak": holds((SourceKind.IPV6_LEAK,), Leak, link_local_leak),
    }
