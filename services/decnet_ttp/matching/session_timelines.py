# SPDX-License-Identifier: AGPL-3.0-or-later
"""What the parts of one session come to for rules with a timeline: the hits, and who fires."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
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


@dataclass(slots=True)
class _Gathered:
    """What the parts of a session come to for one rule.

    Attributes:
        rule: The rule.
        timeline: Its timeline.
        counts: Parts that meet each step.
        session: Whether the session itself fulfils what it must.
        hits: The parts, once they are asked for.
    """

    rule: rule_pb2.Rule
    timeline: Timeline
    counts: list[int]
    session: bool = False
    hits: list[Hit] = field(default_factory=list)

    @property
    def possible(self) -> bool:
        """Whether there are parts enough for each step, in whatever order and time they came."""
        if self.timeline.session is not None and not self.session:
            return False
        return all(
            count >= step.at_least
            for count, step in zip(self.counts, self.timeline.steps, strict=True)
        )


class SessionTimelines:
    """Gathers the hits of one session for all rules with a timeline, then tells which fire.

    Most sessions meet a step of many rules and take all steps of none. So parts are only counted at
    first; their times are read for the rules that have parts enough.
    """

    __slots__ = ("_taken",)

    def __init__(self) -> None:
        self._taken: list[tuple[Sequence[StepMet], event_pb2.Event, int]] = []

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
        gathered = self._count()
        possible = {rule_id: each for rule_id, each in gathered.items() if each.possible}
        if not possible:
            return
        self._read(possible)
        for _, found in sorted(possible.items()):
            matched, steps = take_steps(found.timeline, found.hits)
            yield TimelineResult(found.rule, True, steps) if matched else None

    def result(self, rule: rule_pb2.Rule, timeline: Timeline) -> TimelineResult:
        """Return how the session went by one rule, whether it fires or not."""
        empty = _Gathered(rule, timeline, [0] * len(timeline.steps))
        found = self._count().get(rule.rule_id, empty)
        self._read({rule.rule_id: found})
        matched, steps = take_steps(timeline, found.hits)
        return TimelineResult(rule, matched and (timeline.session is None or found.session), steps)

    def _count(self) -> dict[str, _Gathered]:
        """Return how many parts each rule has for its steps, by its id."""
        times: dict[int, int] = {}
        met: dict[int, StepMet] = {}
        for steps, _, _ in self._taken:
            for each in steps:
                key = id(each.step)
                times[key] = times.get(key, 0) + 1
                met[key] = each
        gathered: dict[str, _Gathered] = {}
        for key, (rule, step) in met.items():
            found = gathered.get(rule.rule_id)
            if found is None:
                empty = [0] * len(step.timeline.steps)
                found = gathered[rule.rule_id] = _Gathered(rule, step.timeline, empty)
            if step.number == WHOLE_SESSION:
                found.session = True
            else:
                found.counts[step.number] += times[key]
        return gathered

    def _read(self, gathered: Mapping[str, _Gathered]) -> None:
        """Read the parts of some rules."""
        known_ns: dict[str, int] = {}
        for steps, event, position in self._taken:
            kind = event.source_kind
            if kind not in _RANK:
                continue
            at_ns = _moment(event, known_ns.get(kind, 0))
            known_ns[kind] = at_ns
            for rule, step in steps:
                found = gathered.get(rule.rule_id)
                if found is None:
                    continue
                key = _counted(step, kind, event, position)
                if key is not None:
                    place = at_ns, _RANK[kind], position, step.number
                    found.hits.append(Hit(*place, key, event.source_id, event.told_before))


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
