# SPDX-License-Identifier: AGPL-3.0-or-later
"""A pack of rules, compiled: immutable, replaced whole, cheap to derive from the one before."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import re2

from decnet_ttp.core.source_kinds import SourceKind
from decnet_ttp.matching.atoms import Atom, AtomKey
from decnet_ttp.matching.conditions import ConditionTree, compile_condition
from decnet_ttp.matching.errors import RuleInvalidError
from decnet_ttp.matching.evaluator import KindEvaluator, Match, Member
from decnet_ttp.matching.session_timelines import SessionTimelines, StepMet, TimelineResult
from decnet_ttp.matching.timeline import Timeline, compile_timeline, kinds_read
from decnet_ttp.v1 import event_pb2, rule_pb2


@dataclass(frozen=True, slots=True, eq=False)
class CompiledRule:
    """A rule with its compiled condition or timeline.

    Attributes:
        rule: The rule; not to be changed.
        tree: Its condition, or its timeline.
        definition: Bytes of either, by which an unchanged one is known.
    """

    rule: rule_pb2.Rule
    tree: ConditionTree | Timeline
    definition: bytes

    def members(self) -> Iterator[tuple[str, Member]]:
        """Yield its conditions with the kinds they read."""
        if isinstance(self.tree, Timeline):
            for kind, tree, step in self.tree.members():
                yield kind, Member(self.rule, tree, step)
            return
        for kind in self.rule.applies_to:
            yield kind, Member(self.rule, self.tree)


class RulePack:
    """Rules whose match is a condition or a timeline, compiled for evaluation.

    Attributes:
        rules: The compiled rules by id, in the order of their ids.
    """

    __slots__ = ("_evaluators", "rules")

    def __init__(
        self, rules: Mapping[str, CompiledRule], evaluators: Mapping[str, KindEvaluator]
    ) -> None:
        self.rules = MappingProxyType(dict(rules))
        self._evaluators = MappingProxyType(dict(evaluators))

    @classmethod
    def compile(cls, rules: Iterable[rule_pb2.Rule], previous: RulePack | None = None) -> RulePack:
        """Compile rules; those that a lifter's predicate decides are left out.

        Args:
            rules: The rules, each id once.
            previous: An older pack; what did not change is taken from it.

        Raises:
            RuleInvalidError: A rule cannot be compiled; `check` asks about one beforehand.
        """
        known: dict[AtomKey, Atom] = {}
        if previous is not None:
            known = {
                atom.key: atom
                for compiled_before in previous.rules.values()
                for _, member in compiled_before.members()
                for atom in member.tree.atoms
            }
        compiled: dict[str, CompiledRule] = {}
        for rule in sorted(rules, key=lambda each: each.rule_id):
            if rule.WhichOneof("match") not in {"condition", "timeline"}:
                continue
            if rule.rule_id in compiled:
                raise RuleInvalidError(rule.rule_id, "the id is taken twice; rename one")
            older = previous.rules.get(rule.rule_id) if previous is not None else None
            compiled[rule.rule_id] = _compile_rule(rule, known, older)
        kinds: dict[str, list[Member]] = {}
        for each in compiled.values():
            for kind in kinds_read(each.rule):
                kinds.setdefault(kind, [])
            for kind, member in each.members():
                kinds[kind].append(member)
        older_evaluators = previous._evaluators if previous is not None else {}  # noqa: SLF001 - same class
        evaluators = {
            kind: KindEvaluator(kind, members, older_evaluators.get(kind))
            for kind, members in kinds.items()
        }
        return cls(compiled, evaluators)

    @property
    def source_kinds(self) -> frozenset[str]:
        """Kinds that some rule reads."""
        return frozenset(self._evaluators)

    def fields_read(self, kind: str) -> frozenset[str]:
        """Return what the conditions on a kind read: typed fields, and others as `extra.name`."""
        evaluator = self._evaluators.get(kind)
        return frozenset() if evaluator is None else evaluator.fields_read

    def evaluate(self, event: event_pb2.Event) -> list[Match]:
        """Return the rules that fire on an event alone, in the order of their ids."""
        return [match for match in self.matches(event) if match.step is None]

    def matches(self, event: event_pb2.Event) -> list[Match]:
        """Return the rules that fire on an event, and the steps of timelines that it takes."""
        evaluator = self._evaluators.get(event.source_kind)
        return evaluator.evaluate(event) if evaluator is not None else []

    def timelines(self, events: Sequence[event_pb2.Event]) -> SessionTimelines:
        """Return what a session's events come to for the rules with a timeline."""
        found = SessionTimelines()
        for position, event in enumerate(events):
            steps = [
                StepMet(match.rule, match.step)
                for match in self.matches(event)
                if match.step is not None
            ]
            if steps:
                found.take(steps, event, position)
        return found

    def result(self, rule_id: str, events: Sequence[event_pb2.Event]) -> TimelineResult:
        """Return how a session went by one rule with a timeline.

        Raises:
            KeyError: The pack has no such rule.
            TypeError: It has no timeline.
        """
        compiled = self.rules[rule_id]
        if not isinstance(compiled.tree, Timeline):
            raise TypeError(f"rule {rule_id} has no timeline")
        return self.timelines(events).result(compiled.rule, compiled.tree)


def _compile_rule(
    rule: rule_pb2.Rule, known: dict[AtomKey, Atom], older: CompiledRule | None
) -> CompiledRule:
    form = rule.WhichOneof("match")
    matched = rule.timeline if form == "timeline" else rule.condition
    definition = str(form).encode() + matched.SerializeToString(deterministic=True)
    if older is not None and older.definition == definition:
        return CompiledRule(rule, older.tree, definition)

    def intern(key: AtomKey) -> Atom:
        atom = known.get(key)
        if atom is None:
            atom = known[key] = Atom(key)
        return atom

    try:
        tree: ConditionTree | Timeline
        if form == "timeline":
            tree = compile_timeline(rule.timeline, intern)
        else:
            tree = compile_condition(rule.condition, intern)
    except (ValueError, re2.error) as error:
        raise RuleInvalidError(rule.rule_id, f"{error}; correct its `match`") from error
    if not rule.applies_to:
        raise RuleInvalidError(rule.rule_id, "it applies to no source kind; name one")
    if form == "timeline" and list(rule.applies_to) != [SourceKind.SESSION]:
        raise RuleInvalidError(
            rule.rule_id,
            "a rule with a timeline reads whole sessions; write applies_to: [session]",
            path=("applies_to",),
        )
    return CompiledRule(rule, tree, definition)


def check(rule: rule_pb2.Rule) -> None:
    """Compile one rule alone, to see whether it can be.

    Raises:
        RuleInvalidError: It cannot.
    """
    RulePack.compile([rule])
