# SPDX-License-Identifier: AGPL-3.0-or-later
"""Why a rule fires on an event or does not, told by what evaluates it."""

from __future__ import annotations

from collections.abc import Sequence

from decnet_ttp.core.errors import InvalidArgumentError
from decnet_ttp.matching import RulePack, explain
from decnet_ttp.tagger.lifter import Lifter
from decnet_ttp.tagger.rule_set import RuleSet
from decnet_ttp.v1 import event_pb2, rule_pb2, tagger_service_pb2


def explain_event(
    rule: rule_pb2.Rule,
    event: event_pb2.Event,
    lifters: Sequence[Lifter],
    rules: RuleSet,
    parts: Sequence[event_pb2.Event] = (),
) -> tagger_service_pb2.ExplainEventResponse:
    """Return whether a rule fires, and how each of its conditions or steps went.

    Args:
        rule: The rule, one of the set.
        event: The event.
        lifters: The lifters of this process.
        rules: The rules in force. A rule that a lifter's predicate decides has no conditions to
            tell of.
        parts: Parts of the session that the event is.

    Raises:
        InvalidArgumentError: The rule does not read events of that kind.
    """
    if event.source_kind not in rule.applies_to:
        raise InvalidArgumentError(
            f"rule {rule.rule_id} reads {', '.join(rule.applies_to)}, not "
            f"{event.source_kind[:64]!r}; give it an event it reads",
            field="event.source_kind",
        )
    if rule.HasField("timeline"):
        return _timeline(rule, event, parts)
    if rule.WhichOneof("match") != "condition":
        evaluators = [rules.evaluators[lifter.name] for lifter in lifters if lifter.owns(rule)]
        fired = any(list(each.lift_rule(event, rule.rule_id)) for each in evaluators)
        return tagger_service_pb2.ExplainEventResponse(matched=fired)
    matched, outcomes = explain(rule, event)
    answer = tagger_service_pb2.ExplainEventResponse(matched=matched)
    for outcome in outcomes:
        answer.outcomes.add(**outcome._asdict())
    return answer


def _timeline(
    rule: rule_pb2.Rule, session: event_pb2.Event, parts: Sequence[event_pb2.Event]
) -> tagger_service_pb2.ExplainEventResponse:
    result = RulePack.compile([rule]).result(rule.rule_id, [session, *parts])
    answer = tagger_service_pb2.ExplainEventResponse(matched=result.matched)
    for step in result.steps:
        answer.steps.add(
            name=step.name,
            at_least=step.at_least,
            count=step.count,
            held=step.held,
            source_id=step.source_id,
            offset_s=step.offset_s if step.held else None,
        )
    return answer
