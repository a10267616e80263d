# SPDX-License-Identifier: AGPL-3.0-or-later
"""A series of observations and how a batch of them moves its state; no storage in here."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple
from uuid import UUID

from decnet_ttp.attribution.mergers import depth, merge
from decnet_ttp.attribution.observations import Observation
from decnet_ttp.attribution.states import Kind, Merged, Sample, State


class SeriesKey(NamedTuple):
    """Whose series it is."""

    identity: UUID
    primitive: str


@dataclass(frozen=True, slots=True)
class Transition:
    """A change of state.

    Attributes:
        series: Whose.
        old: State before; None when there was none.
        merged: State after.
        count: Observations merged.
        at: Time of the newest observation then, microseconds since the epoch.
    """

    series: SeriesKey
    old: State | None
    merged: Merged
    count: int
    at: int


@dataclass(slots=True)
class Series:
    """The newest samples of a series and what they amount to.

    Attributes:
        kind: How its values are to be read.
        samples: Newest samples in ascending order; at least `depth(kind)` where there are as many.
        count: Observations in all.
        merged: Its state; None before the first observation.
        changed_at: When the state last changed, microseconds since the epoch.
    """

    kind: Kind
    samples: list[Sample] = field(default_factory=list)
    count: int = 0
    merged: Merged | None = None
    changed_at: int = 0

    def add(self, sample: Sample) -> None:
        """Take in one more observation."""
        self.count += 1
        insort(self.samples, sample)

    def remove(self, sample: Sample) -> None:
        """Take an observation out; it may be older than the samples that are held."""
        self.count -= 1
        place = bisect_left(self.samples, sample)
        if place < len(self.samples) and self.samples[place] == sample:
            del self.samples[place]

    def settle(self, key: SeriesKey) -> Transition | None:
        """Merge anew; return the change when the state is another than before."""
        old = self.merged.state if self.merged is not None else None
        if self.count == 0:
            self.merged = None
            return None
        self.merged = merge(self.kind, self.samples)
        if self.merged.state == old:
            return None
        self.changed_at = self.samples[-1].at
        return Transition(key, old, self.merged, self.count, self.changed_at)


class Stored(NamedTuple):
    """An observation as it stands, and the identity it counts for."""

    identity: UUID
    observation: Observation


@dataclass(slots=True)
class Changes:
    """What a batch changes.

    Attributes:
        written: Observations that are new or replaced, by key.
        touched: Series whose samples changed.
        transitions: Changes of state in the order in which they happened.
    """

    written: dict[UUID, Stored] = field(default_factory=dict)
    touched: set[SeriesKey] = field(default_factory=set)
    transitions: list[Transition] = field(default_factory=list)


def samples_needed(
    observations: Iterable[Stored], prior: Mapping[UUID, Stored], kinds: Mapping[str, Kind]
) -> dict[SeriesKey, int]:
    """Return which series a batch may touch, and how many newest samples of each it needs.

    A replaced observation may leave the newest ones, and then the next older one counts: so each
    replacement needs one more.
    """
    removals: Counter[SeriesKey] = Counter()
    for identity, observation in observations:
        removals[SeriesKey(identity, observation.primitive)] += 0
        before = prior.get(observation.key)
        if before is not None:
            removals[SeriesKey(before.identity, observation.primitive)] += 1
    return {key: depth(kinds[key.primitive]) + count for key, count in removals.items()}


def apply(
    observations: Iterable[Stored],
    prior: Mapping[UUID, Stored],
    series: Mapping[SeriesKey, Series],
) -> Changes:
    """Take a batch in, one observation after the other, so that how it was cut cannot matter.

    Args:
        observations: The batch in the order of the stream.
        prior: What is stored under their keys.
        series: Series that `samples_needed` named; they are changed in place.
    """
    changes = Changes()
    for stored in observations:
        identity, observation = stored
        before = changes.written.get(observation.key) or prior.get(observation.key)
        key = SeriesKey(identity, observation.primitive)
        if before is not None:
            if observation.version <= before.observation.version:
                continue
            left = SeriesKey(before.identity, observation.primitive)
            series[left].remove(before.observation.sample)
            if left != key:
                _settle(left, series, changes)
        series[key].add(observation.sample)
        changes.written[observation.key] = stored
        _settle(key, series, changes)
    return changes


def _settle(key: SeriesKey, series: Mapping[SeriesKey, Series], changes: Changes) -> None:
    changes.touched.add(key)
    transition = series[key].settle(key)
    if transition is not None:
        changes.transitions.append(transition)
