# SPDX-License-Identifier: AGPL-3.0-or-later
"""Rules on bodies see what a stored mail holds, and nothing else does."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest

from decnet_ttp.attack import Catalogue
from decnet_ttp.runtime.figures import Family
from decnet_ttp.tagger import messages as module
from decnet_ttp.tagger.artifacts import Artifacts
from decnet_ttp.tagger.evaluation import Evaluation
from decnet_ttp.tagger.figures import Figures
from decnet_ttp.tagger.lifter import Lifter
from decnet_ttp.tagger.lifters.behavioral import BehavioralLifter
from decnet_ttp.tagger.lifters.email import EmailLifter
from decnet_ttp.tagger.lifters.rule_engine import RuleEngine
from decnet_ttp.tagger.mail_content import read_mail
from decnet_ttp.tagger.messages import Messages
from decnet_ttp.tagger.rule_set import RuleSet
from decnet_ttp.tagger.servicer import TaggerServicer
from decnet_ttp.v1 import event_pb2, rule_pb2, scope_pb2, tagger_service_pb2
from tagger.lifters.lifting import rule
from tagger.mails import BEC, NAME, store

ANCHOR = scope_pb2.Anchor(attacker_uuid="6f9619ff-8b86-5d01-b42d-00cf4fc964ff")
RULE = rule(
    "email",
    "email_bec",
    "T1566.003",
    subject_keywords=["urgent"],
    body_keywords=["transfer"],
)
RULE.emissions[0].tactic = "TA0001"


def batch(*mails: event_pb2.EmailPayload, decky: str = "mail-1") -> module.event_pb2.EventGroup:
    events = [
        event_pb2.Event(source_kind="email", source_id=f"e{number}", email=mail)
        for number, mail in enumerate(mails)
    ]
    return event_pb2.EventGroup(origin_id="o", anchor=ANCHOR, decky_id=decky, events=events)


def mail(stored_as: str = NAME) -> event_pb2.EmailPayload:
    return event_pb2.EmailPayload(subject="urgent", stored_as=stored_as)


@pytest.fixture
def artifacts(tmp_path: Path) -> Artifacts:
    return Artifacts(tmp_path, max_bytes=10_000)


@pytest.fixture
def messages(artifacts: Artifacts) -> Iterator[Messages]:
    with Messages(artifacts) as made:
        yield made


async def tag(
    catalogue: Catalogue,
    messages: Messages | None,
    group: event_pb2.EventGroup,
    *rules: rule_pb2.Rule,
    lifter: Lifter | None = None,
) -> tagger_service_pb2.TagEventsResponse:
    lifters = [lifter or EmailLifter()]
    in_force = RuleSet.empty().changed(rules or (RULE,), (), lifters, catalogue)
    evaluation = Evaluation(lifters, attack_release="r", messages=messages)
    return await evaluation.tag(tagger_service_pb2.TagEventsRequest(groups=[group]), in_force)


async def test_a_rule_sees_the_body_and_its_evidence_does_not(
    catalogue: Catalogue, messages: Messages, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store(tmp_path, BEC)
    group = batch(mail())
    with caplog.at_level(logging.DEBUG):
        answer = await tag(catalogue, messages, group)
    (made,) = answer.groups[0].tags
    assert made.sub_technique_id == "T1566.003"
    assert not answer.unread_messages
    assert messages.artifacts.read_count == 1
    for text in (str(answer), caplog.text):
        for mark in ("XYZZY", "boss", "Head Office", "you@", "urgent wire"):
            assert mark not in text


async def test_content_is_gone_when_the_mail_was_evaluated(
    catalogue: Catalogue, messages: Messages, tmp_path: Path
) -> None:
    store(tmp_path, BEC)
    request = tagger_service_pb2.TagEventsRequest(groups=[batch(mail(), mail())])
    lifters = [EmailLifter()]
    rules = RuleSet.empty().changed([RULE], (), lifters, catalogue)
    await Evaluation(lifters, attack_release="r", messages=messages).tag(request, rules)
    assert not any(event.HasField("mail_content") for event in request.groups[0].events)


async def test_a_mail_is_parsed_once_and_off_the_event_loop(
    catalogue: Catalogue, messages: Messages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(tmp_path, BEC)
    threads = []

    def noting(data: bytes, payload: event_pb2.EmailPayload) -> event_pb2.MailContent:
        threads.append(threading.current_thread())
        return read_mail(data, payload)

    monkeypatch.setattr(module, "read_mail", noting)
    other = rule_pb2.Rule()
    other.CopyFrom(RULE)
    other.rule_id = "R9001"
    answer = await tag(catalogue, messages, batch(mail()), RULE, other)
    assert len(answer.groups[0].tags) == 2
    assert len(threads) == 1
    assert threads[0] is not threading.main_thread()


@pytest.mark.parametrize(
    ("decky", "name", "reason", "retryable"),
    [
        ("mail-2", NAME, "absent", True),
        ("../mail-1", NAME, "bad_decky", False),
        ("", NAME, "bad_decky", False),
        ("mail-1", "../../etc/passwd", "bad_name", False),
        ("mail-1", NAME.replace("message", "other"), "not_a_mail", False),
    ],
)
async def test_what_cannot_be_read_is_named_and_costs_only_the_rules_on_bodies(
    catalogue: Catalogue,
    messages: Messages,
    tmp_path: Path,
    decky: str,
    name: str,
    reason: str,
    retryable: bool,  # noqa: FBT001 - a table's column
) -> None:
    store(tmp_path, b"\n\n", name=NAME.replace("message", "other"))
    spoofed = mail(name)
    spoofed.from_domain = "a.example"
    spoofed.spf_pass = False
    other = rule("email", "email_sender_masquerade", "T1036")
    other.rule_id = "R9001"
    other.emissions[0].tactic = "TA0005"
    answer = await tag(catalogue, messages, batch(spoofed, decky=decky), RULE, other)
    assert [each.technique_id for each in answer.groups[0].tags] == ["T1036"]
    (unread,) = answer.unread_messages
    assert (unread.origin_id, unread.source_id) == ("o", "e0")
    assert (unread.reason, unread.retryable) == (reason, retryable)
    assert messages.artifacts.refused == {reason: 1}


async def test_nothing_is_read_for_a_mail_that_names_no_message_or_carries_its_content(
    catalogue: Catalogue, messages: Messages
) -> None:
    group = batch(mail(""), mail())
    group.events[1].mail_content.body_text = "transfer"
    answer = await tag(catalogue, messages, group)
    assert [each.source_id for each in answer.groups[0].tags] == ["e1"]
    assert not answer.unread_messages
    assert not messages.artifacts.refused


async def test_a_lifter_that_reads_no_messages_has_none_read(
    catalogue: Catalogue, messages: Messages, tmp_path: Path
) -> None:
    store(tmp_path, BEC)
    answer = await tag(catalogue, messages, batch(mail()), lifter=RuleEngine())
    assert not answer.unread_messages
    assert messages.artifacts.read_count == 0


NOTE = rule("email", "behavioral_ransom_note", "T1486", keywords=["bitcoin"])
NOTE.rule_id = "R9002"
NOTE.emissions[0].tactic = "TA0040"
RANSOM = (
    b"From: a@b.example\nSubject: hello\n\nYour files are encrypted. "
    b"Pay bitcoin to bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq\n"
)


async def test_a_ransom_note_is_read_without_the_lifter_of_mails(
    catalogue: Catalogue, messages: Messages, tmp_path: Path
) -> None:
    store(tmp_path, RANSOM)
    lifter = BehavioralLifter()
    answer = await tag(catalogue, messages, batch(mail()), NOTE, lifter=lifter)
    (made,) = answer.groups[0].tags
    assert (made.rule_id, made.technique_id) == ("R9002", "T1486")
    assert list(made.evidence.email.matched_signals) == ["btc_address"]
    assert not answer.unread_messages
    assert await described(lifter, messages.artifacts) == ["mail-1"]


async def test_no_mail_is_held_up_for_a_ransom_note(
    catalogue: Catalogue, messages: Messages
) -> None:
    """Its other tags are complete with the lifter of mails, wherever that reads it."""
    answer = await tag(catalogue, messages, batch(mail()), NOTE, lifter=BehavioralLifter())
    assert not answer.groups
    (unread,) = answer.unread_messages
    assert (unread.reason, unread.retryable) == ("absent", False)


async def test_the_event_loop_goes_on_while_a_large_mail_is_read(
    messages: Messages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(tmp_path, BEC)
    release = threading.Event()

    def slow(data: bytes, payload: event_pb2.EmailPayload) -> event_pb2.MailContent:
        assert release.wait(30)
        return read_mail(data, payload)

    monkeypatch.setattr(module, "read_mail", slow)
    group = batch(mail())
    reading = asyncio.create_task(messages.attach(group, group.events[0]))
    for _ in range(100):
        await asyncio.sleep(0)
    assert not reading.done()
    release.set()
    assert await reading is None
    assert group.events[0].HasField("mail_content")


async def described(lifter: Lifter, artifacts: Artifacts) -> Sequence[str]:
    """Decoys whose stored mails a tagger of a lifter says it reaches."""
    follower = SimpleNamespace(rules=RuleSet.empty(), revision=1, epoch="e", loaded=True)
    servicer = TaggerServicer(
        lifters=[lifter],
        follower=follower,  # type: ignore[arg-type]  # as much of one as this asks
        evaluation=Evaluation([lifter], attack_release="r"),
        attack_release="r",
        artifacts=artifacts,
    )
    request = tagger_service_pb2.DescribeTaggerRequest()
    answer = await servicer.DescribeTagger(request, None)  # type: ignore[arg-type]  # not looked at
    return list(answer.artifact_deckies)


async def test_a_tagger_says_whose_mails_it_reaches_as_they_are_now(
    artifacts: Artifacts, tmp_path: Path
) -> None:
    assert await described(EmailLifter(), artifacts) == []
    store(tmp_path, BEC, decky="mail-2")
    store(tmp_path, BEC, decky="mail-1")
    assert await described(EmailLifter(), artifacts) == ["mail-1", "mail-2"]
    assert await described(RuleEngine(), artifacts) == []


async def test_what_was_and_was_not_read_is_on_the_metrics_page(
    catalogue: Catalogue, messages: Messages, tmp_path: Path
) -> None:
    store(tmp_path, BEC)
    await tag(catalogue, messages, batch(mail(), mail("../x"), mail("../y")))
    rules = SimpleNamespace(rules=RuleSet.empty(), revision=1)
    figures = Figures(
        Evaluation([EmailLifter()], attack_release="r").statistics, rules, messages.artifacts
    )
    page = {each.name: each.values for each in await figures.counted() if isinstance(each, Family)}
    assert page["messages_read"] == {(): 1}
    assert page["messages_unread"] == {("bad_name",): 2}
    assert (await figures.progress())["messages_unread"] == 2
