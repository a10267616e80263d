# SPDX-License-Identifier: AGPL-3.0-or-later
"""STIX 2.1 bundles of actors and what they were seen to do.

Every id follows from what the object is about, so that a second export updates the first.
Techniques are MITRE's own objects, referred to by MITRE's ids and never restated.
"""

from __future__ import annotations

import ipaddress
import json
import uuid
from collections.abc import Iterable, Iterator

from decnet_ttp.attack import Catalogue, Technique
from decnet_ttp.tag_store.documents.actors import (
    Actor,
    Json,
    Sightings,
    Summary,
    facts_in_order,
    in_order,
    intel_lines,
    own_id,
    stamp,
    summarize,
    tags_in_order,
    time_of,
)
from decnet_ttp.tag_store.documents.stix_fingerprints import (
    EXTENSION,
    definition,
    fingerprint,
    latest_of,
)
from decnet_ttp.v1 import attacker_fact_pb2 as facts_pb
from decnet_ttp.v1.attacker_fact_pb2 import AttackerFact

#: The organisation that speaks.
IDENTITY = f"identity--{own_id('decnet-honeypot')}"

# Namespace of cyber observables, STIX 2.1 section 2.9.
_OBSERVABLES = uuid.UUID("00abedb4-aa42-466c-9c01-fed23315a9b7")
_SINCE = "2026-01-01T00:00:00.000Z"
_MOST_OBSERVED = 999_999_999


def bundle(actors: Iterable[Actor], catalogue: Catalogue) -> Iterator[bytes]:
    """Yield a bundle in pieces, one object a line, as ASCII JSON.

    Args:
        actors: In any order; each once.
        catalogue: Tells MITRE's ids; techniques that it lacks are left out.
    """
    seen: set[str] = set()
    lines = []
    for each in _objects(in_order(actors), catalogue):
        if each["id"] not in seen:
            seen.add(each["id"])
            lines.append(json.dumps(each))
    # Of the content, so that a bundle with other content is another bundle.
    content = own_id("bundle", *lines)
    yield f'{{"type": "bundle", "id": "bundle--{content}", "objects": [\n'.encode()
    for at, line in enumerate(lines):
        yield (line + (",\n" if at + 1 < len(lines) else "\n")).encode()
    yield b"]}\n"


def _objects(actors: list[Actor], catalogue: Catalogue) -> Iterator[Json]:
    yield {
        "type": "identity",
        "spec_version": "2.1",
        "id": IDENTITY,
        "created": _SINCE,
        "modified": _SINCE,
        "name": "DECNET",
        "identity_class": "organization",
    }
    if any(fingerprint(actor.facts) for actor in actors):
        yield definition(IDENTITY, _SINCE)
    for actor in actors:
        yield from _Graph(actor, catalogue).objects()


