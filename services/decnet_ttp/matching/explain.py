# SPDX-License-Identifier: AGPL-3.0-or-later
"""Why a rule fires or does not, condition by condition, by the evaluator that tags."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from decnet_ttp.matching.pack import RulePack
from decnet_ttp.v1 import event_pb2, rule_pb2


class Outcome(NamedTuple):
    """How one field condition went.

    Attributes:
        path: Its path within the rule, for example ``all[0].pattern``.
        field: The field that passed; the fields asked for, joined by commas, when none did.
        held: Whether it held.
        start: First character of what matched; None when nothing did.
        end: Character after what matched; None when nothing did.
    """

    path: str
    field: str
    held: bool
    start: int | None
    end: int | None


def explain(rule: rule_pb2.Rule, event: event_pb2.Event) -> tuple[bool, list[Outcome]]:
    """Return whether a rule fires on an event, and how each of its field conditions went.

    Raises:
        RuleInvalidError: The rule cannot be compiled, or a lifter's predicate decides it.
    """
    matched = bool(RulePack.compile([rule]).evaluate(event))
    return matched, [
        _outcome(path, rule, condition, event) for path, condition in leaves(rule.condition)
    ]


def leaves(
    condition: rule_pb2.Condition, path: str = ""
) -> Iterator[tuple[str, rule_pb2.FieldCondition]]:
    """Yield the field conditions within a condition, each with its path, in order."""
    match condition.WhichOneof("condition"):
        case "field":
            operator = condition.field.WhichOneof("operator") or ""
            yield f"{path}{operator}", condition.field
        case "not":
            yield from leaves(getattr(condition, "not"), f"{path}not.")
        case "all" | "any" as combination:
            for number, member in enumerate(getattr(condition, combination).conditions):
                yield from leaves(member, f"{path}{combination}[{number}].")


def _outcome(
    path: str,
    rule: rule_pb2.Rule,
    condition: rule_pb2.FieldCondition,
    event: event_pb2.Event,
) -> Outcome:
    alone = rule_pb2.Rule(
        rule_id=rule.rule_id,
        applies_to=rule.applies_to,
        condition=rule_pb2.Condition(field=condition),
    )
    matches = RulePack.compile([alone]).evaluate(event)
    spans = [span for match in matches for span in match.spans()]
    if not spans:
        return Outcome(path, ", ".join(condition.fields), held=False, start=None, end=None)
    span = spans[0]
    return Outcome(path, span.field, held=True, start=span.start, end=span.end)
