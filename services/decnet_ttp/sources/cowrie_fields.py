# SPDX-License-Identifier: AGPL-3.0-or-later
"""Reading the fields of a Cowrie event, whatever version or pipeline wrote it."""

import re
from collections.abc import Sequence
from typing import Any, Final

import orjson

from decnet_ttp.sources.moments import parse_time

Event = dict[str, Any]

_SHA256: Final = re.compile(r"[0-9a-fA-F]{64}")
MAX_PORT: Final = 65_535


def raw_time(event: Event) -> object:
    """The time stamp under the name that Cowrie or a search index gives it."""
    value = event.get("timestamp")
    return event.get("@timestamp") if value is None else value


def first_time(lines: Sequence[bytes]) -> str | None:
    """The first readable time stamp among some lines."""
    for line in lines:
        try:
            event = orjson.loads(line)
        except orjson.JSONDecodeError:
            continue
        if isinstance(event, dict) and (time := parse_time(raw_time(event))):
            return time
    return None


def sensor_name(event: Event) -> str:
    """The sensor, "" when the log does not name one."""
    for name in ("sensor", "t-pot_hostname"):
        value = event.get(name)
        if isinstance(value, str) and value:
            return value
    return ""


def protocol_name(event: Event) -> str | None:
    """`ssh` or `telnet`; before 2018 only the transport's name in `system` tells."""
    value = event.get("protocol")
    if isinstance(value, str) and value:
        return value.lower()
    system = event.get("system")
    if isinstance(system, str):
        if "elnet" in system:
            return "telnet"
        if "SSH" in system:
            return "ssh"
    return None


def port_number(event: Event, *names: str) -> int | None:
    """The first of the named fields that is a port."""
    for name in names:
        value = event.get(name)
        if type(value) is int and 0 <= value <= MAX_PORT:
            return value
    return None


def sha256_of(event: Event) -> str | None:
    """The file's SHA-256 in lower case, None when it is absent or no SHA-256."""
    value = event.get("shasum")
    return value.lower() if isinstance(value, str) and _SHA256.fullmatch(value) else None
