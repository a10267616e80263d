# SPDX-License-Identifier: AGPL-3.0-or-later
"""What the parts of one session come to for rules with a timeline: the hits, and who fires."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from operator import attrgetter, itemgetter
from typing import Final, NamedTuple

from decnet_ttp.matching.atoms import exact_text
from decnet_ttp.matching.fields import payload_member
from decnet_ttp.matching.step_runs import NANOS, Hit, StepTaken, take_steps
from decnet_ttp.matching.timeline import PART_KINDS, WHOLE_SESSION, StepOf, Timeline
from decnet_ttp.v1 import event_pb2, rule_pb2

_RANK: Final[Mapping[str, int]] = {kind: rank for rank, kind in enumerate(PART_KINDS)}


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


class StepMet(NamedTuple):
    """A step that a part meets.

    Attributes:
        rule: The rule.
        step: The step of its timeline.
    """

    rule: rule_pb2.Rule
    step: StepOf


_Taken = tuple[Sequence[StepMet], event_pb2.Event, int]
_STEP: Final[Callable[[StepMet], StepOf]] = attrgetter("step")
_STEPS: Final[Callable[[_Taken], Sequence[StepMet]]] = itemgetter(0)


@dataclass(slots=True)
class _Gathered:
    """What the parts of a session come to for one rule.

    Attributes:
        rule: The rule.
        timeline: Its timeline.
        session: Whether the session itself fulfils what it must.
        hits: The parts that meet its steps.
    """

    rule: rule_pb2.Rule
    timeline: Timeline
    session: bool = False
    hits: list[Hit] = field(default_factory=list)

    def outcome(self, *, silent: bool) -> TimelineResult:
        """Return how the session went.

        Args:
            silent: Whether the steps are told even if the rule does not fire.
        """
        matched, steps = take_steps(self.timeline, self.hits, silent=silent)
        fulfilled = self.timeline.session is None or self.session
        return TimelineResult(self.rule, matched and fulfilled, steps)


class SessionTimelines:
    """Gathers the hits of one session for all rules with a timeline, then tells which fire.

    Most sessions meet a step of many rules and take all steps of none. So parts are only counted at
    first; their times are read for the timelines that have parts enough.
    """

    __slots__ = ("_taken",)

    def __init__(self) -> None:
        self._taken: list[_Taken] = []

    def __bool__(self) -> bool:
        """Whether any step was met."""
        return bool(self._taken)

    def take(self, steps: Sequence[StepMet], event: event_pb2.Event, position: int) -> None:
        """Count a part that meets steps.

        Args:
            steps: The steps that it meets.
            event: The part, or the session itself.
            position: Place of the event within its session; parts of one kind are in order.
        """
        self._taken.append((steps, event, position))

    def fired(self) -> Iterator[TimelineResult]:
        """Yield the rules that fire, in the order of their ids."""
        return filter(None, self.fired_one_by_one())

    def fired_one_by_one(self) -> Iterator[TimelineResult | None]:
        """Yield once for each rule that has parts enough: itself, or None when it is silent.

        A caller that has other things to do may do them in between.
        """
        possible = self._possible()
        if not possible:
            return
        for _, found in sorted(self._read(possible).items()):
            result = found.outcome(silent=False)
            yield result if result.matched else None

    def result(self, rule: rule_pb2.Rule, timeline: Timeline) -> TimelineResult:
        """Return how the session went by one rule, whether it fires or not."""
        found = self._read({timeline}).get(rule.rule_id, _Gathered(rule, timeline))
        return found.outcome(silent=True)

    def _possible(self) -> set[Timeline]:
        """Return the timelines with parts enough for each step, in whatever order and time."""
        times = Counter(map(_STEP, chain.from_iterable(map(_STEPS, self._taken))))
        by_timeline: dict[Timeline, dict[int, int]] = {}
        for step, count in times.items():
            counts = by_timeline.get(step.timeline)
            if counts is None:
                counts = by_timeline[step.timeline] = {}
            counts[step.number] = counts.get(step.number, 0) + count
        return {timeline for timeline, counts in by_timeline.items() if _enough(timeline, counts)}

    def _read(self, timelines: Container[Timeline]) -> dict[str, _Gathered]:
        """Return what the parts come to for the rules with some timelines, by their ids."""
        gathered: dict[str, _Gathered] = {}
        known_ns: dict[str, int] = {}
        for steps, event, position in self._taken:
            kind = event.source_kind
            at_ns = known_ns[kind] = _moment(event, known_ns.get(kind, 0))
            for rule, step in steps:
                if step.timeline not in timelines:
                    continue
                found = gathered.get(rule.rule_id)
                if found is None:
                    found = gathered[rule.rule_id] = _Gathered(rule, step.timeline)
                if step.number == WHOLE_SESSION:
                    found.session = True
                    continue
                key = _counted(step, kind, event, position)
                if key is not None:
                    place = at_ns, _RANK[kind], position, step.number
                    found.hits.append(Hit(*place, key, event.source_id, event.told_before))
        return gathered


def _enough(timeline: Timeline, counts: Mapping[int, int]) -> bool:
    # As many numbers as there are steps: each is met, and the session is where it matters.
    if len(counts) < len(timeline.steps) + (timeline.session is not None):
        return False
    return all(counts[number] >= step.at_least for number, step in enumerate(timeline.steps))


def _moment(event: event_pb2.Event, before_ns: int) -> int:
    """Return when a part was; one without a time stands by the one before it of its kind."""
    if not event.HasField("observe_time"):
        return before_ns
    return event.observe_time.seconds * NANOS + event.observe_time.nanos


def _counted(step: StepOf, kind: str, event: event_pb2.Event, position: int) -> int | None:
    """Return what a part is told apart by; None for one without the value that counts."""
    readers = step.timeline.steps[step.number].distinct
    if not readers:
        return position
    values = readers[kind](getattr(event, payload_member(kind)), event)
    return hash(exact_text(values[0]) or values[0]) if values else None
