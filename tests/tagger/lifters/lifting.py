# SPDX-License-Identifier: AGPL-3.0-or-later
"""Rules through the lifters that own them, without a tagger around."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from google.protobuf import json_format

from decnet_ttp.core.source_kinds import PAYLOAD_FIELD, SourceKind
from decnet_ttp.tagger.lifter import Finding
from decnet_ttp.tagger.lifters.behavioral import BehavioralLifter
from decnet_ttp.tagger.lifters.canary_fingerprint import CanaryFingerprintLifter
from decnet_ttp.tagger.lifters.credential import CredentialLifter
from decnet_ttp.tagger.lifters.email import EmailLifter
from decnet_ttp.tagger.lifters.http_fingerprint import HttpFingerprintLifter
from decnet_ttp.tagger.lifters.identity import IdentityLifter
from decnet_ttp.tagger.lifters.intel import IntelLifter
from decnet_ttp.tagger.lifters.ipv6_leak import Ipv6LeakLifter
from decnet_ttp.tagger.predicate_lifter import PredicateLifter
from decnet_ttp.v1 import event_pb2, rule_pb2

RULES = Path(__file__).parents[3] / "rules"

#: The lifters whose rules are tested here.
LIFTERS: tuple[type[PredicateLifter], ...] = (
    BehavioralLifter,
    CanaryFingerprintLifter,
    CredentialLifter,
    EmailLifter,
    HttpFingerprintLifter,
    IdentityLifter,
    IntelLifter,
    Ipv6LeakLifter,
)


def event(kind: str, **fields: Any) -> event_pb2.Event:
    """An event of a kind.

    `extra` is what the producer sent beside the typed fields, `mail_content` what a stored mail
    holds.
    """
    made = event_pb2.Event(source_kind=kind, source_id="e")
    extra = fields.pop("extra", None)
    if extra:
        made.extra.update(extra)
    content = fields.pop("mail_content", None)
    if content is not None:
        json_format.ParseDict(content, made.mail_content)
    payload = getattr(made, PAYLOAD_FIELD[SourceKind(kind)])
    payload.SetInParent()
    json_format.ParseDict(fields, payload)
    return made


def rule(
    kind: str,
    predicate: str,
    *techniques: str,
    confidence: float = 0.8,
    evidence_fields: Sequence[str] = (),
    **parameters: Any,
) -> rule_pb2.Rule:
    """A rule of a predicate that emits some techniques."""
    made = rule_pb2.Rule(
        rule_id="R9000",
        rule_version=1,
        applies_to=[kind],
        evidence_fields=evidence_fields,
        emissions=[
            rule_pb2.Emission(
                technique_id=technique.partition(".")[0],
                sub_technique_id=technique if "." in technique else "",
                confidence=confidence,
            )
            for technique in techniques
        ],
    )
    made.lifter_predicate.kind = f"lifter:{predicate}"
    made.lifter_predicate.parameters.update(parameters)
    return made


def lift(lifter: PredicateLifter, given: rule_pb2.Rule, on: event_pb2.Event) -> list[Finding]:
    """What a rule gives on an event."""
    assert lifter.owns(given)
    return list(lifter.compile([given], None).lift_rule(on, given.rule_id))


def techniques(findings: Sequence[Finding]) -> dict[str, float]:
    """Deepest ids that findings emit, with the factor of each."""
    return {
        each.rule.emissions[position].sub_technique_id
        or each.rule.emissions[position].technique_id: factor
        for each in findings
        for position, factor in zip(
            each.emissions, each.factors or [1.0] * len(each.emissions), strict=True
        )
    }
