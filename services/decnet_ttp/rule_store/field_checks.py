# SPDX-License-Identifier: AGPL-3.0-or-later
"""Checks that need more than one part of a rule: fields against kinds, depth, examples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from typing import Any, Final, NamedTuple

from decnet_ttp.core.source_kinds import SourceKind
from decnet_ttp.matching.fields import EXTRA_PREFIX
from decnet_ttp.rule_store.conditions import (
    MAX_CONDITION_DEPTH,
    AllOf,
    AnyOf,
    FieldTest,
    Negation,
)
from decnet_ttp.rule_store.document import LifterMatch, RuleDocument
from decnet_ttp.rule_store.payload_fields import (
    DEFAULT_FIELD,
    FieldType,
    field_names,
    find_field,
)
from decnet_ttp.rule_store.timelines import TimelineMatch

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
    if isinstance(rule.match, TimelineMatch):
        yield from _check_timeline(rule, rule.match)
    elif not isinstance(rule.match, LifterMatch):
        yield from _check_condition(rule.applies_to, rule.match, ("match",))
        for n, name in enumerate(rule.evidence_fields):
            yield from _check_name(rule.applies_to, ("evidence_fields", n), name)
    yield from _check_examples(rule)


def _check_timeline(rule: RuleDocument, timeline: TimelineMatch) -> Iterator[Finding]:
    if rule.applies_to != [SourceKind.SESSION]:
        message = "a rule with steps reads whole sessions; write applies_to: [session]"
        yield Finding(("applies_to",), message)
    if rule.evidence_fields:
        message = "evidence of a rule with steps shows its steps and no fields; take them out"
        yield Finding(("evidence_fields",), message)
    if timeline.session is not None:
        yield from _check_condition([SourceKind.SESSION], timeline.session, ("match", "session"))
    for n, step in enumerate(timeline.steps):
        path: Path = ("match", "steps", n)
        for kind, condition in step.parts.items():
            yield from _check_condition([kind], condition, (*path, kind))
            if step.distinct is not None:
                yield from _check_name([kind], (*path, "distinct"), step.distinct)


def _check_condition(
    kinds: Sequence[str], condition: ConditionModel, path: Path
) -> Iterator[Finding]:
    for place, test, depth in field_tests(condition, path):
        if depth > MAX_CONDITION_DEPTH:
            yield Finding(place, f"conditions nest {depth} deep; allowed: {MAX_CONDITION_DEPTH}")
        yield from _check_test(kinds, place, test)


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


def fields_of(kinds: Sequence[str], test: FieldTest) -> list[str]:
    """Return the fields a test reads; without any named, the default field of each kind."""
    if test.field is not None:
        return [test.field]
    if test.fields is not None:
        return test.fields
    return list(dict.fromkeys(DEFAULT_FIELD[k] for k in kinds if k in DEFAULT_FIELD))


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


def _check_test(kinds: Sequence[str], path: Path, test: FieldTest) -> Iterator[Finding]:
    operator = test.operators[0]
    if test.field is not None:
        named: list[tuple[Path, str]] = [((*path, "field"), test.field)]
    elif test.fields is not None:
        named = [((*path, "fields", n), name) for n, name in enumerate(test.fields)]
    else:
        without = [kind for kind in kinds if kind not in DEFAULT_FIELD]
        if without:
            yield Finding(path, f"name a `field`; {', '.join(without)} has no default field")
        return
    for place, name in named:
        yield from _check_name(kinds, place, name, operator)


def _check_name(
    kinds: Sequence[str], path: Path, name: str, operator: str | None = None
) -> Iterator[Finding]:
    if name.startswith(EXTRA_PREFIX):
        return
    found = [field for kind in kinds if (field := find_field(kind, name)) is not None]
    if not found:
        known = [field for kind in kinds for field in field_names(kind)]
        close = get_close_matches(name, known, n=1)
        meant = f"did you mean `{close[0]}`? " if close else ""
        yield Finding(
            path,
            f"{', '.join(kinds)} has no field `{name}`; {meant}"
            f"allowed: {', '.join(dict.fromkeys(known))}, "
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
    by_steps = isinstance(rule.match, TimelineMatch)
    for path, example in examples:
        if by_steps and example.timeline is None:
            yield Finding(path, "`timeline` is missing; give the parts of the session")
        elif not by_steps and example.timeline is not None:
            yield Finding((*path, "timeline"), "only rules with `steps` read a timeline")
        elif not by_steps and not example.payload:
            yield Finding(path, "`payload` is missing; give the fields of the event")
        kind = example.source_kind or rule.applies_to[0]
        if kind not in rule.applies_to:
            allowed = ", ".join(rule.applies_to)
            message = f"the rule does not apply to {kind}; allowed: {allowed}"
            yield Finding((*path, "source_kind"), message)
        for n, technique in enumerate(getattr(example, "techniques", None) or ()):
            if technique not in emitted:
                allowed = ", ".join(sorted(emitted))
                message = f"the rule does not emit {technique[:32]}; allowed: {allowed}"
                yield Finding((*path, "techniques", n), message)
