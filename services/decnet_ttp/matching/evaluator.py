# SPDX-License-Identifier: AGPL-3.0-or-later
"""Evaluation of all rules of one source kind on one event.

Each field that any rule reads is read once. All text tests of a field are one pattern set, all
exact tests one look-up; only the rules that something touched are evaluated then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from decnet_ttp.matching.atoms import Atom, exact_text
from decnet_ttp.matching.conditions import ConditionTree
from decnet_ttp.matching.fields import (
    EXTRA_PREFIX,
    MAX_HAYSTACK_CHARS,
    Reader,
    Scalar,
    parts_read,
    payload_member,
    reader,
)
from decnet_ttp.matching.pattern_set import PatternSet
from decnet_ttp.matching.timeline import StepOf
from decnet_ttp.v1 import event_pb2, rule_pb2

#: Longest text shown as the reason of a match, in characters.
MAX_TOKEN_CHARS: Final = 256


class Span(NamedTuple):
    """Where an atom held.

    Attributes:
        field: The field.
        start: First character, counted from 0.
        end: Character after the last.
        text: What stands there, cut at 256 characters.
        label: What was asked for.
    """

    field: str
    start: int
    end: int
    text: str
    label: str


@dataclass(frozen=True, slots=True, eq=False)
class Match:
    """A rule that fired, or a step of its timeline that an event takes.

    Attributes:
        rule: The rule.
        tree: Its condition.
        hits: All atoms that held on the event (of any rule), with field and value.
        step: The step of the rule's timeline that the event takes; None for a rule that fires.
    """

    rule: rule_pb2.Rule
    tree: ConditionTree
    hits: Mapping[Atom, tuple[str, Scalar]]
    step: StepOf | None = None

    def spans(self) -> Iterator[Span]:
        """Yield the reasons: each atom of the rule that held outside a negation."""
        for atom in self.tree.positive:
            hit = self.hits.get(atom)
            if hit is not None:
                yield span_of(atom, *hit)


def span_of(atom: Atom, field: str, value: Scalar) -> Span:
    """Return where an atom held in a value that it is known to hold on."""
    text = value if isinstance(value, str) else str(exact_text(value) or str(value).lower())
    if atom.expression is None:
        return Span(field, 0, len(text), text[:MAX_TOKEN_CHARS], atom.label)
    encoded = text[:MAX_HAYSTACK_CHARS].encode()
    found = atom.regexp.search(encoded)
    if found is None:
        # Only a set and a single pattern that disagree lead here; the match itself stands.
        return Span(field, 0, 0, "", atom.label)
    first, last = found.span()
    token = encoded[first : min(last, first + 4 * MAX_TOKEN_CHARS)].decode(errors="ignore")
    start = len(encoded[:first].decode(errors="ignore"))
    length = len(encoded[first:last].decode(errors="ignore"))
    return Span(field, start, start + length, token[:MAX_TOKEN_CHARS], atom.label)


class _FieldGroup:
    """All atoms that read one field of one kind."""

    __slots__ = (
        "_looked_up",
        "exact",
        "exact_folded",
        "expressions",
        "field",
        "patterns",
        "predicates",
        "read",
        "sent_only",
    )

    def __init__(
        self, kind: str, field: str, atoms: Sequence[Atom], previous: _FieldGroup | None
    ) -> None:
        self.field = field
        self.read: Reader = reader(kind, field)
        self.expressions: dict[str, list[Atom]] = {}
        self.exact: dict[str, list[Atom]] = {}
        self.exact_folded: dict[str, list[Atom]] = {}
        self.predicates: list[tuple[Callable[[Scalar], bool], Atom]] = []
        for atom in atoms:
            if atom.expression is not None:
                self.expressions.setdefault(atom.expression, []).append(atom)
            elif atom.holds is not None:
                self.predicates.append((atom.holds, atom))
            else:
                index = self.exact_folded if atom.key.ignore_case else self.exact
                for value in atom.exact:
                    index.setdefault(value, []).append(atom)
        self._looked_up = bool(self.exact or self.exact_folded)
        parts = parts_read(kind, field)
        self.sent_only = all(part.startswith(EXTRA_PREFIX) for part in parts)
        self.patterns: PatternSet | None = None
        if self.expressions:
            older = previous.patterns if previous is not None else None
            self.patterns = PatternSet(list(self.expressions), older)

    def collect(
        self, payload: Any, event: event_pb2.Event, hits: dict[Atom, tuple[str, Scalar]]
    ) -> None:
        """Add the atoms that hold on this field of an event."""
        for value in self.read(payload, event):
            if isinstance(value, str):
                self._collect_text(value, hits)
            elif self._looked_up:
                self._collect_exact(value, exact_text(value), hits)
            for holds, atom in self.predicates:
                if holds(value):
                    hits.setdefault(atom, (self.field, value))

    def _collect_text(self, value: str, hits: dict[Atom, tuple[str, Scalar]]) -> None:
        if self.patterns is not None:
            found = self.patterns.match(value[:MAX_HAYSTACK_CHARS].encode())
            if found:
                hit = (self.field, value)
                for expression in found:
                    for atom in self.expressions[expression]:
                        hits.setdefault(atom, hit)
        if self._looked_up:
            self._collect_exact(value, value, hits)

    def _collect_exact(
        self, value: Scalar, text: str | None, hits: dict[Atom, tuple[str, Scalar]]
    ) -> None:
        if text is None:
            return
        for atom in self.exact.get(text, ()):
            hits.setdefault(atom, (self.field, value))
        if self.exact_folded:
            for atom in self.exact_folded.get(text.casefold(), ()):
                hits.setdefault(atom, (self.field, value))


class Member(NamedTuple):
    """A condition that is evaluated on the events of a kind.

    Attributes:
        rule: The rule it belongs to.
        tree: The condition.
        step: The step of the rule's timeline it belongs to; None where it is the whole match.
    """

    rule: rule_pb2.Rule
    tree: ConditionTree
    step: StepOf | None = None


class KindEvaluator:
    """All rules of one source kind; immutable.

    Args:
        kind: The source kind.
        rules: Their conditions, in the order in which matches are to come.
        previous: An older evaluator of the kind, whose pattern sets are used again.
    """

    __slots__ = ("_always", "_groups", "_kind", "_member", "_rules", "_touching", "_typed")

    def __init__(
        self,
        kind: str,
        rules: Sequence[Member],
        previous: KindEvaluator | None = None,
    ) -> None:
        self._kind = kind
        self._member = payload_member(kind)
        self._rules = tuple(rules)
        self._always = frozenset(
            number for number, member in enumerate(rules) if member.tree.holds_on_nothing
        )
        touching: dict[Atom, list[int]] = {}
        by_field: dict[str, dict[Atom, None]] = {}
        for number, member in enumerate(rules):
            for atom in sorted(member.tree.atoms, key=lambda each: repr(each.key)):
                touching.setdefault(atom, []).append(number)
                for field in atom.key.fields:
                    by_field.setdefault(field, {})[atom] = None
        self._touching = touching
        older = {} if previous is None else previous.groups
        self._groups: tuple[_FieldGroup, ...] = tuple(
            _FieldGroup(kind, field, list(atoms), older.get(field))
            for field, atoms in by_field.items()
        )
        # Most events have nothing beside their typed fields.
        self._typed = tuple(
            group for group in self._groups if self._member == "other" or not group.sent_only
        )

    @property
    def groups(self) -> dict[str, _FieldGroup]:
        """What is evaluated per field."""
        return {group.field: group for group in self._groups}

    @property
    def fields_read(self) -> frozenset[str]:
        """Fields that the conditions read: typed ones, and others as `extra.name`."""
        return frozenset().union(*(parts_read(self._kind, each.field) for each in self._groups))

    def evaluate(self, event: event_pb2.Event) -> list[Match]:
        """Return the rules that fire and the steps that are taken, in order."""
        payload = getattr(event, self._member)
        hits: dict[Atom, tuple[str, Scalar]] = {}
        for group in self._groups if event.HasField("extra") else self._typed:
            group.collect(payload, event, hits)
        if not hits and not self._always:
            return []
        touching = self._touching
        candidates = set(self._always)
        for atom in hits:
            candidates.update(touching[atom])
        found = []
        for number in sorted(candidates):
            rule, tree, step = self._rules[number]
            if tree.any_atom_suffices or tree.holds(hits):
                found.append(Match(rule, tree, hits, step))
        return found
