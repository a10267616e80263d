# SPDX-License-Identifier: AGPL-3.0-or-later
"""A pack of rules, compiled: immutable, replaced whole, cheap to derive from the one before."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import re2

from decnet_ttp.matching.atoms import Atom, AtomKey
from decnet_ttp.matching.conditions import ConditionTree, compile_condition
from decnet_ttp.matching.errors import RuleInvalidError
from decnet_ttp.matching.evaluator import KindEvaluator, Match
from decnet_ttp.v1 import event_pb2, rule_pb2


@dataclass(frozen=True, slots=True, eq=False)
class CompiledRule:
    """A rule with its compiled condition.

    Attributes:
        rule: The rule; not to be changed.
        tree: Its condition.
        definition: Bytes of the condition, by which an unchanged one is known.
    """

    rule: rule_pb2.Rule
    tree: ConditionTree
    definition: bytes


class RulePack:
    """Rules whose match is a condition, compiled for evaluation.

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
            known = {atom.key: atom for c in previous.rules.values() for atom in c.tree.atoms}
        compiled: dict[str, CompiledRule] = {}
        for rule in sorted(rules, key=lambda each: each.rule_id):
            if rule.WhichOneof("match") != "condition":
                continue
            if rule.rule_id in compiled:
                raise RuleInvalidError(rule.rule_id, "the id is taken twice; rename one")
            older = previous.rules.get(rule.rule_id) if previous is not None else None
            compiled[rule.rule_id] = _compile_rule(rule, known, older)
        kinds: dict[str, list[CompiledRule]] = {}
        for each in compiled.values():
            for kind in each.rule.applies_to:
                kinds.setdefault(kind, []).append(each)
        older_evaluators = previous._evaluators if previous is not None else {}  # noqa: SLF001 - same class
        evaluators = {
            kind: KindEvaluator(
                kind, [(each.rule, each.tree) for each in members], older_evaluators.get(kind)
            )
            for kind, members in kinds.items()
        }
        return cls(compiled, evaluators)

    @property
    def source_kinds(self) -> frozenset[str]:
        """Kinds that some rule reads."""
        return frozenset(self._evaluators)

    def evaluate(self, event: event_pb2.Event) -> list[Match]:
        """Return the rules that fire on an event, in the order of their ids."""
        evaluator = self._evaluators.get(event.source_kind)
        return evaluator.evaluate(event) if evaluator is not None else []


def _compile_rule(
    rule: rule_pb2.Rule, known: dict[AtomKey, Atom], older: CompiledRule | None
) -> CompiledRule:
    definition = rule.condition.SerializeToString(deterministic=True)
    if older is not None and older.definition == definition:
        return CompiledRule(rule, older.tree, definition)

    def intern(key: AtomKey) -> Atom:
        atom = known.get(key)
        if atom is None:
            atom = known[key] = Atom(key)
        return atom

    try:
        tree = compile_condition(rule.condition, intern)
    except (ValueError, re2.error) as error:
        raise RuleInvalidError(rule.rule_id, f"{error}; correct its `match`") from error
    if not rule.applies_to:
        raise RuleInvalidError(rule.rule_id, "it applies to no source kind; name one")
    return CompiledRule(rule, tree, definition)


def check(rule: rule_pb2.Rule) -> None:
    """Compile one rule alone, to see whether it can be.

    Raises:
        RuleInvalidError: It cannot.
    """
    RulePack.compile([rule])
