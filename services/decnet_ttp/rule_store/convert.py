# SPDX-License-Identifier: AGPL-3.0-or-later
"""From a rule's document to what travels: the rule, and the events of its examples."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, Final

from google.protobuf import json_format

from decnet_ttp.core.source_kinds import PAYLOAD_FIELD, SourceKind
from decnet_ttp.rule_store.document import (
    AllOf,
    AnyOf,
    FieldTest,
    LifterMatch,
    Negation,
    RuleDocument,
    SilentExample,
)
from decnet_ttp.rule_store.field_checks import ConditionModel, fields_of
from decnet_ttp.rule_store.payload_fields import payload_fields
from decnet_ttp.v1 import event_pb2, rule_pb2

_STATUS: Final = {
    "stable": rule_pb2.RULE_STATUS_STABLE,
    "experimental": rule_pb2.RULE_STATUS_EXPERIMENTAL,
}

#: Member of an example's payload that holds what a producer sends beside the typed fields.
EXTRA_KEY: Final = "extra"


class ExampleFault(ValueError):  # noqa: N818 - a finding about a file, not a failure of the program
    """An example that is no event of its kind.

    Attributes:
        key: The member of its payload that is wrong.
    """

    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key


def rule_message(rule: RuleDocument, *, content_sha256: str, source: str) -> rule_pb2.Rule:
    """Return the rule as it travels, without state.

    Args:
        rule: A document that passed every check.
        content_sha256: Digest of the file's bytes, hex.
        source: The file, for people.
    """
    message = rule_pb2.Rule(
        rule_id=rule.rule_id,
        rule_version=rule.rule_version,
        name=rule.name,
        description=rule.description,
        applies_to=rule.applies_to,
        emissions=[
            rule_pb2.Emission(
                tactic=emission.tactic,
                technique_id=emission.technique_id,
                sub_technique_id=emission.sub_technique_id or "",
                confidence=emission.confidence,
            )
            for emission in rule.emits
        ],
        evidence_fields=rule.evidence_fields,
        references=rule.references,
        false_positives=rule.false_positives,
        last_review_date=rule.last_reviewed.isoformat() if rule.last_reviewed else "",
        next_review_date=rule.next_review.isoformat() if rule.next_review else "",
        status=_STATUS[rule.status],
        content_sha256=content_sha256,
        source=source,
    )
    if isinstance(rule.match, LifterMatch):
        message.lifter_predicate.kind = rule.match.kind
        message.lifter_predicate.parameters.update(_plain(rule.match.model_extra or {}))
    else:
        message.condition.CopyFrom(_condition(rule, rule.match))
    return message


def _plain(value: Any) -> Any:
    """Return what a Struct can hold: YAML's dates become text."""
    if isinstance(value, dict):
        return {key: _plain(member) for key, member in value.items()}
    if isinstance(value, list):
        return [_plain(member) for member in value]
    return value.isoformat() if isinstance(value, date | datetime) else value


def _condition(rule: RuleDocument, condition: ConditionModel) -> rule_pb2.Condition:
    match condition:
        case AllOf(all=members):
            within = rule_pb2.ConditionList(conditions=[_condition(rule, m) for m in members])
            return rule_pb2.Condition(all=within)
        case AnyOf(any=members):
            within = rule_pb2.ConditionList(conditions=[_condition(rule, m) for m in members])
            return rule_pb2.Condition(any=within)
        case Negation(not_=member):
            message = rule_pb2.Condition()
            # `not` is a keyword of Python, so the member has no name to write here.
            getattr(message, "not").CopyFrom(_condition(rule, member))
            return message
        case FieldTest():
            return rule_pb2.Condition(field=_field_condition(rule, condition))


def _field_condition(rule: RuleDocument, test: FieldTest) -> rule_pb2.FieldCondition:
    message = rule_pb2.FieldCondition(fields=fields_of(rule, test), ignore_case=test.ignore_case)
    if test.pattern is not None:
        message.pattern = test.pattern
    elif test.is_ is not None:
        message.is_bool = test.is_
    else:
        for name in ("contains", "equals", "in_set", "cidr"):
            if (values := getattr(test, name)) is not None:
                getattr(message, name).values.extend(values)
                return message
        message.compare.CopyFrom(
            rule_pb2.NumericComparison(gt=test.gt, gte=test.gte, lt=test.lt, lte=test.lte)
        )
    return message


def example_event(rule: RuleDocument, example: SilentExample, number: int) -> event_pb2.Event:
    """Return the event that an example describes.

    Args:
        rule: The rule it belongs to.
        example: The example.
        number: Its place among the rule's examples, which becomes the event's id.

    Raises:
        ExampleFault: A member that the kind does not have, or of another type.
    """
    kind = example.source_kind or rule.applies_to[0]
    event = event_pb2.Event(source_kind=kind, source_id=f"example-{number}")
    payload = getattr(event, PAYLOAD_FIELD[SourceKind(kind)])
    payload.SetInParent()
    fields = payload_fields(kind)
    for key, value in example.payload.items():
        if key == EXTRA_KEY:
            if not isinstance(value, dict):
                raise ExampleFault(key, "`extra` must be a mapping")
            event.extra.update(_plain(value))
            continue
        if key not in fields:
            allowed = ", ".join((*fields, EXTRA_KEY))
            raise ExampleFault(key, f"{kind} has no field `{key[:64]}`; allowed: {allowed}")
        if fields[key].type == "text" and isinstance(value, str):
            setattr(payload, key, value)
            continue
        try:
            json_format.ParseDict({key: value}, payload)
        except json_format.ParseError as error:
            message = f"`{key}` is a {fields[key].type}; write one"
            raise ExampleFault(key, message) from error
    return event
