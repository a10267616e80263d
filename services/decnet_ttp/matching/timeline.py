# SPDX-License-Identifier: AGPL-3.0-or-later
"""Rules with a timeline: steps that the parts of one session take, in order or not, in some time.

Every part is matched once, together with all other rules of its kind; see `session_timelines` for
what becomes of its hits.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from decnet_ttp.core.source_kinds import SourceKind
from decnet_ttp.matching.conditions import ConditionTree, Intern, compile_condition
from decnet_ttp.matching.fields import Reader, reader
from decnet_ttp.v1 import rule_pb2

#: Kinds of the parts of a session, in the order in which parts of one instant are taken: who logs
#: in types then, and what was typed may bring in a file.
PART_KINDS: Final = (
    SourceKind.AUTH_ATTEMPT,
    SourceKind.HTTP_REQUEST,
    SourceKind.COMMAND,
    SourceKind.PAYLOAD,
)
MAX_STEPS: Final = 16
MAX_AT_LEAST: Final = 1_000

#: Number of what the session itself must fulfil, among the steps.
WHOLE_SESSION: Final = -1


def kinds_read(rule: rule_pb2.Rule) -> tuple[str, ...]:
    """Return the kinds of events a rule reads: those it applies to, and those of its steps."""
    kinds = dict.fromkeys(rule.applies_to)
    for step in rule.timeline.steps:
        kinds.update(dict.fromkeys(part.source_kind for part in step.parts))
    return tuple(kinds)


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """A compiled step.

    Attributes:
        name: Its name.
        at_least: Parts, or different values, that it takes.
        trees: Its condition by kind of part.
        distinct: Reader of the field whose different values count, by kind; empty for parts.
    """

    name: str
    at_least: int
    trees: Mapping[str, ConditionTree]
    distinct: Mapping[str, Reader]


@dataclass(frozen=True, slots=True, eq=False)
class Timeline:
    """A compiled timeline.

    Attributes:
        ordered: Whether each step must be complete before the next counts.
        timespan_ns: Longest time from the first part that counts to the last; None for any.
        session: What the session itself must fulfil.
        steps: The steps.
    """

    ordered: bool
    timespan_ns: int | None
    session: ConditionTree | None
    steps: tuple[Step, ...]

    def members(self) -> Iterator[tuple[str, ConditionTree, StepOf]]:
        """Yield every condition with the kind it reads and the step it belongs to."""
        if self.session is not None:
            yield SourceKind.SESSION, self.session, StepOf(self, WHOLE_SESSION)
        for number, step in enumerate(self.steps):
            for kind, tree in step.trees.items():
                yield kind, tree, StepOf(self, number)


@dataclass(frozen=True, slots=True, eq=False)
class StepOf:
    """A step within its timeline.

    Attributes:
        timeline: The timeline.
        number: Position of the step; -1 for what the session itself must fulfil.
    """

    timeline: Timeline
    number: int


def compile_timeline(message: rule_pb2.Timeline, intern: Intern) -> Timeline:
    """Compile a timeline.

    Args:
        message: The timeline.
        intern: Gives the atom of a key.

    Raises:
        ValueError: No steps or too many, a name that stands twice, a count out of range, a kind
            that no part of a session has, or a condition that cannot be compiled.
    """
    if not 1 <= len(message.steps) <= MAX_STEPS:
        raise ValueError(f"a timeline has 1 to {MAX_STEPS} steps")
    steps = tuple(_step(each, intern) for each in message.steps)
    if len({step.name for step in steps}) != len(steps):
        raise ValueError("two steps of a timeline have one name")
    return Timeline(
        ordered=message.ordered,
        timespan_ns=(
            message.timespan.ToNanoseconds()
            if message.HasField("timespan") and message.timespan.ToNanoseconds() > 0
            else None
        ),
        session=(
            compile_condition(message.session, intern) if message.HasField("session") else None
        ),
        steps=steps,
    )


def _step(message: rule_pb2.TimelineStep, intern: Intern) -> Step:
    at_least = message.at_least or 1
    if not 1 <= at_least <= MAX_AT_LEAST:
        raise ValueError(f"step {message.name}: at_least is 1 to {MAX_AT_LEAST}")
    trees: dict[str, ConditionTree] = {}
    for part in message.parts:
        if part.source_kind not in PART_KINDS or part.source_kind in trees:
            raise ValueError(f"step {message.name}: its parts are of {', '.join(PART_KINDS)}, once")
        trees[part.source_kind] = compile_condition(part.condition, intern)
    if not trees:
        raise ValueError(f"step {message.name}: no part takes it")
    name = message.distinct_field
    distinct = {kind: reader(kind, name) for kind in trees} if name else {}
    return Step(message.name, at_least, trees, distinct)
