# SPDX-License-Identifier: AGPL-3.0-or-later
"""What a service tells of itself: progress in its heart-beats, figures on its metrics page.

Services count as they go, per batch, in plain integers; a `Collect` puts them into families when
somebody looks.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

#: Upper bounds of the buckets of a latency, in seconds.
LATENCY_BUCKETS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)

Figure = str | int | float | bool | None

#: Asked at each heart-beat: counters, ages in seconds, moments in epoch seconds.
Progress = Callable[[], Awaitable[Mapping[str, Figure]]]


@dataclass(frozen=True, slots=True)
class Family:
    """One metric with all its label values.

    Attributes:
        name: Name without the prefix of the project and without `_total`; ends in its unit.
        kind: Whether it only ever grows.
        meaning: One sentence.
        values: Value by label values, in the order of `labels`.
        labels: Names of the labels. Their values are ids and reasons of a bounded number, never
            anything an attacker wrote.
    """

    name: str
    kind: Literal["counter", "gauge"]
    meaning: str
    values: Mapping[tuple[str, ...], float]
    labels: tuple[str, ...] = ()


class Histogram:
    """A distribution, counted in buckets.

    Args:
        name: As a family's.
        meaning: One sentence.
        bounds: Upper bounds of the buckets, rising; one without bound is added.
    """

    def __init__(
        self, name: str, meaning: str, bounds: Sequence[float] = LATENCY_BUCKETS_S
    ) -> None:
        self.name = name
        self.meaning = meaning
        self.total = 0.0
        self._bounds = tuple(bounds)
        self._counts = [0] * (len(self._bounds) + 1)

    def observe(self, value: float) -> None:
        """Count a value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self.total += value

    def buckets(self) -> list[tuple[str, float]]:
        """Return the upper bound of each bucket and how many values are at or below it."""
        found: list[tuple[str, float]] = []
        below = 0
        for bound, count in zip((*self._bounds, "+Inf"), self._counts, strict=True):
            below += count
            found.append((str(bound), below))
        return found


#: Asked when somebody looks at the metrics page.
Collect = Callable[[], Awaitable[Iterable[Family | Histogram]]]


def counter(name: str, meaning: str, value: float) -> Family:
    """Return a counter without labels."""
    return Family(name, "counter", meaning, {(): value})


def gauge(name: str, meaning: str, value: float) -> Family:
    """Return a gauge without labels."""
    return Family(name, "gauge", meaning, {(): value})


def by_label(
    kind: Literal["counter", "gauge"],
    name: str,
    meaning: str,
    label: str,
    values: Mapping[str, float],
) -> Family:
    """Return a family with one label."""
    return Family(name, kind, meaning, {(key,): value for key, value in values.items()}, (label,))
