# SPDX-License-Identifier: AGPL-3.0-or-later
from __future__ import annotations

import asyncio
import hashlib
import logging
import unittest.mock
from collections.abc import Iterator, Sequence

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given, settings
from hypothesis import strategies as st

from decnet_ttp.attack import Catalogue, packaged_catalogue
from decnet_ttp.tagger.evaluation import Evaluation
from decnet_ttp.tagger.lifter import Finding, Lifter
from decnet_ttp.tagger.lifters.rule_engine import RuleEngine
from decnet_ttp.tagger.rule_set import RuleSet
from decnet_ttp.tagger.statistics import FIRST_SAMPLE_EVENTS, SAMPLE_EVENTS
from decnet_ttp.v1 import event_pb2, rule_pb2, scope_pb2, tag_pb2, tagger_service_pb2
from matching.builders import command, every, field, request, rule

NOW_S = 1_800_000_000.0
ANCHOR = scope_pb2.Anchor(attacker_uuid="6f9619ff-8b86-5d01-b42d-00cf4fc964ff")


def in_force(
    catalogue: Catalogue, *rules: rule_pb2.Rule, lifters: Sequence[Lifter] = (RuleEngine(),)
) -> RuleSet:
    return RuleSet.empty().changed(rules, (), lifters, catalogue)


def batch(*groups: Sequence[event_pb2.Event]) -> tagger_service_pb2.TagEventsRequest:
    return tagger_service_pb2.TagEventsRequest(
        groups=[
            event_pb2.EventGroup(
                origin_id=f"o{number}",
                anchor=ANCHOR,
                session_id=f"s{number}",
                decky_id="d",
                events=events,
            )
            for number, events in enumerate(groups)
        ]
    )


async def tag(
    rules: RuleSet,
    *groups: Sequence[event_pb2.Event],
    lifters: Sequence[Lifter] = (RuleEngine(),),
) -> tagger_service_pb2.TagEventsResponse:
    evaluation = Evaluation(lifters, attack_release="enterprise-v17.1", clock=lambda: NOW_S)
    return await evaluation.tag(batch(*groups), rules)


WHOAMI = rule("R1", field("command_text", pattern=r"\bwhoami\b"))


async def test_groups_and_tags_come_in_the_order_of_the_events(catalogue: Catalogue) -> None:
    rules = in_force(catalogue, WHOAMI, rule("R0", field("command_text", contains=["x"])))
    second = [command("whoami; x"), command("ls"), command("x")]
    for number, event in enumerate(second):
        event.source_id = f"c{number}"
    answer = await tag(rules, [command("ls")], second)
    (group,) = answer.groups
    assert (group.origin_id, group.session_id, group.decky_id) == ("o1", "s1", "d")
    assert group.anchor == ANCHOR
    assert [(each.source_id, each.rule_id) for each in group.tags] == [
        ("c0", "R0"),
        ("c0", "R1"),
        ("c2", "R0"),
    ]
    assert not answer.failures
    assert answer.withheld_count == 0


async def test_a_tag_carries_everything_a_store_needs(catalogue: Catalogue) -> None:
    event = command("sudo whoami", uid="0", user="root", src="ssh")
    event.command.pwd = "/root"  # noqa: S105 - a working directory
    event.observe_time.CopyFrom(Timestamp(seconds=1_700_000_000, nanos=5))
    answer = await tag(in_force(catalogue, WHOAMI), [event])
    (made,) = answer.groups[0].tags
    assert made == tag_pb2.TagDraft(
        source_kind="command",
        source_id="s#1",
        observe_time=Timestamp(seconds=1_700_000_000, nanos=5),
        rule_id="R1",
        rule_version=1,
        tactic="TA0007",
        technique_id="T1033",
        confidence=0.9,
        attack_release="enterprise-v17.1",
        evidence=tag_pb2.Evidence(
            command=tag_pb2.CommandEvidence(
                command_text="sudo whoami",
                matched_tokens=["whoami"],
                rule_patterns=[r"\bwhoami\b"],
                uid="0",
                user="root",
                src="ssh",
                pwd="/root",  # noqa: S106 - a working directory
            )
        ),
    )