class _Graph:
    """The objects of one actor."""

    def __init__(self, actor: Actor, catalogue: Catalogue) -> None:
        self._actor = actor
        self._catalogue = catalogue
        self._facts = facts_in_order(actor)
        self._summary: Summary = summarize(actor)
        self._id = f"threat-actor--{own_id(actor.uuid)}"
        self._address = address(actor.attacker.ip) if actor.attacker.ip else None
        self._seen = ""

    def objects(self) -> Iterator[Json]:
        whole = self._summary.whole
        yield self._threat_actor()
        if self._address is not None:
            yield self._address
            observed = self._observed(self._address, whole)
            self._seen = observed["id"]
            yield observed
            yield self._related("related-to", self._address["id"], whole)
        for technique_id, sightings in self._summary.techniques.items():
            technique = self._catalogue.techniques.get(technique_id)
            if technique is not None:
                uses = self._related("uses", technique.stix_id, sightings)
                yield uses | {"external_references": [self._reference(technique)]}
        yield from self._tags()
        yield from self._observables()
        yield from self._note()

    def _threat_actor(self) -> Json:
        made = self._made("threat-actor", self._id, self._summary.whole) | {
            "name": self._actor.name,
            "threat_actor_types": ["unknown"],
            **_span(self._summary.whole),
        }
        country = latest_of(self._facts, facts_pb.FACT_KIND_COUNTRY)
        if country is not None:
            made["x_decnet_country_code"] = country.value
        network = latest_of(self._facts, facts_pb.FACT_KIND_ASN)
        if network is not None:
            number = network.value.upper().removeprefix("AS")
            made["x_decnet_asn"] = int(number) if number.isdecimal() else network.value
            if network.attributes.get("name"):
                made["x_decnet_as_name"] = network.attributes["name"]
        measured = fingerprint(self._facts)
        if measured is not None:
            made["extensions"] = {EXTENSION: measured}
        return made

    def _tags(self) -> Iterator[Json]:
        for tag in tags_in_order(self._actor):
            technique = self._catalogue.techniques.get(tag.sub_technique_id or tag.technique_id)
            if technique is not None:
                at = time_of(tag)
                name = own_id("sighting", tag.uuid)
                yield self._sighting(name, technique.stix_id, Sightings(1, at, at), self._seen)

    def _observables(self) -> Iterator[Json]:
        for fact in self._facts:
            made: Json | None = None
            if fact.kind == facts_pb.FACT_KIND_PAYLOAD_SHA256:
                made = payload(fact)
            elif fact.kind == facts_pb.FACT_KIND_SMTP_DOMAIN:
                made = _observable("domain-name", {"value": fact.value})
            if made is not None:
                yield made
                yield self._observed(made, self._times(fact))
        for digest, (text, sightings) in self._summary.commands.items():
            process = {
                "type": "process",
                "spec_version": "2.1",
                "id": f"process--{own_id('command', digest)}",
                "command_line": text,
            }
            observed = self._observed(process, sightings)
            yield process
            yield observed
            name = own_id("sighting", self._id, observed["id"])
            yield self._sighting(name, self._id, sightings, observed["id"])

    def _note(self) -> Iterator[Json]:
        lines = intel_lines(self._actor)
        if lines:
            about = [self._id, *([self._address["id"]] if self._address else [])]
            name = f"note--{own_id('intel', self._id)}"
            yield self._made("note", name, self._summary.whole) | {
                "abstract": "DECNET threat-intel verdict",
                "content": "\n".join(lines),
                "object_refs": about,
            }

    def _times(self, fact: AttackerFact) -> Sightings:
        """Return when a fact was seen; of one without times, when its actor was."""
        if not fact.HasField("last_seen_time"):
            whole = self._summary.whole
            return Sightings(max(1, fact.count), whole.first_ns, whole.last_ns)
        known = fact.first_seen_time if fact.HasField("first_seen_time") else fact.last_seen_time
        found = Sightings()
        last = fact.last_seen_time.ToNanoseconds()
        found.add(max(1, fact.count), known.ToNanoseconds(), last)
        return found

    def _made(self, kind: str, name: str, sightings: Sightings) -> Json:
        return {
            "type": kind,
            "spec_version": "2.1",
            "id": name,
            "created_by_ref": IDENTITY,
            "created": stamp(sightings.first_ns or 0),
            "modified": stamp(sightings.last_ns),
        }

    def _observed(self, observable: Json, sightings: Sightings) -> Json:
        name = f"observed-data--{own_id('observed', self._id, observable['id'])}"
        return self._made("observed-data", name, sightings) | {
            "first_observed": stamp(sightings.first_ns or 0),
            "last_observed": stamp(sightings.last_ns),
            "number_observed": min(max(1, sightings.count), _MOST_OBSERVED),
            "object_refs": [observable["id"]],
        }

    def _related(self, how: str, target: str, sightings: Sightings) -> Json:
        name = f"relationship--{own_id(how, self._id, target)}"
        return self._made("relationship", name, sightings) | {
            "relationship_type": how,
            "source_ref": self._id,
            "target_ref": target,
        }

    def _sighting(self, name: str, of: str, sightings: Sightings, observed: str) -> Json:
        made = self._made("sighting", f"sighting--{name}", sightings) | {
            **_span(sightings),
            "count": min(sightings.count, _MOST_OBSERVED),
            "sighting_of_ref": of,
            "where_sighted_refs": [IDENTITY],
        }
        return made | {"observed_data_refs": [observed]} if observed else made

    def _reference(self, technique: Technique) -> Json:
        return {
            "source_name": "mitre-attack",
            "description": self._catalogue.full_name(technique.id) or technique.name,
            "url": technique.link,
            "external_id": technique.id,
        }


def _span(sightings: Sightings) -> Json:
    return {"first_seen": stamp(sightings.first_ns or 0), "last_seen": stamp(sightings.last_ns)}


def address(ip: str) -> Json:
    """Return the observable of an address, IPv4 or IPv6 in canonical form."""
    return _observable(f"ipv{ipaddress.ip_address(ip).version}-addr", {"value": ip})


def payload(fact: AttackerFact) -> Json | None:
    """Return the observable of a file; None for what is no SHA-256."""
    digest = fact.value.lower()
    if len(digest) != 64 or set(digest) - set("0123456789abcdef"):  # noqa: PLR2004  # hex of 256 bits
        return None
    name = fact.attributes.get("filename", "")
    return _observable("file", {"hashes": {"SHA-256": digest}} | ({"name": name} if name else {}))


def _observable(kind: str, contributing: Json) -> Json:
    """Return a cyber observable whose id is that of its content for everybody."""
    # RFC 8785, for values that are texts only.
    canonical = json.dumps(contributing, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    name = f"{kind}--{uuid.uuid5(_OBSERVABLES, canonical)}"
    return {"type": kind, "spec_version": "2.1", "id": name} | contributing
