# SPDX-License-Identifier: AGPL-3.0-or-later
"""Reading the fields of a Cowrie event, whatever version or pipeline wrote it."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

import orjson

Event = dict[str, Any]

EXACT_TIME: Final = 27  # len("2017-02-11T10:50:44.693595Z")
_SHA256: Final = re.compile(r"[0-9a-fA-F]{64}")
MAX_PORT: Final = 65_535
# Far from the limits of dates, so that reckoning with them cannot overflow.
_FIRST_YEAR: Final = "1990"
_LAST_YEAR: Final = "2199"


def parse_time(value: object) -> str | None:
    """Any ISO 8601 text or epoch number as `YYYY-MM-DDTHH:MM:SS.ffffffZ`, None when it is neither.

    A time without a zone is taken as UTC, which is what Cowrie writes.
    """
    try:
        if isinstance(value, str):
            if len(value) == EXACT_TIME and value[26] == "Z" and value[10] == "T":
                datetime.fromisoformat(value)
                if value[19] == "." and value[4] == "-" and _FIRST_YEAR <= value[:4] <= _LAST_YEAR:
                    return value
            moment = datetime.fromisoformat(value.strip())
            moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            moment = datetime.fromtimestamp(value, UTC)
        else:
            return None
        moment = moment.astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        return None
    text = moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return text if _FIRST_YEAR <= text[:4] <= _LAST_YEAR else None


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