async def test_a_tag_of_ics_carries_the_release_of_its_matrix() -> None:
    emissions = [
        rule_pb2.Emission(tactic="TA0105", technique_id="T0831", confidence=0.9),
        rule_pb2.Emission(tactic="TA0007", technique_id="T1046", confidence=0.9),
    ]
    both = rule("R1", field("command_text", contains=["coil"]))
    del both.emissions[:]
    both.emissions.extend(emissions)
    rules = in_force(packaged_catalogue(), both)
    made = (await tag(rules, [command("write coil")])).groups[0].tags
    assert [(each.technique_id, each.tactic, each.attack_release) for each in made] == [
        ("T0831", "TA0105", "ics-v15.0"),
        ("T1046", "TA0007", "enterprise-v17.1"),
    ]


async def test_a_long_command_is_cut_and_told_by_its_hash(catalogue: Catalogue) -> None:
    text = "whoami " + "é" * 3_000
    answer = await tag(in_force(catalogue, WHOAMI), [command(text)])
    evidence = answer.groups[0].tags[0].evidence.command
    assert evidence.command_text == text[:2_048]
    assert evidence.command_sha256 == hashlib.sha256(text.encode()).hexdigest()


async def test_secrets_and_header_values_stay_out_of_evidence(catalogue: Catalogue) -> None:
    condition = every(
        field("headers", pattern="MARK1"),
        field("body_decoded", pattern="MARK2"),
        field("body", contains=["MARK2"]),
        field("extra.note", equals=["MARK3"]),
        field("user_agent", contains=["agent"]),
    )
    event = request(
        headers={"Cookie": "MARK1"}, body="a=MARK2", user_agent="an agent", method="GET"
    )
    event.extra["note"] = "MARK3"
    attempt = event_pb2.Event(source_kind="auth_attempt", source_id="a")
    attempt.auth_attempt.username = "root"
    attempt.auth_attempt.password = "MARK4"  # noqa: S105 - nobody's
    rules = in_force(
        catalogue,
        rule("R1", condition, "http_request"),
        rule("R2", field("password", pattern="MARK4"), "auth_attempt"),
    )
    answer = await tag(rules, [event, attempt])
    assert [each.rule_id for each in answer.groups[0].tags] == ["R1", "R2"]
    http, auth = (each.evidence for each in answer.groups[0].tags)
    del http.http_request.rule_patterns[:]
    assert "MARK" not in f"{http}{auth}"
    assert list(http.http_request.header_names) == ["Cookie"]
    assert list(http.http_request.matched_tokens) == [
        "<headers>",
        "<body_decoded>",
        "<body>",
        "<extra.note>",
        "agent",
    ]
    assert list(auth.auth_attempt.matched_tokens) == ["<password>"]


async def test_unknown_kinds_show_field_names_only(catalogue: Catalogue) -> None:
    event = event_pb2.Event(source_kind="sip", source_id="x")
    event.other["method"] = "MARK"
    rules = in_force(catalogue, rule("R", field("method", pattern="MARK"), "sip"))
    (made,) = (await tag(rules, [event])).groups[0].tags
    assert list(made.evidence.other.matched_fields) == ["method"]


def with_state(
    mode: int, *, confidence_max: float = 0, expire_s: float | None = None
) -> rule_pb2.Rule:
    changed = rule_pb2.Rule()
    changed.CopyFrom(WHOAMI)
    changed.state.mode = mode  # type: ignore[assignment]
    changed.state.confidence_max = confidence_max
    if expire_s is not None:
        changed.state.expire_time.FromNanoseconds(int(expire_s * 1e9))
    return changed


