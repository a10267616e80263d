# SPDX-License-Identifier: AGPL-3.0-or-later
"""Source addresses and the attackers behind them."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address
from uuid import NAMESPACE_URL, UUID, uuid5

ATTACKER_NAMESPACE = uuid5(NAMESPACE_URL, "decnet:attacker:v1")


def canonical_ip(text: str) -> str | None:
    """Return the canonical form of an address, or None when the text is none.

    An IPv4-mapped IPv6 address is the IPv4 address; a zone index is dropped, since it names an
    interface of the sensor and not the attacker.
    """
    try:
        address = ip_address(text.strip().partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return str(address)


def attacker_uuid(ip: str) -> UUID:
    """Return the id of the attacker behind a canonical address."""
    return uuid5(ATTACKER_NAMESPACE, ip)
