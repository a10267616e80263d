# SPDX-License-Identifier: AGPL-3.0-or-later
"""Checks that need more than one part of a rule: fields against kinds, depth, examples."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any, Final, NamedTuple

from decnet_ttp.matching.fields import EXTRA_PREFIX
from decnet_ttp.rule_store.document import (
    MAX_CONDITION_DEPTH,
    AllOf,
    AnyOf,
    FieldTest,
    LifterMatch,
    Negation,
    RuleDocument,
)
from decnet_ttp.rule_store.payload_fields import (
    DEFAULT_FIELD,
    FieldType,
    field_names,
    find_field,
)

Path = tuple[str | int, ...]
ConditionModel = AllOf | AnyOf | Negation | FieldTest


class Finding(NamedTuple):
    """A fault of a rule that is well-formed."""

    path: Path
    message: str


_TEXT: Final = frozenset[FieldType]({"text", "list of text", "map of text"})
_FITTING: Final[dict[str, frozenset[FieldType]]] = {
    "pattern": _TEXT,
    "contains": _TEXT,
    "cidr": frozenset({"text", "list of text"}),
    "compare": frozenset({"number", "list of numbers"}),
    "is": frozenset({"boolean"}),
}
_ADVICE: Final[dict[FieldType, str]] = {
    "number": "gt, gte, lt, lte, equals, in_set",
    "list of numbers": "gt, gte, lt, lte, in_set",
    "boolean": "is",
    "text": "pattern, contains, equals, in_set, cidr",
    "list of text": "pattern, contains, equals, in_set, cidr",
    "map of text": "pattern, contains, or one key of it as `name.key`",
}


def check_rule(rule: RuleDocument) -> Iterator[Finding]:
    """Yield every fault that the form alone does not show."""
    yield from _check_repeats(("applies_to",), rule.applies_to)
    yield from _check_emissions(rule)
    if not isinstance(rule.match, LifterMatch):
        for path, test, depth in field_tests(rule.match, ("match",)):
            if depth > MAX_CONDITION_DEPTH:
                yield Finding(path, f"conditions nest {depth} deep; allowed: {MAX_CONDITION_DEPTH}")
            yield from _check_test(rule, path, test)
        for n, name in enumerate(rule.evidence_fields):
            yield from _check_name(rule, ("evidence_fields", n), name)
    yield from _check_examples(rule)


def field_tests(
    condition: ConditionModel, path: Path, depth: int = 1
) -> Iterator[tuple[Path, FieldTest, int]]:
    """Yield every field test below a condition with its path and its depth, the root being 1."""
    match condition:
        case AllOf(all=members):
            key = "all"
        case AnyOf(any=members):
            key = "any"
        case Negation(not_=member):
            yield from field_tests(member, (*path, "not"), depth + 1)
            return
        case FieldTest():
            yield path, condition, depth
            return
    for n, member in enumerate(members):
        yield from field_tests(member, (*path, key, n), depth + 1)


def fields_of(rule: RuleDocument, test: FieldTest) -> list[str]:
    """Return the fields a test reads; without any named, the default field of each kind."""
    if test.field is not None:
        return [test.field]
    if test.fields is not None:
        return test.fields
    return list(dict.fromkeys(DEFAULT_FIELD[k] for k in rule.applies_to if k in DEFAULT_FIELD))


def _check_repeats(path: Path, values: list[str]) -> Iterator[Finding]:
    for n, value in enumerate(values):
        if value in values[:n]:
            yield Finding((*path, n), f"`{value}` stands twice; keep one")


def _check_emissions(rule: RuleDocument) -> Iterator[Finding]:
    seen: set[tuple[str, str | None]] = set()
    for n, emission in enumerate(rule.emits):
        # The tactic is no part of a tag's identity, so two tactics would be one tag.
        key = (emission.technique_id, emission.sub_technique_id)
        if key in seen:
            yield Finding(
                ("emits", n), f"{emission.deepest_id} is emitted twice; keep one, with one tactic"
            )
        seen.add(key)


def _check_test(rule: RuleDocument, path: Path, test: FieldTest) -> Iterator[Finding]:
    operator = test.operators[0]
    if test.field is not None:
        named: list[tuple[Path, str]] = [((*path, "field"), test.field)]
    elif test.fields is not None:
        named = [((*path, "fields", n), name) for n, name in enumerate(test.fields)]
    else:
        without = [kind for kind in rule.applies_to if kind not in DEFAULT_FIELD]
        if without:
            yield Finding(path, f"name a `field`; {', '.join(without)} has no default field")
        return
    for place, name in named:
        yield from _check_name(rule, place, name, operator)


def _check_name(
    rule: RuleDocument, path: Path, name: str, operator: str | None = None
) -> Iterator[Finding]:
    if name.startswith(EXTRA_PREFIX):
        return
    found = [field for kind in rule.applies_to if (field := find_field(kind, name)) is not None]
    if not found:
        known = [field for kind in rule.applies_to for field in field_names(kind)]
        close = get_close_matches(name, known, n=1)
        meant = f"did you mean `{close[0]}`? " if close else ""
        kinds = ", ".join(rule.applies_to)
        yield Finding(
            path,
            f"{kinds} has no field `{name}`; {meant}allowed: {', '.join(dict.fromkeys(known))}, "
            f"or {EXTRA_PREFIX}<name> for what a producer sends beside these",
        )
        return
    if operator in _FITTING and all(field.type not in _FITTING[operator] for field in found):
        yield Finding(
            path,
            f"`{name}` is a {found[0].type}, which `{operator}` cannot test; "
            f"allowed: {_ADVICE[found[0].type]}",
        )


def _check_examples(rule: RuleDocument) -> Iterator[Finding]:
    emitted = {emission.deepest_id for emission in rule.emits}
    examples: list[tuple[Path, Any]] = [
        (("tests", part, n), example)
        for part in ("match", "no_match")
        for n, example in enumerate(getattr(rule.tests, part))
    ]
    for path, example in examples:
        kind = example.source_kind or rule.applies_to[0]
        if kind not in rule.applies_to:
            allowed = ", ".join(rule.applies_to)
            message = f"the rule does not apply to {kind}; allowed: {allowed}"
            yield Finding((*path, "source_kind"), message)
        for n, technique in enumerate(getattr(example, "techniques", ())):
            if technique not in emitted:
                allowed = ", ".join(sorted(emitted))
                message = f"the rule does not emit {technique[:32]}; allowed: {allowed}"
                yield Finding((*path, "techniques", n), message)
