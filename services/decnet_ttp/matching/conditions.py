# SPDX-License-Identifier: AGPL-3.0-or-later
"""The boolean tree of a rule, evaluated on the set of atoms that held."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

import re2

from decnet_ttp.matching.atoms import Atom, AtomKey, atom_key
from decnet_ttp.matching.pattern_set import PatternSet
from decnet_ttp.v1 import rule_pb2

#: Deepest nesting of conditions, the root being 1.
MAX_DEPTH: Final = 16

#: Atoms that held, with where.
Hits = Mapping[Atom, Any]
Test = Callable[[Hits], bool]

#: Returns the one atom of a key.
Intern = Callable[[AtomKey], Atom]


@dataclass(frozen=True, slots=True, eq=False)
class ConditionTree:
    """A compiled condition.

    Attributes:
        holds: Evaluates it on the atoms that held.
        atoms: Every atom it reads.
        positive: Those outside every negation, in order: what can be shown as a reason.
        holds_on_nothing: Whether it holds when no atom does, as `not` can.
        any_atom_suffices: Whether a single atom of it always makes it hold.
    """

    holds: Test
    atoms: frozenset[Atom]
    positive: tuple[Atom, ...]
    holds_on_nothing: bool
    any_atom_suffices: bool


def compile_condition(condition: rule_pb2.Condition, intern: Intern) -> ConditionTree:
    """Compile a condition.

    Args:
        condition: The condition.
        intern: Gives the atom of a key.

    Raises:
        ValueError: A condition without members, a field condition that tests nothing, a network
            that is none, a pattern outside RE2's syntax, or nesting that is too deep.
    """
    atoms: dict[Atom, None] = {}
    positive: dict[Atom, None] = {}
    holds, plain = _compile(condition, intern, atoms, positive, negated=False, depth=1)
    return ConditionTree(
        holds=holds,
        atoms=frozenset(atoms),
        positive=tuple(positive),
        holds_on_nothing=holds({}),
        any_atom_suffices=plain,
    )


def _compile(
    condition: rule_pb2.Condition,
    intern: Intern,
    atoms: dict[Atom, None],
    positive: dict[Atom, None],
    *,
    negated: bool,
    depth: int,
) -> tuple[Test, bool]:
    """Return the test, and whether it is a mere choice of atoms."""
    if depth > MAX_DEPTH:
        raise ValueError(f"conditions nest deeper than {MAX_DEPTH}")
    match condition.WhichOneof("condition"):
        case "field":
            atom = intern(atom_key(condition.field))
            _check_expression(atom)
            atoms[atom] = None
            if not negated:
                positive[atom] = None
            return (lambda hits: atom in hits), True
        case "not":
            inner, _ = _compile(
                getattr(condition, "not"),
                intern,
                atoms,
                positive,
                negated=not negated,
                depth=depth + 1,
            )
            return (lambda hits: not inner(hits)), False
        case "all" | "any" as combination:
            members = getattr(condition, combination).conditions
            if not members:
                raise ValueError(f"`{combination}` needs at least one condition")
            compiled = [
                _compile(member, intern, atoms, positive, negated=negated, depth=depth + 1)
                for member in members
            ]
            tests = [test for test, _ in compiled]
            if len(compiled) == 1:
                return compiled[0]
            if combination == "all":
                return (lambda hits: all(test(hits) for test in tests)), False
            return (lambda hits: any(test(hits) for test in tests)), all(p for _, p in compiled)
        case _:
            raise ValueError("an empty condition")


def _check_expression(atom: Atom) -> None:
    if atom.expression is None:
        return
    try:
        matches_empty = atom.regexp.search(b"") is not None
    except re2.error as error:
        raise ValueError(f"`{atom.label[:80]}` is no pattern of RE2 ({_reason(error)})") from error
    try:
        PatternSet([atom.expression])
    except re2.error as error:
        raise ValueError(f"`{atom.label[:80]}` is too large; count fewer repetitions") from error
    if matches_empty:
        raise ValueError(f"`{atom.label[:80]}` matches the empty text and so everything")


def _reason(error: re2.error) -> str:
    what = error.args[0] if error.args else ""
    return what.decode(errors="replace") if isinstance(what, bytes) else str(what)


def tested_fields(condition: rule_pb2.Condition) -> Collection[str]:
    """Return the names of all fields that a condition reads."""
    match condition.WhichOneof("condition"):
        case "field":
            return set(condition.field.fields)
        case "not":
            return tested_fields(getattr(condition, "not"))
        case "all" | "any" as combination:
            members = getattr(condition, combination).conditions
            return {name for member in members for name in tested_fields(member)}
        case _:
            return set()
