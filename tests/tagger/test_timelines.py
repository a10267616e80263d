# SPDX-License-Identifier: AGPL-3.0-or-later
"""Rules with a timeline in a tagger: tags of the session, typed evidence, states, cut groups."""

from __future__ import annotations

import pytest

from decnet_ttp.attack import Catalogue
from decnet_ttp.core.errors import InvalidArgumentError
from decnet_ttp.tagger.evaluation import Evaluation
from decnet_ttp.tagger.explanation import explain_event
from decnet_ttp.tagger.lifters.rule_engine import RuleEngine
from decnet_ttp.tagger.rule_set import RuleSet
from decnet_ttp.v1 import event_pb2, rule_pb2, tag_pb2, tagger_service_pb2
from matching.builders import field, rule
from matching.test_timeline import NOON_S, command, log_in, step, timeline

LIFTERS = (RuleEngine(),)


def chain(**members: object) -> rule_pb2.Rule:
    made = timeline(
        step("logged_in", auth_attempt=field("result", equals=["success"])),
        step("fetch", 2, command=field("command_text", contains=["wget"])),
    )
    made.emissions.add(tactic="TA0011", technique_id="T1105", confidence=0.9)
    for name, value in members.items():
        setattr(made, name, value)
    return made


def session() -> event_pb2.Event:
    event = event_pb2.Event(source_kind="session", source_id="s1")
    event.session.service = "ssh"
    event.observe_time.FromSeconds(NOON_S)
    return event


EVENTS = (session(), command(3, "wget x"), command(5, "wget marked"), log_in(1, "success"))


async def tag(
    catalogue: Catalogue, made: rule_pb2.Rule, *groups: tuple[event_pb2.Event, ...]
) -> tuple[Evaluation, RuleSet, tagger_service_pb2.TagEventsResponse]:
    evaluation = Evaluation(LIFTERS, attack_release="enterprise-v17.1")
    rules = RuleSet.empty().changed(
        [made, rule("R0", field("command_text", contains=["x"]))], (), LIFTERS, catalogue
    )
    request = tagger_service_pb2.TagEventsRequest(
        groups=[
            event_pb2.EventGroup(origin_id=f"o{number}", session_id="s", events=events)
            for number, events in enumerate(groups)
        ]
    )
    return evaluation, rules, await evaluation.tag(request, rules)


async def test_the_tag_is_the_session_s_and_shows_steps_without_contents(
    catalogue: Catalogue,
) -> None:
    _, _, answer = await tag(catalogue, chain(), EVENTS)
    plain, made = answer.groups[0].tags
    assert plain.rule_id == "R0"
    assert (made.rule_id, made.source_kind, made.source_id) == ("R1", "session", "s1")
    assert made.observe_time.seconds == NOON_S
    assert made.evidence == tag_pb2.Evidence(
        session=tag_pb2.SessionEvidence(
            service="ssh",
            steps=[
                tag_pb2.TimelineStepEvidence(
                    step="logged_in", count=1, source_kind="auth_attempt", source_id="a1-root"
                ),
                tag_pb2.TimelineStepEvidence(
                    step="fetch",
                    count=2,
                    source_kind="command",
                    source_id="c5-wget marked",
                    offset_s=4.0,
                ),
            ],
        )
    )


async def test_steps_of_one_session_are_never_counted_for_another(catalogue: Catalogue) -> None:
    _, _, answer = await tag(catalogue, chain(), EVENTS[:2], (session(), *EVENTS[2:]))
    assert {made.rule_id for group in answer.groups for made in group.tags} == {"R0"}


async def test_the_rest_of_a_session_that_was_cut_gives_nothing(catalogue: Catalogue) -> None:
    _, _, answer = await tag(catalogue, chain(), EVENTS[1:])
    assert [made.rule_id for made in answer.groups[0].tags] == ["R0"]


async def test_an_experimental_timeline_is_counted_and_withheld(catalogue: Catalogue) -> None:
    made = chain(status=rule_pb2.RULE_STATUS_EXPERIMENTAL)
    evaluation, rules, answer = await tag(catalogue, made, EVENTS)
    assert answer.withheld_count == 1
    numbers = evaluation.statistics.snapshot(rules)["R1"]
    assert (numbers.evaluations, numbers.matches, numbers.tags, numbers.withheld) == (4, 1, 0, 1)


async def test_a_state_for_sessions_holds_for_the_timeline(catalogue: Catalogue) -> None:
    made = chain()
    made.scoped_states.add(mode=rule_pb2.RULE_MODE_DISABLED).scope.source_kind = "session"
    _, _, answer = await tag(catalogue, made, EVENTS)
    assert [each.rule_id for each in answer.groups[0].tags] == ["R0"]


def test_steps_are_explained_one_by_one() -> None:
    made = chain()
    answer = explain_event(made, EVENTS[0], LIFTERS, RuleSet.empty(), EVENTS[1:2] + EVENTS[3:])
    assert answer == tagger_service_pb2.ExplainEventResponse(
        matched=False,
        steps=[
            tagger_service_pb2.StepOutcome(
                name="logged_in", at_least=1, count=1, held=True, source_id="a1-root", offset_s=0
            ),
            tagger_service_pb2.StepOutcome(name="fetch", at_least=2, count=1),
        ],
    )


def test_a_timeline_is_explained_on_sessions_only() -> None:
    with pytest.raises(InvalidArgumentError):
        explain_event(chain(), EVENTS[1], LIFTERS, RuleSet.empty())


def told_before(*events: event_pb2.Event) -> list[event_pb2.Event]:
    found = []
    for event in events:
        copy = event_pb2.Event()
        copy.CopyFrom(event)
        copy.told_before = True
        found.append(copy)
    return found


async def test_what_was_told_before_completes_a_timeline_and_gets_no_tags(
    catalogue: Catalogue,
) -> None:
    earlier = told_before(EVENTS[3], command(3, "wget x"))
    _, _, answer = await tag(catalogue, chain(), (session(), *earlier, command(9, "wget x2")))
    made = [(each.rule_id, each.source_id) for each in answer.groups[0].tags]
    assert made == [("R0", "c9-wget x2"), ("R1", "s1")]


async def test_a_timeline_that_was_complete_before_fires_no_second_time(
    catalogue: Catalogue,
) -> None:
    earlier = told_before(*EVENTS[1:])
    _, _, answer = await tag(catalogue, chain(), (session(), *earlier, command(9, "id")))
    assert not answer.groups
    _, _, again = await tag(catalogue, chain(), (session(), *earlier, command(9, "wget")))
    assert [each.rule_id for each in again.groups[0].tags] == ["R1"]
