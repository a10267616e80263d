# SPDX-License-Identifier: AGPL-3.0-or-later
"""What the parts of one session come to for rules with a timeline: the hits, and who fires.

A step remembers as many hits as it takes, so a rule needs time in proportion to the hits (which
come nearly sorted) and memory in proportion to the sum of `at_least` beside them.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

from decnet_ttp.matching.atoms import exact_text
from decnet_ttp.matching.fields import payload_member
from decnet_ttp.matching.timeline import PART_KINDS, WHOLE_SESSION, StepOf, Timeline
from decnet_ttp.v1 import event_pb2, rule_pb2

_RANK: Final[Mapping[str, int]] = {kind: rank for rank, kind in enumerate(PART_KINDS)}
_NANOS: Final = 10**9


class _Hit(NamedTuple):
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
        return PART_KINDS[self.rank]


class _Chain(NamedTuple):
    """Steps that were taken one after the other, the last first."""

    start_ns: int
    hit: _Hit | None
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


class TimelineResult(NamedTuple):
    """How a session went by a rule with a timeline.

    Attributes:
        rule: The rule.
        matched: Whether it fires.
        steps: How each step went.
    """

    rule: rule_pb2.Rule
    matched: bool
    steps: tuple[StepTaken, ...]


@dataclass(slots=True)
class _Gathered:
    """The hits of one rule."""

    rule: rule_pb2.Rule
    timeline: Timeline
    hits: list[_Hit] = field(default_factory=list)
    session: bool = False


class SessionTimelines:
    """Gathers the hits of one session for all rules with a timeline, then tells which fire."""

    __slots__ = ("_gathered", "_known_ns")

    def __init__(self) -> None:
        self._gathered: dict[str, _Gathered] = {}
        self._known_ns: dict[str, int] = {}

    def __bool__(self) -> bool:
        """Whether any step was met."""
        return bool(self._gathered)

    def take(
        self, rule: rule_pb2.Rule, step: StepOf, event: event_pb2.Event, position: int
    ) -> None:
        """Count a part that meets a step.

        Args:
            rule: The rule.
            step: The step that it meets.
            event: The part, or the session itself.
            position: Place of the event within its session; parts of one kind are in order.
        """
        found = self._gathered.get(rule.rule_id)
        if found is None:
            found = self._gathered[rule.rule_id] = _Gathered(rule, step.timeline)
        if step.number == WHOLE_SESSION:
            found.session = True
            return
        kind = event.source_kind
        counted = position
        readers = step.timeline.steps[step.number].distinct
        if readers:
            values = readers[kind](getattr(event, payload_member(kind)), event)
            if not values:
                return
            counted = hash(exact_text(values[0]) or values[0])
        at_ns = self._moment(kind, event)
        place = at_ns, _RANK[kind], position
        found.hits.append(_Hit(*place, step.number, counted, event.source_id, event.told_before))

    def _moment(self, kind: str, event: event_pb2.Event) -> int:
        """Return when a part was; one without a time stands by the one before it of its kind."""
        if not event.HasField("observe_time"):
            return self._known_ns.get(kind, 0)
        stamp = event.observe_time
        at_ns = self._known_ns[kind] = stamp.seconds * _NANOS + stamp.nanos
        return at_ns

    def fired(self) -> Iterator[TimelineResult]:
        """Yield the rules that fire, in the order of their ids."""
        return filter(None, self.fired_one_by_one())

    def fired_one_by_one(self) -> Iterator[TimelineResult | None]:
        """Yield once for each rule whose steps were all met: itself, or None when it is silent.

        A caller that has other things to do may do them in between.
        """
        for _, found in sorted(self._gathered.items()):
            timeline = found.timeline
            if timeline.session is not None and not found.session:
                continue
            if len({hit.step for hit in found.hits}) < len(timeline.steps):
                continue
            matched, steps = _run(timeline, found.hits)
            yield TimelineResult(found.rule, True, steps) if matched else None

    def result(self, rule: rule_pb2.Rule, timeline: Timeline) -> TimelineResult:
        """Return how the session went by one rule, whether it fires or not."""
        found = self._gathered.get(rule.rule_id) or _Gathered(rule, timeline)
        matched, steps = _run(timeline, found.hits)
        return TimelineResult(rule, matched and (timeline.session is None or found.session), steps)


def _run(timeline: Timeline, hits: Sequence[_Hit]) -> tuple[bool, tuple[StepTaken, ...]]:
    return (_in_order if timeline.ordered else _in_any_order)(timeline, sorted(hits))


def _in_order(timeline: Timeline, hits: Sequence[_Hit]) -> tuple[bool, tuple[StepTaken, ...]]:
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
    return False, _told(timeline, counts, None, done)


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


def _taken(step: StepTaken, hit: _Hit, start_ns: int) -> StepTaken:
    return replace(
        step,
        source_kind=hit.kind,
        source_id=hit.source_id,
        offset_s=(hit.at_ns - start_ns) / _NANOS,
    )


def _within(timeline: Timeline, start_ns: int, end_ns: int) -> bool:
    return timeline.timespan_ns is None or end_ns - start_ns <= timeline.timespan_ns


def _in_any_order(timeline: Timeline, hits: Sequence[_Hit]) -> tuple[bool, tuple[StepTaken, ...]]:
    """Find the first part with which all steps were taken in time."""
    steps = timeline.steps
    recent: list[OrderedDict[int, int]] = [OrderedDict() for _ in steps]
    counts = [0] * len(steps)
    last: list[_Hit | None] = [None] * len(steps)
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
