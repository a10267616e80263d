# SPDX-License-Identifier: AGPL-3.0-or-later
"""What is known of one actor, in the order in which every document tells it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid5

from google.protobuf.timestamp_pb2 import Timestamp

from decnet_ttp.v1.attacker_fact_pb2 import AttackerFact, IntelRecord
from decnet_ttp.v1.directory_service_pb2 import Attacker
from decnet_ttp.v1.rollup_service_pb2 import TechniqueRow
from decnet_ttp.v1.tag_pb2 import Tag

#: Namespace of every id that is ours to give.
NAMESPACE = UUID("b5d2c3a1-8f4e-4d1b-9a6c-0e7f5b3d2c1a")


@dataclass(slots=True)
class Actor:
    """An attacker with what is stored of it; or an identity seen without any of its attackers.

    Attributes:
        uuid: UUID of the attacker, or of the identity.
        attacker: The attacker; without an address for an identity.
        tags: Its tags; empty where only roll-ups are exported.
        techniques: Its roll-up, where no tags are given.
        facts: Facts about it.
        intel: What providers say of it.
    """

    uuid: str
    attacker: Attacker
    tags: Sequence[Tag] = ()
    techniques: Sequence[TechniqueRow] = ()
    facts: Sequence[AttackerFact] = ()
    intel: Sequence[IntelRecord] = ()

    @property
    def name(self) -> str:
        """How other systems call it: by its identity where it has one."""
        identity = self.attacker.identity_uuid
        return f"DECNET-identity-{identity[:8]}" if identity else f"DECNET-attacker-{self.uuid[:8]}"


@dataclass(slots=True)
class Sightings:
    """How often something was seen, and when: nanoseconds since the epoch.

    Attributes:
        count: How often.
        first_ns: First time; None before anything is added.
        last_ns: Last time.
    """

    count: int = 0
    first_ns: int | None = None
    last_ns: int = 0

    def add(self, count: int, first_ns: int, last_ns: int) -> None:
        """Take in further sightings."""
        self.count += count
        self.first_ns = first_ns if self.first_ns is None else min(self.first_ns, first_ns)
        self.last_ns = max(self.last_ns, last_ns, self.first_ns)


@dataclass(slots=True)
class Summary:
    """An actor's tags, gathered in one pass.

    Attributes:
        whole: All that was seen.
        techniques: By id, dotted for a sub-technique, in the order of the ids.
        commands: Distinct commands by the SHA-256 of their whole text.
    """

    whole: Sightings = field(default_factory=Sightings)
    techniques: dict[str, Sightings] = field(default_factory=dict)
    commands: dict[str, tuple[str, Sightings]] = field(default_factory=dict)


def summarize(actor: Actor) -> Summary:
    """Gather techniques and commands, whatever the order of the tags."""
    found = Summary()
    for tag in actor.tags:
        at = time_of(tag)
        found.whole.add(1, at, at)
        technique = tag.sub_technique_id or tag.technique_id
        found.techniques.setdefault(technique, Sightings()).add(1, at, at)
        text = tag.evidence.command.command_text
        if text:
            digest = (
                tag.evidence.command.command_sha256 or hashlib.sha256(text.encode()).hexdigest()
            )
            found.commands.setdefault(digest, (text, Sightings()))[1].add(1, at, at)
    for row in actor.techniques:
        first, last = row.first_seen_time.ToNanoseconds(), row.last_seen_time.ToNanoseconds()
        found.whole.add(row.count, first, last)
        technique = row.sub_technique_id or row.technique_id
        found.techniques.setdefault(technique, Sightings()).add(row.count, first, last)
    if actor.attacker.HasField("first_seen_time"):
        first = actor.attacker.first_seen_time.ToNanoseconds()
        found.whole.add(0, first, max(first, actor.attacker.last_seen_time.ToNanoseconds()))
    found.techniques = dict(sorted(found.techniques.items()))
    found.commands = dict(sorted(found.commands.items()))
    return found


def time_of(tag: Tag) -> int:
    """Return when a tag's event happened, else when it was stored, in ns since the epoch."""
    known = tag.observe_time if tag.HasField("observe_time") else tag.create_time
    return known.ToNanoseconds()


def in_order(actors: Iterable[Actor]) -> list[Actor]:
    """Return actors by UUID."""
    return sorted(actors, key=lambda actor: actor.uuid)


def facts_in_order(actor: Actor) -> list[AttackerFact]:
    """Return an actor's facts by kind and value."""
    return sorted(actor.facts, key=lambda fact: (fact.kind, fact.value))


def tags_in_order(actor: Actor) -> list[Tag]:
    """Return an actor's tags by time and UUID."""
    return sorted(actor.tags, key=lambda tag: (time_of(tag), tag.uuid))


def intel_lines(actor: Actor) -> list[str]:
    """Return what providers say, one line each, by provider."""
    lines = []
    for record in sorted(actor.intel, key=lambda record: record.provider):
        words = [record.verdict or "no verdict"]
        if record.HasField("score"):
            words.append(f"score {record.score:g}")
        if record.signals:
            words.append(f"signals {' '.join(sorted(record.signals))}")
        lines.append(f"{record.provider}: {', '.join(words)}")
    return lines


def own_id(*parts: str) -> str:
    """Return the UUID of something that is ours to name, from what makes it that thing."""
    return str(uuid5(NAMESPACE, ":".join(parts)))


def stamp(nanoseconds: int) -> str:
    """Return a time as STIX writes it, in UTC to the millisecond."""
    time = Timestamp()
    time.FromNanoseconds(nanoseconds // 1_000_000 * 1_000_000)
    text = time.ToJsonString()
    return text if "." in text else f"{text[:-1]}.000Z"


Json = dict[str, Any]
"""An object of a document."""
