# SPDX-License-Identifier: AGPL-3.0-or-later
"""From a rule's document to what travels: the rule, and the events of its examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, Final

from google.protobuf import json_format

from decnet_ttp.core.source_kinds import PAYLOAD_FIELD, SourceKind
from decnet_ttp.rule_store.conditions import AllOf, AnyOf, FieldTest, Negation
from decnet_ttp.rule_store.document import LifterMatch, RuleDocument, SilentExample
from decnet_ttp.rule_store.field_checks import ConditionModel, fields_of
from decnet_ttp.rule_store.payload_fields import payload_fields
from decnet_ttp.rule_store.timelines import TimelineMatch, timespan_s
from decnet_ttp.v1 import event_pb2, rule_pb2

_STATUS: Final = {
    "stable": rule_pb2.RULE_STATUS_STABLE,
    "experimental": rule_pb2.RULE_STATUS_EXPERIMENTAL,
}

#: When the sessions of examples begin, in seconds since the epoch.
_EXAMPLES_BEGIN_S: Final = 1_767_225_600

#: Member of an example's payload that holds what a producer sends beside the typed fields.
EXTRA_KEY: Final = "extra"

#: Member of an example's payload that holds what a tagger would read in the stored mail.
CONTENT_KEY: Final = "mail_content"


class ExampleFault(ValueError):  # noqa: N818 - a finding about a file, not a failure of the program
    """An example that is no event of its kind.

    Attributes:
        key: The member of its payload that is wrong.
        path: Keys that lead from the example to that member.
    """

    def __init__(self, key: str, message: str, *within: str | int) -> None:
        super().__init__(message)
        self.key = key
        self.path = (*(within or ("payload",)), key)


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
    elif isinstance(rule.match, TimelineMatch):
        message.timeline.CopyFrom(_timeline(rule.match))
    else:
        message.condition.CopyFrom(_condition(rule.applies_to, rule.match))
    return message


def _plain(value: Any) -> Any:
    """Return what a Struct can hold: YAML's dates become text."""
    if isinstance(value, dict):
        return {key: _plain(member) for key, member in value.items()}
    if isinstance(value, list):
        return [_plain(member) for member in value]
    return value.isoformat() if isinstance(value, date | datetime) else value


def _timeline(match: TimelineMatch) -> rule_pb2.Timeline:
    message = rule_pb2.Timeline(ordered=match.type == "temporal_ordered")
    if match.timespan is not None:
        message.timespan.FromSeconds(timespan_s(match.timespan))
    if match.session is not None:
        message.session.CopyFrom(_condition([SourceKind.SESSION], match.session))
    for step in match.steps:
        shown = message.steps.add(
            name=step.name, at_least=step.at_least, distinct_field=step.distinct or ""
        )
        for kind, condition in step.parts.items():
            shown.parts.add(source_kind=kind, condition=_condition([kind], condition))
    return message


def _condition(kinds: Sequence[str], condition: ConditionModel) -> rule_pb2.Condition:
    match condition:
        case AllOf(all=members):
            within = rule_pb2.ConditionList(conditions=[_condition(kinds, m) for m in members])
            return rule_pb2.Condition(all=within)
        case AnyOf(any=members):
            within = rule_pb2.ConditionList(conditions=[_condition(kinds, m) for m in members])
            return rule_pb2.Condition(any=within)
        case Negation(not_=member):
            message = rule_pb2.Condition()
            # `not` is a keyword of Python, so the member has no name to write here.
            getattr(message, "not").CopyFrom(_condition(kinds, member))
            return message
        case FieldTest():
            return rule_pb2.Condition(field=_field_condition(kinds, condition))


def _field_condition(kinds: Sequence[str], test: FieldTest) -> rule_pb2.FieldCondition:
    message = rule_pb2.FieldCondition(fields=fields_of(kinds, test), ignore_case=test.ignore_case)
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
    return _event(kind, f"example-{number}", example.payload)


def example_parts(example: SilentExample, session: event_pb2.Event) -> list[event_pb2.Event]:
    """Return the parts of the session that an example describes.

    Args:
        example: The example.
        session: The session itself, which gets the time when it began.

    Raises:
        ExampleFault: A member that the kind does not have, or of another type.
    """
    session.observe_time.FromSeconds(_EXAMPLES_BEGIN_S)
    events = []
    for number, part in enumerate(example.timeline or ()):
        kind = part.kind
        try:
            event = _event(kind, f"{session.source_id}-{number}", getattr(part, kind))
        except ExampleFault as fault:
            raise ExampleFault(fault.key, str(fault), "timeline", number, kind) from fault
        if part.at_s is not None:
            event.observe_time.FromNanoseconds(int((_EXAMPLES_BEGIN_S + part.at_s) * 1e9))
        events.append(event)
    return events


def _event(kind: str, source_id: str, given: Mapping[str, Any]) -> event_pb2.Event:
    event = event_pb2.Event(source_kind=kind, source_id=source_id)
    payload = getattr(event, PAYLOAD_FIELD[SourceKind(kind)])
    payload.SetInParent()
    fields = payload_fields(kind)
    for key, value in given.items():
        if key == EXTRA_KEY:
            if not isinstance(value, dict):
                raise ExampleFault(key, "`extra` must be a mapping")
            event.extra.update(_plain(value))
            continue
        if key == CONTENT_KEY and kind == SourceKind.EMAIL:
            _read_content(event, value)
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


def _read_content(event: event_pb2.Event, value: Any) -> None:
    """Read what a stored mail holds.

    Raises:
        ExampleFault: A member that it does not have, or of another type.
    """
    if not isinstance(value, dict):
        raise ExampleFault(CONTENT_KEY, f"`{CONTENT_KEY}` must be a mapping")
    try:
        json_format.ParseDict(value, event.mail_content)
    except json_format.ParseError as error:
        allowed = ", ".join(event_pb2.MailContent.DESCRIPTOR.fields_by_name)
        message = f"`{CONTENT_KEY}` is not of its form; it may have {allowed}"
        raise ExampleFault(CONTENT_KEY, message) from error
