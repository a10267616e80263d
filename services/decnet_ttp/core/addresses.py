# SPDX-License-Identifier: AGPL-3.0-or-later
"""Source addresses and the attackers behind them."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from uuid import NAMESPACE_URL, UUID, uuid5

ATTACKER_NAMESPACE = uuid5(NAMESPACE_URL, "decnet:attacker:v1")

#: Longest text that may be an address, with a zone index and some blanks around, in characters.
_LONGEST = 128
#: Addresses remembered: a busy attacker's comes with every one of its sessions.
_REMEMBERED = 8_192


def canonical_ip(text: str) -> str | None:
    """Return the canonical form of an address, or None when the text is none.

    An IPv4-mapped IPv6 address is the IPv4 address; a zone index is dropped, since it names an
    interface of the sensor and not the attacker. Text beyond 128 characters is no address.
    """
    return _canonical(text) if len(text) <= _LONGEST else None


@lru_cache(_REMEMBERED)
def _canonical(text: str) -> str | None:
    try:
        address = ip_address(text.strip())
    except ValueError:
        return None
    if not isinstance(address, IPv6Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(IPv6Address(int(address)) if address.scope_id else address)


def attacker_uuid(ip: str) -> UUID:
    """Return the id of the attacker behind a canonical address."""
    return uuid5(ATTACKER_NAMESPACE, ip)
