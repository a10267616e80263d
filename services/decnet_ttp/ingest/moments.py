# SPDX-License-Identifier: AGPL-3.0-or-later
"""Times as producers send them, as protobuf timestamps."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

#: Producers' clocks before 1990 or after 2200 are taken for garbage.
_MIN_S = 631_152_000
_MAX_S = 7_258_118_400


def read_moment(value: Any, into: Timestamp) -> bool:
    """Set a timestamp from ISO 8601 text or seconds since the epoch.

    A time without zone is UTC, as honeypots log it. Returns whether the value was a time; the
    timestamp stays as it was when not.
    """
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            return False
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        delta = moment - _EPOCH
        seconds, nanos = delta.days * 86_400 + delta.seconds, delta.microseconds * 1_000
    elif isinstance(value, int | float) and not isinstance(value, bool):
        if not _MIN_S <= value <= _MAX_S:
            return False
        seconds = int(value)
        nanos = int((value - seconds) * 1_000_000) * 1_000
    else:
        return False
    if not _MIN_S <= seconds <= _MAX_S:
        return False
    into.seconds = seconds
    into.nanos = nanos
    return True
