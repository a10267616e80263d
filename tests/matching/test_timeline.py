# SPDX-License-Identifier: AGPL-3.0-or-later
"""Timelines: steps in order or not, counts, different values, time; held against brute force."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations, pairwise, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decnet_ttp.matching import RuleInvalidError, RulePack, TimelineResult
from decnet_ttp.matching.timeline import MAX_AT_LEAST, MAX_STEPS
from decnet_ttp.v1 import event_pb2, rule_pb2
from matching.builders import field, rule

NOON_S = 1_767_225_600

Part = tuple[float | None, event_pb2.Event]


def command(at_s: float | None, text: str) -> event_pb2.Event:
    event = event_pb2.Event(source_kind="command", source_id=f"c{at_s}-{text}")
    event.command.command_text = text
    return _timed(event, at_s)


def log_in(at_s: float | None, result: str, username: str = "root") -> event_pb2.Event:
    event = event_pb2.Event(source_kind="auth_attempt", source_id=f"a{at_s}-{username}")
    event.auth_attempt.result = result
    event.auth_attempt.username = username
    return _timed(event, at_s)


def _timed(event: event_pb2.Event, at_s: float | None) -> event_pb2.Event:
    if at_s is not None:
        event.observe_time.FromNanoseconds(int((NOON_S + at_s) * 1e9))
    return event


def step(
    name: str, at_least: int = 1, distinct: str = "", **conditions: rule_pb2.Condition
) -> rule_pb2.TimelineStep:
    made = rule_pb2.TimelineStep(name=name, at_least=at_least, distinct_field=distinct)
    for kind, condition in conditions.items():
        made.parts.add(source_kind=kind, condition=condition)
    return made


def timeline(
    *steps: rule_pb2.TimelineStep,
    ordered: bool = True,
    timespan_s: int = 0,
    session: rule_pb2.Condition | None = None,
) -> rule_pb2.Rule:
    made = rule_pb2.Rule(rule_id="R1", rule_version=1, applies_to=["session"])
    made.timeline.ordered = ordered
    made.timeline.steps.extend(steps)
    if timespan_s:
        made.timeline.timespan.FromSeconds(timespan_s)
    if session is not None:
        made.timeline.session.CopyFrom(session)
    return made


def run(
    made: rule_pb2.Rule, *parts: event_pb2.Event, session: event_pb2.Event | None = None
) -> TimelineResult:
    whole = session or event_pb2.Event(source_kind="session", source_id="s")
    pack = RulePack.compile([made])
    result = pack.result(made.rule_id, [whole, *parts])
    assert bool(list(pack.timelines([whole, *parts]).fired())) == result.matched
    return result


LETTERS = "abc"
FAILED = step("failed", 3, auth_attempt=field("result", equals=["failure"]))
LOGGED_IN = step("logged_in", auth_attempt=field("result", equals=["success"]))
FETCH = step("fetch", command=field("command_text", contains=["wget"]))
EXECUTE = step("execute", command=field("command_text", contains=["./"]))


def test_steps_in_order_fire_and_tell_part_count_and_offset() -> None:
    result = run(
        timeline(FAILED, LOGGED_IN, FETCH),
        command(9, "wget x"),
        *(log_in(second, "failure") for second in range(4)),
        log_in(5, "success"),
    )
    assert result.matched
    assert [(each.name, each.count, each.source_id, each.offset_s) for each in result.steps] == [
        ("failed", 4, "a3-root", 0.0 + 2),
        ("logged_in", 1, "a5-root", 4.0),
        ("fetch", 1, "c9-wget x", 8.0),
    ]


def test_steps_out_of_order_fire_only_where_no_order_is_asked_for() -> None:
    parts = (command(1, "./x"), command(2, "wget x"))
    assert not run(timeline(FETCH, EXECUTE), *parts).matched
    assert run(timeline(FETCH, EXECUTE, ordered=False), *parts).matched


def test_one_part_may_take_several_steps() -> None:
    assert run(timeline(FETCH, EXECUTE), command(1, "wget x; ./x")).matched


def test_one_part_counts_once_within_a_step() -> None:
    twice = step("fetch", 2, command=field("command_text", contains=["wget", "x"]))
    assert not run(timeline(twice), command(1, "wget x; wget x")).matched


def test_a_later_beginning_is_found_when_the_first_is_too_long_ago() -> None:
    made = timeline(FETCH, EXECUTE, timespan_s=10)
    parts = (command(0, "wget a"), command(30, "wget b"), command(40, "./b"))
    result = run(made, *parts)
    assert result.matched
    assert result.steps[0].source_id == "c30-wget b"
    assert not run(made, parts[0], parts[2]).matched


def test_what_came_too_late_is_told_as_held_though_the_rule_is_silent() -> None:
    result = run(timeline(FETCH, EXECUTE, timespan_s=10), command(0, "wget a"), command(99, "./a"))
    assert (result.matched, [each.held for each in result.steps]) == (False, [True, True])


def test_how_far_a_session_got_is_told() -> None:
    result = run(timeline(FAILED, LOGGED_IN, FETCH), *(log_in(n, "failure") for n in range(3)))
    assert [each.held for each in result.steps] == [True, False, False]


def test_different_values_are_counted_instead_of_parts() -> None:
    names = step("names", 3, "username", auth_attempt=field("result", equals=["failure"]))
    same = [log_in(n, "failure", "root") for n in range(9)]
    assert not run(timeline(names), *same).matched
    assert run(
        timeline(names), *same, log_in(10, "failure", "a"), log_in(11, "failure", "b")
    ).matched


def test_kinds_of_one_step_are_alternatives() -> None:
    brought = step(
        "brought",
        command=field("command_text", contains=["wget"]),
        payload=field("direction", equals=["upload"]),
    )
    upload = event_pb2.Event(source_kind="payload", source_id="f")
    upload.file.direction = "upload"
    assert run(timeline(brought), upload).matched
    assert run(timeline(brought), command(1, "wget x")).matched


def test_the_session_itself_must_fulfil_its_condition() -> None:
    made = timeline(FETCH, session=field("service", equals=["telnet"]))
    session = event_pb2.Event(source_kind="session", source_id="s")
    session.session.service = "telnet"
    assert run(made, command(1, "wget x"), session=session).matched
    session.session.service = "ssh"
    assert not run(made, command(1, "wget x"), session=session).matched


def test_parts_of_one_instant_are_taken_log_ins_first() -> None:
    assert run(timeline(LOGGED_IN, FETCH), command(1, "wget x"), log_in(1, "success")).matched
    assert not run(timeline(FETCH, LOGGED_IN), command(1, "wget"), log_in(1, "success")).matched


def test_parts_without_times_keep_the_order_of_their_list() -> None:
    made = timeline(FETCH, EXECUTE, timespan_s=1)
    assert run(made, command(None, "wget x"), command(None, "./x")).matched
    assert not run(made, command(None, "./x"), command(None, "wget x")).matched


def test_a_part_without_a_time_stands_by_the_one_before_it() -> None:
    made = timeline(FETCH, EXECUTE, timespan_s=5)
    assert run(made, command(100, "wget x"), command(None, "./x")).matched


def test_steps_share_the_search_with_rules_of_their_kind() -> None:
    made = timeline(FETCH, EXECUTE)
    plain = rule("R0", field("command_text", contains=["wget"]))
    pack = RulePack.compile([plain, made])
    event = command(1, "wget x")
    assert [match.rule.rule_id for match in pack.evaluate(event)] == ["R0"]
    assert [match.rule.rule_id for match in pack.matches(event)] == ["R0", "R1"]
    assert pack.source_kinds == {"command", "session"}


def test_an_unchanged_timeline_is_taken_over() -> None:
    before = RulePack.compile([timeline(FETCH, EXECUTE)])
    after = RulePack.compile([timeline(FETCH, EXECUTE)], before)
    changed = RulePack.compile([timeline(FETCH)], before)
    assert after.rules["R1"].tree is before.rules["R1"].tree
    assert changed.rules["R1"].tree is not before.rules["R1"].tree


@pytest.mark.parametrize(
    ("made", "fault"),
    [
        (timeline(), f"1 to {MAX_STEPS} steps"),
        (timeline(*([FETCH] * (MAX_STEPS + 1))), f"1 to {MAX_STEPS} steps"),
        (timeline(FETCH, FETCH), "two steps"),
        (timeline(step("x", MAX_AT_LEAST + 1, command=field("pwd", equals=["/"]))), "at_least"),
        (timeline(step("x")), "no part"),
        (timeline(step("x", session=field("service", equals=["ssh"]))), "its parts are of"),
        (timeline(step("x", command=field("command_text", pattern="("))), "no pattern"),
    ],
)
def test_a_timeline_that_cannot_be_is_refused(made: rule_pb2.Rule, fault: str) -> None:
    with pytest.raises(RuleInvalidError, match=fault):
        RulePack.compile([made])


def test_a_timeline_reads_nothing_but_sessions() -> None:
    made = timeline(FETCH)
    made.applies_to[:] = ["command"]
    with pytest.raises(RuleInvalidError, match=r"applies_to: \[session\]"):
        RulePack.compile([made])


HITS = st.lists(
    st.tuples(st.integers(0, 12), st.sampled_from(LETTERS), st.sampled_from("uv")), max_size=9
)
STEPS = st.lists(
    st.tuples(st.sampled_from(LETTERS), st.integers(1, 3), st.booleans()), min_size=1, max_size=3
)


@given(hits=HITS, steps=STEPS, timespan_s=st.integers(0, 8), ordered=st.booleans())
def test_timelines_fire_exactly_where_brute_force_finds_a_way(
    hits: list[tuple[int, str, str]],
    steps: list[tuple[str, int, bool]],
    timespan_s: int,
    ordered: bool,  # noqa: FBT001 - Hypothesis passes it by name
) -> None:
    hits = sorted(hits, key=lambda hit: hit[0])
    made = timeline(
        *(
            step(
                f"s{number}",
                count,
                "user" if different else "",
                command=field("command_text", contains=[letter]),
            )
            for number, (letter, count, different) in enumerate(steps)
        ),
        ordered=ordered,
        timespan_s=timespan_s,
    )
    parts = []
    for number, (at_s, letter, user) in enumerate(hits):
        part = command(at_s, letter)
        part.source_id = str(number)
        part.command.user = user
        parts.append(part)
    assert run(made, *parts).matched == _brute_force(hits, steps, timespan_s, ordered=ordered)


def _brute_force(
    hits: Sequence[tuple[int, str, str]],
    steps: Sequence[tuple[str, int, bool]],
    timespan_s: int,
    *,
    ordered: bool,
) -> bool:
    def ways(letter: str, count: int, different: bool) -> list[tuple[int, ...]]:  # noqa: FBT001 - a step
        fitting = [n for n, hit in enumerate(hits) if hit[1] == letter]
        chosen = list(combinations(fitting, count))
        if different:
            chosen = [way for way in chosen if len({hits[n][2] for n in way}) == count]
        return chosen

    good: Callable[[tuple[int, ...], tuple[int, ...]], bool]
    good = (lambda a, b: a[-1] <= b[0]) if ordered else (lambda _a, _b: True)
    for chosen in product(*(ways(*each) for each in steps)):
        times = [hits[n][0] for way in chosen for n in way]
        in_time = not timespan_s or max(times) - min(times) <= timespan_s
        if in_time and all(good(a, b) for a, b in pairwise(chosen)):
            return True
    return False
