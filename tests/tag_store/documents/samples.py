# SPDX-License-Identifier: AGPL-3.0-or-later
"""An actor with everything that can be known of one."""

from __future__ import annotations

from uuid import UUID

from google.protobuf.timestamp_pb2 import Timestamp

from decnet_ttp.tag_store.documents.actors import Actor
from decnet_ttp.v1 import attacker_fact_pb2 as facts_pb
from decnet_ttp.v1.attacker_fact_pb2 import AttackerFact, IntelRecord
from decnet_ttp.v1.directory_service_pb2 import Attacker
from decnet_ttp.v1.scope_pb2 import Anchor
from decnet_ttp.v1.tag_pb2 import CommandEvidence, Evidence, Tag

#: 2026-03-05 12:00:00 UTC.
NOON = 1_772_712_000
ATTACKER = str(UUID(int=0xA))
IDENTITY = "1d000000-0000-0000-0000-000000000001"
PAYLOAD = "ab" * 32


def tag(
    number: int, technique: str = "T1059.004", *, command: str = "", attacker: str = ATTACKER
) -> Tag:
    """Return a tag; `number` is its UUID and how many seconds after noon it was."""
    parent, _, child = technique.partition(".")
    return Tag(
        uuid=str(UUID(int=number)),
        anchor=Anchor(attacker_uuid=attacker),
        technique_id=parent,
        sub_technique_id=technique if child else "",
        evidence=Evidence(command=CommandEvidence(command_text=command)),
        observe_time=Timestamp(seconds=NOON + number),
    )


def fact(kind: facts_pb.FactKind, value: str, at: int = 0, **attributes: str) -> AttackerFact:
    """Return a fact seen some seconds after noon."""
    seen = Timestamp(seconds=NOON + at)
    return AttackerFact(
        attacker_uuid=ATTACKER,
        kind=kind,
        value=value,
        count=2,
        first_seen_time=seen,
        last_seen_time=seen,
        attributes=attributes,
    )


def tags() -> list[Tag]:
    """Return tags of both matrices, one command twice, one technique that no release has."""
    return [
        tag(1, command="id; uname -a"),
        tag(2, command="id; uname -a"),
        tag(3, "T1082", command="curl \u202e\x1b[2J"),
        tag(4, "T0855"),
        tag(5, "T9999"),
    ]


def facts() -> list[AttackerFact]:
    """Return a fact of each sort that documents tell apart."""
    return [
        fact(facts_pb.FACT_KIND_HASSH, "0df0d56bb50c6b2426d8d40234bf1826"),
        fact(facts_pb.FACT_KIND_OS_GUESS, "Windows", 1),
        fact(facts_pb.FACT_KIND_OS_GUESS, "Linux", 2, hop_distance="12"),
        fact(facts_pb.FACT_KIND_HTTP_QUIRK, "c0ffee", order="Host,Accept", tool_guess="curl"),
        fact(facts_pb.FACT_KIND_PAYLOAD_SHA256, PAYLOAD, filename="x.sh"),
        fact(facts_pb.FACT_KIND_PAYLOAD_SHA256, "not-a-hash"),
        fact(facts_pb.FACT_KIND_SMTP_DOMAIN, "example.org"),
        fact(facts_pb.FACT_KIND_COUNTRY, "NL"),
        fact(facts_pb.FACT_KIND_ASN, "AS64500", name="Example Net"),
    ]


def actor(ip: str = "192.0.2.7", *, backwards: bool = False) -> Actor:
    """Return the actor, with everything in one order or the other."""
    step = -1 if backwards else 1
    intel = [
        IntelRecord(provider="greynoise", verdict="benign"),
        IntelRecord(provider="abuseipdb", verdict="malicious", score=90, signals=["ssh", "brute"]),
    ]
    return Actor(
        ATTACKER,
        Attacker(uuid=ATTACKER, ip=ip, identity_uuid=IDENTITY),
        tags=tags()[::step],
        facts=facts()[::step],
        intel=intel[::step],
    )
