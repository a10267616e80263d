# SPDX-License-Identifier: AGPL-3.0-or-later
"""What makes an expression or a network fit for a rule."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Final

import re2

from decnet_ttp.matching.pattern_set import compile_pattern

MAX_PATTERN_CHARS: Final = 4096
_CURE: Final = "; look-around and back-references are not allowed, use all/any/not around patterns"


def pattern_fault(pattern: str) -> str | None:
    """Say why an expression may not stand in a rule; None when it may.

    Only RE2's syntax is allowed, which matches in linear time whatever the input. One that
    matches the empty string would fire on every event.
    """
    if not pattern:
        return "the pattern is empty and would match everything; write what it must find"
    if len(pattern) > MAX_PATTERN_CHARS:
        return (
            f"the pattern has {len(pattern)} characters; allowed: at most {MAX_PATTERN_CHARS}; "
            "split it under `any`"
        )
    try:
        # As the matcher compiles it, which then finds it made.
        compiled = compile_pattern(pattern)
    except re2.error as error:
        what = error.args[0] if error.args else ""
        text = what.decode(errors="replace") if isinstance(what, bytes) else str(what)
        cure = _CURE if "perl operator" in text or "escape" in text else ""
        return f"not a pattern of RE2: {text}{cure}"
    if compiled.search(b"") is not None:
        return "the pattern matches the empty string and so everything; make a part of it required"
    return None


def network_fault(network: str) -> str | None:
    """Say why a text is no network in CIDR notation; None when it is one."""
    try:
        ip_network(network)
    except ValueError:
        try:
            meant = ip_network(network, strict=False)
        except ValueError:
            return f"{network[:64]!r} is no network; allowed: CIDR such as 198.51.100.0/24"
        return f"{network!r} has host bits set; write {str(meant)!r}"
    return None