@pytest.mark.parametrize(
    ("state", "confidences", "withheld"),
    [
        (with_state(rule_pb2.RULE_MODE_ENABLED, confidence_max=0.1), [0.9], 0),
        (with_state(rule_pb2.RULE_MODE_DISABLED), [], 1),
        (with_state(rule_pb2.RULE_MODE_DISABLED, expire_s=NOW_S + 1), [], 1),
        (with_state(rule_pb2.RULE_MODE_DISABLED, expire_s=NOW_S), [0.9], 0),
        (with_state(rule_pb2.RULE_MODE_CLIPPED, confidence_max=0.5), [0.5], 0),
        (with_state(rule_pb2.RULE_MODE_CLIPPED, confidence_max=0.95), [0.9], 0),
        (with_state(rule_pb2.RULE_MODE_CLIPPED, confidence_max=0.5, expire_s=NOW_S - 1), [0.9], 0),
    ],
)
async def test_state_of_a_rule(
    catalogue: Catalogue, state: rule_pb2.Rule, confidences: list[float], withheld: int
) -> None:
    answer = await tag(in_force(catalogue, state), [command("whoami")])
    assert [each.confidence for group in answer.groups for each in group.tags] == confidences
    assert answer.withheld_count == withheld


async def test_experimental_rules_are_counted_whatever_their_state(catalogue: Catalogue) -> None:
    trial = with_state(rule_pb2.RULE_MODE_DISABLED, expire_s=NOW_S - 1)
    trial.status = rule_pb2.RULE_STATUS_EXPERIMENTAL
    answer = await tag(in_force(catalogue, trial), [command("whoami")])
    assert not answer.groups
    assert answer.withheld_count == 1


def emitting(*techniques: str, tactic: str = "TA0005") -> rule_pb2.Rule:
    made = rule_pb2.Rule()
    made.CopyFrom(WHOAMI)
    del made.emissions[:]
    for each in techniques:
        technique, _, sub = each.partition(".")
        made.emissions.add(
            tactic=tactic,
            technique_id=technique,
            sub_technique_id=each if sub else "",
            confidence=0.8,
        )
    return made


async def test_a_revoked_id_becomes_its_successor_once(catalogue: Catalogue) -> None:
    """T1086 (PowerShell) became T1059.001; a rule that names both makes one tag."""
    old = emitting("T1086", "T1059.001", tactic="TA0002")
    answer = await tag(in_force(catalogue, old), [command("whoami")])
    assert [(t.technique_id, t.sub_technique_id, t.tactic) for t in answer.groups[0].tags] == [
        ("T1059", "T1059.001", "TA0002")
    ]


async def test_a_refused_edit_leaves_the_last_good_rule_under_the_new_state(
    catalogue: Catalogue, caplog: pytest.LogCaptureFixture
) -> None:
    good = in_force(catalogue, WHOAMI)
    broken = emitting("T9999")
    broken.rule_version = 2
    after = good.changed([broken], (), [RuleEngine()], catalogue)
    assert [t.rule_version for t in (await tag(after, [command("whoami")])).groups[0].tags] == [1]
    assert "T9999" in caplog.text
    broken.state.mode = rule_pb2.RULE_MODE_DISABLED
    muted = after.changed([broken], (), [RuleEngine()], catalogue)
    assert (await tag(muted, [command("whoami")])).withheld_count == 1


async def test_a_pattern_outside_re2_is_refused_alone(catalogue: Catalogue) -> None:
    bad = rule("R2", field("command_text", pattern="(?=x)"))
    rules = in_force(catalogue, WHOAMI, bad)
    assert list(rules.rules) == ["R1"]


async def test_a_deleted_rule_is_gone_and_the_older_set_unchanged(catalogue: Catalogue) -> None:
    before = in_force(catalogue, WHOAMI)
    after = before.changed((), ["R1"], [RuleEngine()], catalogue)
    assert not (await tag(after, [command("whoami")])).groups
    assert (await tag(before, [command("whoami")])).groups


class _FaultyEvaluator:
    source_kinds = frozenset({"command"})

    def __init__(self, rules: Sequence[rule_pb2.Rule]) -> None:
        self._rules = {each.rule_id: each for each in rules}

    def lift(self, event: event_pb2.Event) -> Iterator[Finding]:
        for rule_id in self._rules:
            yield from self.lift_rule(event, rule_id)

    def rule_ids(self, source_kind: str) -> Sequence[str]:
        return sorted(self._rules)

    def lift_rule(self, event: event_pb2.Event, rule_id: str) -> Iterator[Finding]:
        if rule_id == "P2" and "bang" in event.command.command_text:
            raise ValueError(event.command.command_text)
        yield Finding(self._rules[rule_id], tag_pb2.Evidence(), [0])


