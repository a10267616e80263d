# SPDX-License-Identifier: AGPL-3.0-or-later
"""Times as logs write them, brought to one form."""

from datetime import UTC, datetime
from typing import Final

EXACT_TIME: Final = 27  # len("2017-02-11T10:50:44.693595Z")
# Far from the limits of dates, so that reckoning with them cannot overflow.
_FIRST_YEAR: Final = "1990"
_LAST_YEAR: Final = "2199"


def parse_time(value: object) -> str | None:
    """Any ISO 8601 text or epoch number as `YYYY-MM-DDTHH:MM:SS.ffffffZ`, None when it is neither.

    A time without a zone is taken as UTC, which is what honeypots write.
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
    except (ValueError, OverflowError, OSError):
        return None
    return time_text(moment)


def time_text(moment: datetime) -> str | None:
    """A time with a zone as `YYYY-MM-DDTHH:MM:SS.ffffffZ`; None outside 1990 to 2199."""
    try:
        moment = moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    text = moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return text if _FIRST_YEAR <= text[:4] <= _LAST_YEAR else None


def epoch(ts: str) -> float:
    """Epoch seconds of a time stamp in the form that `parse_time` gives."""
    return datetime.fromisoformat(ts).timestamp()
