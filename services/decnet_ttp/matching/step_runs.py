# SPDX-License-Identifier: AGPL-3.0-or-later
"""Whether parts of a session take the steps of a timeline, and how far they get.

A step remembers as many hits as it takes, so a rule needs time in proportion to the hits (which
come nearly sorted) and memory in proportion to the sum of `at_least` beside them.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from decnet_ttp.matching.timeline import PART_KINDS, Timeline

NANOS: Final = 10**9


class Hit(NamedTuple):
    """A part that meets a step; sorts by time, then kind, then place in its list, then step.

    What is told apart by `key` counts once: parts, or different values.
    """

    at_ns: int
    rank: int
    position: int
    step: int
    key: int
    source_id: str
    told_before: bool

    @property
    def kind(self) -> str:
        """Kind of the part."""
        return PART_KINDS[self.rank]


class _Chain(NamedTuple):
    """Steps that were taken one after the other, the last first."""

    start_ns: int
    hit: Hit | None
    before: _Chain | None


@dataclass(frozen=True, slots=True)
class StepTaken:
    """How a session went at one step.

    Attributes:
        name: The step.
        at_least: Parts, or different values, that it takes.
        count: Parts that met it, until the rule was fulfilled.
        source_kind: Kind of the part that completed it; empty when none did.
        source_id: Its identifier.
        offset_s: Seconds from the first part that counted to it.
    """

    name: str
    at_least: int
    count: int
    source_kind: str = ""
    source_id: str = ""
    offset_s: float = 0.0

    @property
    def held(self) -> bool:
        """Whether the step was completed."""
        return bool(self.source_kind)


def take_steps(
    timeline: Timeline, hits: Sequence[Hit], *, silent: bool = True
) -> tuple[bool, tuple[StepTaken, ...]]:
    """Return whether hits, in any order, fulfil a timeline, and how they go at each step.

    Args:
        timeline: The timeline.
        hits: The hits.
        silent: Whether the steps are told when they do not fulfil it; else there are none then.
    """
    return (_in_order if timeline.ordered else _in_any_order)(timeline, sorted(hits), silent=silent)


def _in_order(
    timeline: Timeline, hits: Sequence[Hit], *, silent: bool
) -> tuple[bool, tuple[StepTaken, ...]]:
    """Find the first part with which the steps were taken in order and in time.

    A part that was told with an earlier message fires nothing: it did so then.

    Of all ways to take the steps up to one, the one that began last is kept: whatever follows, it
    spans the least time. A step's last hits are the best ones, since what came before them began
    no earlier than what came before others.
    """
    steps = timeline.steps
    done: list[_Chain | None] = [None] * len(steps)
    recent: list[OrderedDict[int, _Chain]] = [OrderedDict() for _ in steps]
    counts = [0] * len(steps)
    for hit in hits:
        number = hit.step
        before = done[number - 1] if number else _Chain(hit.at_ns, None, None)
        if before is None:
            continue
        counts[number] += 1
        ring = recent[number]
        ring.pop(hit.key, None)
        ring[hit.key] = before
        if len(ring) > steps[number].at_least:
            ring.popitem(last=False)
        if len(ring) < steps[number].at_least:
            continue
        earliest = next(iter(ring.values()))
        chain = done[number] = _Chain(earliest.start_ns, hit, earliest)
        last = number == len(steps) - 1 and not hit.told_before
        if last and _within(timeline, chain.start_ns, hit.at_ns):
            return True, _told(timeline, counts, chain, done)
    return False, _told(timeline, counts, None, done) if silent else ()


def _told(
    timeline: Timeline,
    counts: Sequence[int],
    chain: _Chain | None,
    done: Sequence[_Chain | None],
) -> tuple[StepTaken, ...]:
    """Return the steps of a chain; without one, how far the session got."""
    number = len(done) if chain is not None else done.index(None) if None in done else len(done)
    chain = chain or (done[number - 1] if number else None)
    taken: list[StepTaken] = [
        StepTaken(step.name, step.at_least, count)
        for step, count in zip(timeline.steps, counts, strict=True)
    ]
    start_ns = chain.start_ns if chain is not None else 0
    while chain is not None and chain.hit is not None:
        hit = chain.hit
        taken[hit.step] = _taken(taken[hit.step], hit, start_ns)
        chain = chain.before
    return tuple(taken)


def _taken(step: StepTaken, hit: Hit, start_ns: int) -> StepTaken:
    return replace(
        step,
        source_kind=hit.kind,
        source_id=hit.source_id,
        offset_s=(hit.at_ns - start_ns) / NANOS,
    )


def _within(timeline: Timeline, start_ns: int, end_ns: int) -> bool:
    return timeline.timespan_ns is None or end_ns - start_ns <= timeline.timespan_ns


def _in_any_order(
    timeline: Timeline, hits: Sequence[Hit], *, silent: bool
) -> tuple[bool, tuple[StepTaken, ...]]:
    """Find the first part with which all steps were taken in time."""
    steps = timeline.steps
    recent: list[OrderedDict[int, int]] = [OrderedDict() for _ in steps]
    counts = [0] * len(steps)
    last: list[Hit | None] = [None] * len(steps)
    missing = len(steps)
    matched = False
    for hit in hits:
        number = hit.step
        counts[number] += 1
        ring = recent[number]
        ring.pop(hit.key, None)
        ring[hit.key] = hit.at_ns
        if len(ring) > steps[number].at_least:
            ring.popitem(last=False)
        if len(ring) < steps[number].at_least:
            continue
        missing -= last[number] is None
        last[number] = hit
        new = not hit.told_before
        if new and not missing and _within(timeline, _start(recent), hit.at_ns):
            matched = True
            break
    if not matched and not silent:
        return False, ()
    start_ns = _start([ring for ring, hit in zip(recent, last, strict=True) if hit is not None])
    taken = (
        StepTaken(step.name, step.at_least, count)
        for step, count in zip(steps, counts, strict=True)
    )
    return matched, tuple(
        step if hit is None else _taken(step, hit, start_ns)
        for step, hit in zip(taken, last, strict=True)
    )


def _start(recent: Sequence[OrderedDict[int, int]]) -> int:
    return min((next(iter(ring.values())) for ring in recent), default=0)