class _FaultyLifter:
    name = "faulty"
    source_kinds = frozenset({"command"})

    def owns(self, rule: rule_pb2.Rule) -> bool:
        return rule.WhichOneof("match") == "lifter_predicate"

    def compile(self, rules: Sequence[rule_pb2.Rule], previous: object) -> _FaultyEvaluator:
        return _FaultyEvaluator(rules)


def predicate(rule_id: str) -> rule_pb2.Rule:
    made = rule_pb2.Rule()
    made.CopyFrom(WHOAMI)
    made.rule_id = rule_id
    made.lifter_predicate.kind = "lifter:faulty_x"
    return made


async def test_a_failing_rule_costs_its_own_tags_of_that_event_only(
    catalogue: Catalogue, caplog: pytest.LogCaptureFixture
) -> None:
    lifters = [RuleEngine(), _FaultyLifter()]
    rules = in_force(
        catalogue, WHOAMI, predicate("P1"), predicate("P2"), predicate("P3"), lifters=lifters
    )
    events = [command("whoami"), command("whoami bang SECRET"), command("bang SECRET")]
    for number, event in enumerate(events):
        event.source_id = f"c{number}"
    with caplog.at_level(logging.DEBUG):
        answer = await tag(rules, events, lifters=lifters)
    assert [(each.source_id, each.rule_id) for each in answer.groups[0].tags] == [
        ("c0", "R1"),
        ("c0", "P1"),
        ("c0", "P2"),
        ("c0", "P3"),
        ("c1", "R1"),
        ("c1", "P1"),
        ("c1", "P3"),
        ("c2", "P1"),
        ("c2", "P3"),
    ]
    assert [(f.source_id, f.rule_id, f.lifter, f.reason) for f in answer.failures] == [
        ("c1", "P2", "faulty", "ValueError"),
        ("c2", "P2", "faulty", "ValueError"),
    ]
    assert [record.rule_id for record in caplog.records if hasattr(record, "rule_id")] == ["P2"]  # type: ignore[attr-defined]
    assert "SECRET" not in caplog.text


async def test_numbers_of_rules_are_what_happened(catalogue: Catalogue) -> None:
    """Evaluations by kind, matches, tags and what was withheld, each rule for itself."""
    trial = rule("R2", field("command_text", contains=["whoami"]))
    trial.status = rule_pb2.RULE_STATUS_EXPERIMENTAL
    web = rule("R3", field("raw_url", contains=["x"]), "http_request", "command")
    rules = in_force(catalogue, WHOAMI, trial, web)
    evaluation = Evaluation([RuleEngine()], attack_release="r", clock=lambda: NOW_S)
    events = [command("whoami"), command("ls"), request(raw_url="/x"), command("whoami; id")]
    await evaluation.tag(batch(events[:2], events[2:]), rules)
    after = rules.changed((), ["R1"], [RuleEngine()], catalogue)
    await evaluation.tag(batch([command("whoami")]), after)
    numbers = evaluation.statistics.snapshot(after)
    found = {
        rule_id: (n.evaluations, n.matches, n.tags, n.withheld, n.last_fired_s)
        for rule_id, n in numbers.items()
    }
    assert found == {
        "R1": (3, 2, 2, 0, NOW_S),
        "R2": (4, 3, 0, 3, NOW_S),
        "R3": (5, 1, 1, 0, NOW_S),
    }


