# SPDX-License-Identifier: AGPL-3.0-or-later
"""How often one rule is announced of one attacker: a flood is stored whole and told in part."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple
from uuid import UUID

from decnet_ttp.tag_store.batch import TagRow

_MINUTE_S = 60.0


class Admitted(NamedTuple):
    """What of some tags is announced.

    Attributes:
        tags: Those that are.
        held_back: How many are not.
        silenced: Rules that are held back for the first time within this minute.
    """

    tags: Sequence[TagRow]
    held_back: int
    silenced: Sequence[str]


class AnnouncementLimit:
    """Counts tags by rule and anchor within each minute.

    Each process counts for itself; a batch that is written twice after a lost race counts twice.

    Args:
        per_minute: Tags of one rule and one anchor announced within a minute; 0 for all.
        clock: Seconds that never go back.
    """

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.per_minute = per_minute
        self._clock = clock
        self._minute = -1
        self._counts: dict[tuple[UUID | None, str], int] = {}

    def admit(self, rows: Sequence[TagRow]) -> Admitted:
        """Return which tags of one upstream message are announced."""
        if not self.per_minute:
            return Admitted(rows, 0, ())
        minute = int(self._clock() // _MINUTE_S)
        if minute != self._minute:
            self._minute = minute
            self._counts.clear()
        tags: list[TagRow] = []
        silenced: list[str] = []
        counts = self._counts
        for row in rows:
            key = (row.attacker_uuid or row.identity_uuid, row.rule_id)
            count = counts[key] = counts.get(key, 0) + 1
            if count <= self.per_minute:
                tags.append(row)
            elif count == self.per_minute + 1:
                silenced.append(row.rule_id)
        return Admitted(tags, len(rows) - len(tags), silenced)
