# SPDX-License-Identifier: AGPL-3.0-or-later
"""What a set of new tags adds to the roll-ups."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar
from uuid import UUID

from decnet_ttp.tag_store.batch import TagRow
from decnet_ttp.tag_store.effects import FIXED_KINDS, NO_EFFECT, Effect, adjusted
from decnet_ttp.tag_store.ticks import TICKS_PER_DAY

#: Lowest confidences of the bands MEDIUM and HIGH of the proto's ConfidenceBand.
MEDIUM_FROM = 0.6
HIGH_FROM = 0.85

Key = TypeVar("Key")

#: A cell of the matrix: tactic, technique, sub-technique or None.
Cell = tuple[str, str, str | None]

#: Anchor, day since 2000-01-01, cell id, band; the anchor as an integer, which sorts fastest.
AnchorKey = tuple[int, int, int, int]


def band_of(confidence: float) -> int:
    """Return the number of the proto's ConfidenceBand."""
    if confidence < MEDIUM_FROM:
        return 1
    return 2 if confidence < HIGH_FROM else 3


@dataclass(slots=True)
class Count:
    """How often, since when, until when (ticks), how sure at most."""

    count: int
    first_seen: int
    last_seen: int
    confidence_max: float

    def add(self, other: Count) -> None:
        """Take another count in."""
        self.count += other.count
        self.first_seen = min(self.first_seen, other.first_seen)
        self.last_seen = max(self.last_seen, other.last_seen)
        self.confidence_max = max(self.confidence_max, other.confidence_max)


@dataclass(slots=True)
class RollupCounts:
    """Counts of new tags by attacker, by identity for tags that name no attacker, and in all.

    Keys end in day, cell id and band, as the tables' primary keys do.
    """

    attackers: dict[AnchorKey, Count]
    identities: dict[AnchorKey, Count]
    fleet_days: dict[tuple[int, int, int], Count]
    fleet: dict[tuple[int, int], Count]


def _merge(target: dict[AnchorKey, Count], key: AnchorKey, confidence: float, seen: int) -> None:
    count = target.get(key)
    if count is None:
        target[key] = Count(1, seen, seen, confidence)
        return
    count.count += 1
    if seen < count.first_seen:
        count.first_seen = seen
    elif seen > count.last_seen:
        count.last_seen = seen
    count.confidence_max = max(count.confidence_max, confidence)


def _anchor(value: UUID | None) -> int:
    return 0 if value is None else value.int


def adjustable(row: TagRow) -> bool:
    """Whether verdicts about its attacker change what a tag counts for."""
    return not (row.confidence_fixed or row.attacker_uuid is None or row.source_kind in FIXED_KINDS)


def effective_confidence(row: TagRow, effects: Mapping[UUID, Effect]) -> float:
    """Return what a tag counts for.

    Args:
        row: The tag.
        effects: The effect on each attacker that has one.
    """
    if row.attacker_uuid is None or not adjustable(row):
        return row.confidence
    return adjusted(row.confidence, effects.get(row.attacker_uuid, NO_EFFECT))


def count_rows(
    rows: Iterable[TagRow], cells: Mapping[Cell, int], effects: Mapping[UUID, Effect]
) -> RollupCounts:
    """Count rows.

    Args:
        rows: New tags.
        cells: Ids of all their cells.
        effects: The effect on each attacker that has one.
    """
    attackers: dict[AnchorKey, Count] = {}
    identities: dict[AnchorKey, Count] = {}
    for row in rows:
        seen = row.created_at if row.observed_at is None else row.observed_at
        cell = cells[row.tactic, row.technique_id, row.sub_technique_id]
        confidence = effective_confidence(row, effects) if effects else row.confidence
        day, band = seen // TICKS_PER_DAY, band_of(confidence)
        if row.attacker_uuid is not None:
            _merge(attackers, (row.attacker_uuid.int, day, cell, band), confidence, seen)
        else:
            _merge(identities, (_anchor(row.identity_uuid), day, cell, band), confidence, seen)
    fleet_days: dict[tuple[int, int, int], Count] = {}
    fleet: dict[tuple[int, int], Count] = {}
    for source in (attackers, identities):
        for (_, day, cell, band), count in source.items():
            add_count(fleet_days, (day, cell, band), count)
            add_count(fleet, (cell, band), count)
    return RollupCounts(attackers, identities, fleet_days, fleet)


def add_count(target: dict[Key, Count], key: Key, count: Count) -> None:
    """Add a count to those of a table; the given one stays as it is."""
    found = target.get(key)
    if found is None:
        target[key] = Count(count.count, count.first_seen, count.last_seen, count.confidence_max)
    else:
        found.add(count)