async def test_every_rule_of_a_kind_is_timed_in_its_turn(catalogue: Catalogue) -> None:
    """Often at the start, then ever more rarely, down to one event in 509."""
    others = [rule(f"R{n}", field("command_text", contains=[f"word{n}"])) for n in (2, 3)]
    rules = in_force(catalogue, WHOAMI, *others)
    evaluation = Evaluation([RuleEngine()], attack_release="r", clock=lambda: NOW_S)
    intervals = [min(SAMPLE_EVENTS, FIRST_SAMPLE_EVENTS + 4 * n) for n in range(150)]
    whole = sum(intervals)
    for _ in range(whole // 1_000):
        await evaluation.tag(batch([command("whoami")] * 1_000), rules)
    await evaluation.tag(batch([command("whoami")] * (whole % 1_000)), rules)
    numbers = evaluation.statistics.snapshot(rules)
    assert {rule_id: n.samples for rule_id, n in numbers.items()} == dict.fromkeys(numbers, 50)
    assert evaluation.statistics.until_sample == intervals[-1] == SAMPLE_EVENTS
    for each in numbers.values():
        assert 0 < each.spent_s == pytest.approx(each.sampled_s / 50 * each.evaluations)
    assert numbers["R1"].matches == whole


async def test_a_rule_that_is_timed_and_fails_costs_nobody_else(catalogue: Catalogue) -> None:
    lifters = [RuleEngine(), _FaultyLifter()]
    rules = in_force(catalogue, WHOAMI, predicate("P1"), predicate("P2"), lifters=lifters)
    evaluation = Evaluation(lifters, attack_release="r", clock=lambda: NOW_S)
    count = 3 * SAMPLE_EVENTS
    answer = await evaluation.tag(batch([command("whoami bang")] * count), rules)
    numbers = evaluation.statistics.snapshot(rules)
    assert numbers["P2"].failures == len(answer.failures) == count
    assert numbers["P1"].tags == numbers["R1"].tags == count


@given(
    edits=st.lists(
        st.tuples(st.integers(0, 3), st.sampled_from(["edit", "delete", "mute"])), max_size=12
    ),
    groups=st.integers(1, 40),
)
@settings(max_examples=40)
def test_a_batch_finishes_on_the_rules_it_began_with(
    catalogue: Catalogue, edits: list[tuple[int, str]], groups: int
) -> None:
    """Whatever swaps happen between its events, a batch sees one set; the next sees the newest."""
    lifters = [RuleEngine()]
    held = in_force(catalogue, *(versioned(number, 1) for number in range(4)))
    event = command("w0 w1 w2 w3")
    evaluation = Evaluation(lifters, attack_release="r", clock=lambda: NOW_S)

    async def swap_during() -> tuple[list[set[tuple[str, int]]], RuleSet]:
        current = held
        with unittest.mock.patch("decnet_ttp.tagger.evaluation._MAX_HOLD_S", -1.0):
            whole = batch(*([event] * 4 for _ in range(groups)))
            tagging = asyncio.create_task(evaluation.tag(whole, held))
            await asyncio.sleep(0)
            for version, (number, how) in enumerate(edits, start=2):
                await asyncio.sleep(0)
                current = changed(current, number, how, version, catalogue)
            answer = await tagging
        return [{(t.rule_id, t.rule_version) for t in group.tags} for group in answer.groups], (
            current
        )

    seen, newest = asyncio.run(swap_during())
    assert seen == [{(f"R{number}", 1) for number in range(4)}] * groups
    after = asyncio.run(evaluation.tag(batch([event]), newest))
    expected = {
        (rule_id, live.rule.rule_version)
        for rule_id, live in newest.rules.items()
        if not live.experimental and not live.state.disabled
    }
    assert {(t.rule_id, t.rule_version) for g in after.groups for t in g.tags} == expected


def versioned(number: int, version: int) -> rule_pb2.Rule:
    made = rule(f"R{number}", field("command_text", pattern=rf"\bw{number}\b"))
    made.rule_version = version
    return made


def changed(rules: RuleSet, number: int, how: str, version: int, catalogue: Catalogue) -> RuleSet:
    if how == "delete":
        return rules.changed((), [f"R{number}"], [RuleEngine()], catalogue)
    edited = versioned(number, version)
    if how == "mute":
        edited.state.mode = rule_pb2.RULE_MODE_DISABLED
    return rules.changed([edited], (), [RuleEngine()], catalogue)
