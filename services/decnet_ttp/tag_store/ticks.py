# SPDX-License-Identifier: AGPL-3.0-or-later
"""Time as PostgreSQL keeps it: whole microseconds since 2000-01-01 UTC, called ticks here.

Every tag carries times from the wire to the disk and back. As integers they need no calendar on
the way, which a `datetime` would cost twice per tag.
"""

from __future__ import annotations

from google.protobuf.timestamp_pb2 import Timestamp

TICKS_PER_SECOND = 1_000_000
TICKS_PER_DAY = 86_400 * TICKS_PER_SECOND

#: 2000-01-01 in seconds since 1970-01-01.
_EPOCH_S = 946_684_800
_NANOS_PER_TICK = 1_000
_MAX_NANOS = 999_999_999
#: 0001-01-01 and the end of 9999-12-31, the range protobuf allows.
_MIN_SECONDS = -62_135_596_800
_MAX_SECONDS = 253_402_300_799


def to_ticks(stamp: Timestamp) -> int:
    """Return a time of the wire in ticks; parts of a microsecond are cut off.

    Raises:
        ValueError: It lies outside the years 1 to 9999, or its nanoseconds outside a second.
    """
    seconds, nanos = stamp.seconds, stamp.nanos
    if not (_MIN_SECONDS <= seconds <= _MAX_SECONDS and 0 <= nanos <= _MAX_NANOS):
        raise ValueError("outside the years 1 to 9999")
    return (seconds - _EPOCH_S) * TICKS_PER_SECOND + nanos // _NANOS_PER_TICK


def to_timestamp(ticks: int) -> Timestamp:
    """Return ticks as a time of the wire."""
    seconds, rest = divmod(ticks, TICKS_PER_SECOND)
    return Timestamp(seconds=seconds + _EPOCH_S, nanos=rest * _NANOS_PER_TICK)


def to_epoch_seconds(ticks: int) -> float:
    """Return ticks as seconds since 1970-01-01 UTC."""
    return ticks / TICKS_PER_SECOND + _EPOCH_S


def from_epoch_seconds(seconds: float) -> int:
    """Return seconds since 1970-01-01 UTC as ticks."""
    return round((seconds - _EPOCH_S) * TICKS_PER_SECOND)


def day_of(ticks: int) -> int:
    """Return the UTC day of a time, in days since 2000-01-01."""
    return ticks // TICKS_PER_DAY
