# SPDX-License-Identifier: AGPL-3.0-or-later
"""What one message of a session in parts takes over from the one before.

A rule that looks at a session as a whole sees one message at a time. What lies across the cut it
can only see when the next message says what came before; these entries keep their ids and make
nothing twice.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

#: Entries of each list that are taken over, the last ones.
MAX_TOLD: Final = {"auth_attempts": 16, "commands": 64, "http_requests": 64, "payloads": 16}
#: Characters of text that each list takes over at most.
MAX_TOLD_TEXT: Final = 16 * 1024

Lists = Mapping[str, Sequence[dict[str, Any]]]


def told_before(lists: Lists, earlier: Lists) -> dict[str, list[dict[str, Any]]]:
    """Return the last entries of a message's lists, within bounds.

    Args:
        lists: The entries that were just written.
        earlier: What that message itself had taken over; it fills up what is short.
    """
    taken = {}
    for name, most in MAX_TOLD.items():
        entries = [*earlier.get(name, ()), *lists.get(name, ())][-most:]
        left = MAX_TOLD_TEXT
        kept: list[dict[str, Any]] = []
        for entry in reversed(entries):
            left -= text_size(entry)
            if left < 0:
                break
            kept.append(entry)
        if kept:
            taken[name] = kept[::-1]
    return taken


def text_size(entry: Mapping[str, Any]) -> int:
    """Return how many characters of text an entry holds, nested ones aside."""
    return sum(len(value) for value in entry.values() if isinstance(value, str))


def lists_size(lists: Lists) -> int:
    """Return how many characters of text some lists hold."""
    return sum(text_size(entry) for entries in lists.values() for entry in entries)
