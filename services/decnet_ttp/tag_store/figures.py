# SPDX-License-Identifier: AGPL-3.0-or-later
"""What the tag-store counts, for its heart-beats and its metrics page."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from decnet_ttp.runtime.figures import Family, Figure, Histogram, by_label, counter, gauge
from decnet_ttp.tag_store.batch import TagRow
from decnet_ttp.tag_store.database import Database

#: Lower bounds of what is called a high and a medium confidence.
_HIGH = 0.85
_MEDIUM = 0.6

_OUTBOX = """
    SELECT count(*) AS depth,
        coalesce(extract(epoch FROM now() - min(created_at)), 0)::double precision AS age_s
    FROM outbox
"""


def confidence_band(confidence: float) -> str:
    """Return the name of the band a confidence is in."""
    if confidence >= _HIGH:
        return "high"
    return "medium" if confidence >= _MEDIUM else "low"


class Tally:
    """What this process wrote and announced since it started.

    Args:
        by_technique: Whether tags are also counted by technique and rule, which costs a look at
            each.
        clock: Seconds since the epoch.
    """

    def __init__(
        self, *, by_technique: bool = False, clock: Callable[[], float] = time.time
    ) -> None:
        self.inserted = 0
        self.known = 0
        self.below_floor = 0
        self.announced = 0
        self.published: Counter[str] = Counter()
        self.last_write_s = 0.0
        self.techniques: Counter[tuple[str, ...]] = Counter()
        self.rules: Counter[tuple[str, ...]] = Counter()
        self.latency = Histogram("tag_write_seconds", "Time of a batch of tags, stored.")
        self._by_technique = by_technique
        self._clock = clock

    def count_batch(
        self,
        inserted: Sequence[TagRow],
        *,
        known: int,
        below_floor: int,
        announced: int,
        took_s: float,
    ) -> None:
        """Count a batch that was stored; `announced` is in upstream messages."""
        self.inserted += len(inserted)
        self.known += known
        self.below_floor += below_floor
        self.announced += announced
        self.last_write_s = self._clock()
        self.latency.observe(took_s)
        if self._by_technique:
            self.techniques.update(
                (row.technique_id, row.sub_technique_id or "") for row in inserted
            )
            self.rules.update(
                (row.rule_id, row.technique_id, confidence_band(row.confidence)) for row in inserted
            )

    def count_published(self, *, messages: int, announcements: int) -> None:
        """Count messages the bus took, of which some are announcements of upstream messages."""
        self.published["ttp.tagged"] += announcements
        self.published["ttp.rule.fired"] += messages - announcements


class Figures:
    """Tells them.

    Args:
        tally: What was counted.
        database: Where the outbox is.
    """

    def __init__(self, tally: Tally, database: Database) -> None:
        self._tally = tally
        self._database = database

    async def _outbox(self) -> tuple[int, float]:
        """Return how many announcements wait, and the age of the oldest in seconds.

        Raises:
            UnavailableError: The database is away.
        """
        async with self._database.connection() as connection:
            row = await connection.fetchrow(_OUTBOX)
        return row["depth"], row["age_s"]

    async def progress(self) -> Mapping[str, Figure]:
        """Return what a heart-beat carries."""
        depth, age_s = await self._outbox()
        tally = self._tally
        return {
            "last_event_ts": tally.last_write_s or None,
            "pending": depth,
            "lag_s": age_s,
            "tags_inserted": tally.inserted,
            "tags_known": tally.known,
            "tags_below_floor": tally.below_floor,
            "announced": tally.announced,
        }

    async def counted(self) -> list[Family | Histogram]:
        """Return what needs no database."""
        tally = self._tally
        return [
            Family(
                "tags_written",
                "counter",
                "New tags stored.",
                dict(tally.techniques),
                ("technique_id", "sub_technique_id"),
            ),
            Family(
                "rule_fired",
                "counter",
                "New tags stored, by the rule that made them.",
                dict(tally.rules),
                ("rule_id", "technique_id", "confidence_band"),
            ),
            counter("tags_known", "Tags that were stored before.", tally.known),
            by_label(
                "counter",
                "tags_dropped",
                "Tags not stored.",
                "reason",
                {"below_floor": tally.below_floor},
            ),
            by_label(
                "counter",
                "messages_published",
                "Messages the bus took.",
                "topic",
                dict(tally.published),
            ),
            tally.latency,
        ]

    async def waiting(self) -> list[Family]:
        """Return what waits for the bus.

        Raises:
            UnavailableError: The database is away.
        """
        depth, age_s = await self._outbox()
        return [
            gauge("outbox_messages", "Announcements that wait for the bus.", depth),
            gauge("outbox_age_seconds", "Age of the oldest of them.", age_s),
        ]
