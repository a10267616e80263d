# SPDX-License-Identifier: AGPL-3.0-or-later
"""Addresses as logs write them."""

from functools import lru_cache
from ipaddress import IPv6Address, ip_address


@lru_cache(maxsize=65_536)
def canonical_address(text: str) -> str | None:
    """The address as `ipaddress` writes it, IPv4 mapped into IPv6 as IPv4; None if it is none."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return str(address)


def parse_address(text: str) -> str:
    """The canonical form of an address given by the user.

    Raises:
        ValueError: it is none.
    """
    address = canonical_address(text.strip())
    if address is None:
        raise ValueError("use an IPv4 or IPv6 address")
    return address
