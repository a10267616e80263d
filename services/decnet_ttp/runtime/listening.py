# SPDX-License-Identifier: AGPL-3.0-or-later
"""Addresses a process listens on."""

from __future__ import annotations

import ipaddress

_MAX_PORT = 65_535


def is_loopback(host: str) -> bool:
    """Whether only this host reaches the address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def host_and_port(address: str) -> tuple[str, int] | None:
    """Return the parts of `host:port`, None where the text is none; port 0 lets the kernel choose.

    An IPv6 host keeps its brackets.
    """
    host, _, port = address.rpartition(":")
    if not (host and port.isascii() and port.isdigit() and int(port) <= _MAX_PORT):
        return None
    return host, int(port)
