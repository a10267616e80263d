# SPDX-License-Identifier: AGPL-3.0-or-later
"""No payload of any kind makes a lifter fail, leave its evidence's bounds, or take long."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from decnet_ttp.attack import load_catalogue
from decnet_ttp.core.source_kinds import PAYLOAD_FIELD, SourceKind
from decnet_ttp.ingest.payloads import fill
from decnet_ttp.rule_store.loader import load_pack
from decnet_ttp.rule_store.vocabulary import Vocabulary
from decnet_ttp.tagger.evaluation import Evaluation
from decnet_ttp.tagger.rule_set import RuleSet
from decnet_ttp.v1 import event_pb2, scope_pb2, tag_pb2, tagger_service_pb2
from tagger.lifters.lifting import LIFTERS, RULES

ANCHOR = scope_pb2.Anchor(
    attacker_uuid="6f9619ff-8b86-5d01-b42d-00cf4fc964ff",
    identity_uuid="7f9619ff-8b86-5d01-b42d-00cf4fc964ff",
)

#: Kinds that some of the lifters read.
KINDS = sorted(
    {str(kind) for lifter in LIFTERS for each in lifter.predicates.values() for kind in each.reads}
)

#: Names that lifters look for beside the typed fields.
EXTRA_NAMES = (
    "target_count", "ip_count", "asn_count", "window_hours", "credential_hash", "body_simhash",
    "token_type", "kind", "webgl_renderer", "canvas_audio_hash_match", "tor_browser", "vm_timing",
    "src_ip", "ja3", "jarm", "hassh", "command_text", "body_text", "matched_path", "request_path",
    "llmnr_poisoned", "poisoned_query", "victim_host", "source_host", "behavior_class",
    "tool_guess", "tool_guesses", "from", "mail_from", "matched_kit", "xmailer_kit_match",
    "authenticated", "auth_user", "received_scanner_count",
)  # fmt: skip

TEXTS = st.text(max_size=12) | st.sampled_from(
    ("root", "success", "fe80::1", "fe80::1%x", "selenium", "jarm", "ja4h", "ge11nn050000",
     "listed", "botnet_cc", "scanner", "\0", "\u202e", "é" * 300, "q13i0310h3",
     "FLUSHALL", "privileged:true", "bind:/etc", "/.env", "router-confg", "brute_force", "nmap",
     "/api/v1/namespaces/x/secrets", "http://xn--pypal-4ve.com/", "http://[::1", "xn--\u00e9.com",
     "a.example", "b.example", "gophish", "lnk", "urgent wire", "<a href=http://x.test>send</a>",
     "ransom: pay 1BoatSLRHtKNngkdXEeobR76b53LETtpyT")
)  # fmt: skip
NUMBERS = st.integers() | st.floats() | st.sampled_from((-1, 0, 3, 2**63, 1e300))
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


def _names(kind: str) -> list[str]:
    member = event_pb2.Event.DESCRIPTOR.fields_by_name[PAYLOAD_FIELD[SourceKind(kind)]]
    return [field.name for field in member.message_type.fields] + list(EXTRA_NAMES)


@st.composite
def payloads(draw: st.DrawFn, kinds: Sequence[str] = KINDS) -> tuple[str, dict[str, Any]]:
    kind = draw(st.sampled_from(kinds))
    names = st.sampled_from(_names(kind)) | TEXTS
    return kind, draw(st.dictionaries(names, JSON, max_size=8))


@pytest.fixture(scope="module")
def rules() -> RuleSet:
    catalogue = load_catalogue()
    pack = load_pack([RULES], Vocabulary(catalogue), with_examples=False)
    lifters = [lifter() for lifter in LIFTERS]
    return RuleSet.empty().changed([each.message for each in pack.rules], (), lifters, catalogue)


async def tag(rules: RuleSet, kind: str, body: dict[str, Any]) -> list[tag_pb2.TagDraft]:
    event = event_pb2.Event(source_id="e")
    fill(event, kind, body, frozenset())
    group = event_pb2.EventGroup(origin_id="o", anchor=ANCHOR, events=[event])
    request = tagger_service_pb2.TagEventsRequest(groups=[group])
    lifters = [lifter() for lifter in LIFTERS]
    answer = await Evaluation(lifters, attack_release="enterprise-v17.1").tag(request, rules)
    assert not answer.failures
    return [tag for group in answer.groups for tag in group.tags]


def _texts(message: Any) -> list[str]:
    found = []
    for field, value in message.ListFields():
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            found += [str(key) for key in value]
        elif field.message_type is not None:
            found += _texts(value)
        elif isinstance(value, str):
            found.append(value)
        elif field.is_repeated:
            found += [each for each in value if isinstance(each, str)]
    return found


@given(payload=payloads())
@example(payload=("intel", {"abuseipdb_score": math.nan, "abuseipdb_categories": [18]}))
@example(payload=("intel", {"abuseipdb_score": math.inf, "abuseipdb_categories": [18]}))
@example(payload=("credential", {"target_count": math.nan}))
async def test_any_payload_gives_sound_tags_or_none(
    rules: RuleSet, payload: tuple[str, dict[str, Any]]
) -> None:
    kind, body = payload
    for made in await tag(rules, kind, body):
        assert made.evidence.WhichOneof("evidence") == PAYLOAD_FIELD[SourceKind(kind)]
        assert 0 <= made.confidence <= 1
        assert all(len(text) <= 320 for text in _texts(made.evidence))
        assert made.evidence.ByteSize() < 64 * 1024


@pytest.mark.parametrize("kind", KINDS)
async def test_large_payloads_are_read_in_proportion(rules: RuleSet, kind: str) -> None:
    """A megabyte in every text, ten thousand members in every list."""
    member = event_pb2.Event.DESCRIPTOR.fields_by_name[PAYLOAD_FIELD[SourceKind(kind)]]
    body: dict[str, Any] = dict.fromkeys(EXTRA_NAMES, "A1" * 2**19)
    for field in member.message_type.fields:
        text = field.cpp_type == field.CPPTYPE_STRING
        if field.is_repeated:
            body[field.name] = ["Cobalt Strike" if text else 18] * 10_000
        elif text:
            body[field.name] = "A1" * 2**19
    event = event_pb2.Event(source_id="e")
    fill(event, kind, body, frozenset())
    evaluators = list(rules.evaluators.values())
    began = time.process_time()
    findings = [found for evaluator in evaluators for found in evaluator.lift(event)]
    # The bound leaves room for a busy machine and none for a square.
    assert time.process_time() - began < 2.0
    assert all(found.evidence.ByteSize() < 64 * 1024 for found in findings)


LINES = st.lists(
    TEXTS
    | st.sampled_from(
        (
            "verify your account", "your paypal account", "dear netflix customer", "webcam",
            "bitcoin 1BoatSLRHtKNngkdXEeobR76b53LETtpyT", "send", "unsubscribe", "QUJD" * 2_000,
        )
    ),
    max_size=6,
).map(" ".join)  # fmt: skip
CONTENT = st.builds(
    event_pb2.MailContent,
    body_text=LINES,
    display_name=st.sampled_from(("PayPal", "Apple Support", "\u0430pple id")) | TEXTS,
    links=st.lists(st.builds(event_pb2.MailLink, url=TEXTS, text=TEXTS), max_size=3),
    hidden_image_urls=st.lists(TEXTS, max_size=3),
    attachments=st.lists(
        st.builds(
            event_pb2.MailAttachment,
            extension=st.sampled_from(("exe", "pdf", "lnk", "")) | TEXTS,
            inner_extension=st.sampled_from(("pdf", "jpg", "")) | TEXTS,
            content=st.sampled_from(("executable", "script", "document", "")) | TEXTS,
        ),
        max_size=3,
    ),
)
#: What only evidence of the rules' own words may be, beside hosts and hashes.
MARK = "xyzzymark"


@given(payload=payloads(("email",)), content=CONTENT, subject=LINES)
async def test_any_mail_gives_sound_evidence_and_none_of_its_words(
    rules: RuleSet,
    payload: tuple[str, dict[str, Any]],
    content: event_pb2.MailContent,
    subject: str,
) -> None:
    content.body_text += f" {MARK}"
    content.display_name += f" {MARK}"
    for link in content.links:
        link.url += f"/{MARK}"
        link.text += MARK
    event = event_pb2.Event(source_id="e", mail_content=content)
    fill(event, "email", {**payload[1], "subject": f"{subject} {MARK}"}, frozenset())
    for evaluator in rules.evaluators.values():
        if "email" not in evaluator.source_kinds:
            continue
        for found in evaluator.lift(event):
            assert found.evidence.ByteSize() < 64 * 1024
            assert MARK not in str(found.evidence)
            assert "@" not in str(found.evidence)


async def test_a_large_mail_is_read_in_proportion(rules: RuleSet) -> None:
    """A body, links and attachments up to the bounds within which mails are read."""
    event = event_pb2.Event(source_kind="email", source_id="e")
    event.email.subject = "urgent paypal " * 70
    event.mail_content.body_text = "verify your account dear paypal customer send " * 5_600
    event.mail_content.display_name = "\u0430" * 256
    for number in range(500):
        link = event.mail_content.links.add(text=f"www.bank{number}.example")
        link.url = f"http://xn--pypal-4ve{number}.example/" + "a" * 1_900
    for _ in range(200):
        event.mail_content.attachments.add(extension="pdf", content="executable")
    event.mail_content.hidden_image_urls.extend(["http://t.example/" + "a" * 1_900] * 100)
    evaluators = list(rules.evaluators.values())
    began = time.process_time()
    findings = [found for evaluator in evaluators for found in evaluator.lift(event)]
    # The bound leaves room for a busy machine and none for a square.
    assert time.process_time() - began < 2.0
    assert len(findings) > 3
