# SPDX-License-Identifier: AGPL-3.0-or-later
"""Short ways to make rules and events."""

from __future__ import annotations

from decnet_ttp.v1 import event_pb2, rule_pb2

Condition = rule_pb2.Condition


def field(*names: str, **operator: object) -> Condition:
    """A field condition; `contains`, `equals`, `in_set`, `cidr` take lists."""
    lists = {"contains", "equals", "in_set", "cidr"}
    members = {
        key: rule_pb2.ValueList(values=value) if key in lists else value  # type: ignore[arg-type]
        for key, value in operator.items()
    }
    return Condition(field=rule_pb2.FieldCondition(fields=names, **members))  # type: ignore[arg-type]


def every(*conditions: Condition) -> Condition:
    return Condition(all=rule_pb2.ConditionList(conditions=conditions))


def some(*conditions: Condition) -> Condition:
    return Condition(any=rule_pb2.ConditionList(conditions=conditions))


def no(condition: Condition) -> Condition:
    return Condition(**{"not": condition})


def rule(rule_id: str, condition: Condition, *kinds: str) -> rule_pb2.Rule:
    return rule_pb2.Rule(
        rule_id=rule_id,
        rule_version=1,
        applies_to=kinds or ("command",),
        condition=condition,
        emissions=[rule_pb2.Emission(tactic="TA0007", technique_id="T1033", confidence=0.9)],
    )


def command(text: str, **members: str) -> event_pb2.Event:
    return event_pb2.Event(
        source_kind="command",
        source_id="s#1",
        command=event_pb2.CommandPayload(command_text=text, **members),  # type: ignore[arg-type]
    )


def request(**members: object) -> event_pb2.Event:
    return event_pb2.Event(
        source_kind="http_request",
        source_id="r#1",
        http_request=event_pb2.HttpRequestPayload(**members),  # type: ignore[arg-type]
    )
