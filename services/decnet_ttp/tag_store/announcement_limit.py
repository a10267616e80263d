# SPDX-License-Identifier: AGPL-3.0-or-later
"""How often one rule is announced of one attacker: a flood is stored whole and told in part."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID

from decnet_ttp.core.errors import AbortedError, ResourceExhaustedError, UnavailableError
from decnet_ttp.runtime.pacing import pause
from decnet_ttp.tag_store.batch import TagRow
from decnet_ttp.tag_store.database import Database
from decnet_ttp.tag_store.ticks import TICKS_PER_SECOND

_MINUTE_S = 60.0
_TICKS_PER_MINUTE = 60 * TICKS_PER_SECOND

# In the order of keys, so that writers wait for each other and never in a ring. A transaction that
# fails counts nothing.
_COUNT = """
    INSERT INTO announcement_counts AS c (minute, anchor_uuid, rule_id, count)
    SELECT $1, u.anchor_uuid, u.rule_id, u.count
    FROM unnest($2::uuid[], $3::text[], $4::bigint[]) AS u (anchor_uuid, rule_id, count)
    ORDER BY u.anchor_uuid, u.rule_id
    ON CONFLICT (minute, anchor_uuid, rule_id) DO UPDATE SET count = c.count + excluded.count
    RETURNING anchor_uuid, rule_id, count
"""
_FORGET = """
    DELETE FROM announcement_counts
    WHERE minute < (SELECT floor(extract(epoch FROM now() - '2000-01-01Z'::timestamptz) / 60)) - 1
"""

_Key = tuple[UUID, str]

_log = logging.getLogger(__name__)


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
    """Counts tags by rule and anchor within each minute, over all processes of one database.

    Args:
        per_minute: Tags of one rule and one anchor announced within a minute; 0 for all.
    """

    def __init__(self, per_minute: int) -> None:
        self.per_minute = per_minute
        self._minute = -1
        self._used_up: set[_Key] = set()

    async def admit(
        self, connection: Any, messages: Sequence[Sequence[TagRow]], now: int
    ) -> list[Admitted]:
        """Return which tags of each upstream message are announced.

        Args:
            connection: The transaction that stores the tags.
            messages: New tags by message.
            now: Time of the database, in ticks.
        """
        if not self.per_minute:
            return [Admitted(rows, 0, ()) for rows in messages]
        counts = await self._count(connection, messages, now // _TICKS_PER_MINUTE)
        return [self._admit(rows, counts) for rows in messages]

    async def _count(
        self, connection: Any, messages: Sequence[Sequence[TagRow]], minute: int
    ) -> Counter[_Key]:
        """Return how many tags of each key came before these, and count these."""
        if minute != self._minute:
            self._minute = minute
            self._used_up.clear()
        # What the database said is used up stays so, so a flood asks it no more.
        before: Counter[_Key] = Counter(dict.fromkeys(self._used_up, self.per_minute + 1))
        new = Counter(key for rows in messages for row in rows if (key := _key(row)) not in before)
        if new:
            anchors, rules = [anchor for anchor, _ in new], [rule for _, rule in new]
            totals = await connection.fetch(_COUNT, minute, anchors, rules, list(new.values()))
            for anchor, rule, total in totals:
                before[anchor, rule] = total - new[anchor, rule]
                # Others have committed as much: only then it holds whatever becomes of this.
                if before[anchor, rule] > self.per_minute:
                    self._used_up.add((anchor, rule))
        return before

    def _admit(self, rows: Sequence[TagRow], counts: Counter[_Key]) -> Admitted:
        tags: list[TagRow] = []
        silenced: list[str] = []
        for row in rows:
            key = _key(row)
            counts[key] += 1
            if counts[key] <= self.per_minute:
                tags.append(row)
            elif counts[key] == self.per_minute + 1:
                silenced.append(row.rule_id)
        return Admitted(tags, len(rows) - len(tags), silenced)


def _key(row: TagRow) -> _Key:
    anchor = row.attacker_uuid or row.identity_uuid
    if anchor is None:
        raise ValueError("a tag without anchor came past the check of its batch")
    return (anchor, row.rule_id)


async def forget_minutes(database: Database, stop: asyncio.Event) -> None:
    """Delete the counts of minutes that are over, until `stop`."""
    while not stop.is_set():
        try:
            await database.fetch(_FORGET)
        except (AbortedError, ResourceExhaustedError, UnavailableError) as error:
            _log.debug("counts are kept for now", extra={"error": type(error).__name__})
        await pause(stop, _MINUTE_S)
