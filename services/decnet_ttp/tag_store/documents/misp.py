# SPDX-License-Identifier: AGPL-3.0-or-later
"""MISP events, one an actor, in MISP's core format.

Every UUID follows from what it stands for, so that a second import updates the first. Events are
unpublished and for the importing organisation only; sharing is its decision.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Iterable, Iterator

from decnet_ttp.attack import ICS_DOMAIN, Catalogue
from decnet_ttp.tag_store.documents.actors import (
    Actor,
    Json,
    Sightings,
    facts_in_order,
    in_order,
    intel_lines,
    own_id,
    stamp,
    summarize,
)
from decnet_ttp.v1 import attacker_fact_pb2 as facts_pb
from decnet_ttp.v1.attacker_fact_pb2 import AttackerFact, FactKind

_ONLY_OUR_ORGANISATION, _INHERIT = "0", "5"
_UNDEFINED_THREAT, _ANALYSIS_COMPLETE = "4", "2"
_NS_PER_S = 1_000_000_000

_NETWORK, _PAYLOAD, _OTHER = "Network activity", "Payload delivery", "Other"
_MD5, _SHA256 = re.compile(r"[0-9a-f]{32}"), re.compile(r"[0-9a-f]{64}")

# Kind of fact -> type, category, whether it is fit for detection, form MISP asks for.
_TYPES = {
    facts_pb.FACT_KIND_HASSH: ("hassh-md5", _NETWORK, True, _MD5),
    facts_pb.FACT_KIND_JA3: ("ja3-fingerprint-md5", _NETWORK, True, _MD5),
    facts_pb.FACT_KIND_JARM: ("jarm-fingerprint", _NETWORK, True, re.compile("[0-9a-f]{62}")),
    facts_pb.FACT_KIND_TLS_CERT_SHA256: (
        "x509-fingerprint-sha256",
        "External analysis",
        True,
        _SHA256,
    ),
    facts_pb.FACT_KIND_PAYLOAD_SHA256: ("sha256", _PAYLOAD, True, _SHA256),
    # Whom it wrote to is a victim, not an indicator.
    facts_pb.FACT_KIND_SMTP_DOMAIN: ("domain", _NETWORK, False, re.compile(r"[\w.-]+")),
    facts_pb.FACT_KIND_ASN: ("AS", _NETWORK, False, re.compile(r"(?:AS|as)?\d{1,10}")),
}


def events(actors: Iterable[Actor], catalogue: Catalogue) -> list[Json]:
    """Return the events of actors by UUID; an actor of whom nothing is known has none.

    Args:
        actors: In any order; each once.
        catalogue: Tells techniques' names; those that it lacks are left out.
    """
    made = (_event(actor, catalogue) for actor in in_order(actors))
    return [event for event in made if event["Attribute"] or event["Tag"]]


def document(found: list[Json]) -> Iterator[bytes]:
    """Yield a file that MISP imports: the event, or the answer with several, as ASCII JSON."""
    lines = [json.dumps({"Event": event}) for event in found]
    if len(lines) == 1:
        yield lines[0].encode() + b"\n"
        return
    yield b'{"response": [\n'
    for at, line in enumerate(lines):
        yield (line + (",\n" if at + 1 < len(lines) else "\n")).encode()
    yield b"]}\n"


def _event(actor: Actor, catalogue: Catalogue) -> Json:
    summary = summarize(actor)
    whole = summary.whole
    uuid = own_id("misp-event", actor.uuid)
    return {
        "uuid": uuid,
        "info": f"{actor.name}: {whole.count} sightings of {len(summary.techniques)} techniques",
        "date": stamp(whole.first_ns or 0)[:10],
        "timestamp": str(whole.last_ns // _NS_PER_S),
        "threat_level_id": _UNDEFINED_THREAT,
        "analysis": _ANALYSIS_COMPLETE,
        "distribution": _ONLY_OUR_ORGANISATION,
        "published": False,
        "Orgc": {"name": "DECNET", "uuid": own_id("decnet-honeypot")},
        "Attribute": _distinct(uuid, _attributes(actor, whole, summary.commands)),
        "Tag": [
            {"name": _cluster(technique, catalogue)}
            for technique in summary.techniques
            if technique in catalogue.techniques
        ],
    }


def _cluster(technique_id: str, catalogue: Catalogue) -> str:
    """Return the tag of a technique's cluster; MISP's galaxies name those of ICS without ids."""
    name = catalogue.techniques[technique_id].name
    if catalogue.matrix_of(technique_id).domain == ICS_DOMAIN:
        return f'misp-galaxy:mitre-ics-techniques="{name}"'
    return f'misp-galaxy:mitre-attack-pattern="{name} - {technique_id}"'


def _attributes(
    actor: Actor, whole: Sightings, commands: dict[str, tuple[str, Sightings]]
) -> Iterator[Json]:
    if actor.attacker.ip:
        comment = "source of the attacks"
        yield _attribute("ip-src", _NETWORK, actor.attacker.ip, whole, comment, to_ids=True)
    for fact in facts_in_order(actor):
        yield _of_fact(fact, whole)
    for text, sightings in commands.values():
        yield _attribute("text", _OTHER, text, sightings, f"command, seen {sightings.count} times")
    for line in intel_lines(actor):
        yield _attribute("text", "External analysis", line, whole, "threat-intel verdict")


def _of_fact(fact: AttackerFact, whole: Sightings) -> Json:
    seen = whole
    if fact.HasField("first_seen_time") and fact.HasField("last_seen_time"):
        seen = Sightings()
        times = (fact.first_seen_time.ToNanoseconds(), fact.last_seen_time.ToNanoseconds())
        seen.add(fact.count, *times)
    comment = FactKind.Name(fact.kind).removeprefix("FACT_KIND_").lower().replace("_", " ")
    if fact.kind == facts_pb.FACT_KIND_C2_ENDPOINT:
        host, _, port = fact.value.rpartition(":")
        if host and port.isdecimal():
            kind = "ip-dst|port" if _is_address(host.strip("[]")) else "hostname|port"
            value = f"{host.strip('[]')}|{port}"
            return _attribute(kind, _NETWORK, value, seen, comment, to_ids=True)
    kind, category, to_ids, form = _TYPES.get(fact.kind, ("text", _OTHER, False, None))
    value = fact.value
    if form is not None and not form.fullmatch(value):
        # MISP refuses a value that has not its type's form; it stays readable as a text.
        kind, category, to_ids = "text", _OTHER, False
    if kind == "sha256" and fact.attributes.get("filename"):
        kind, value = "filename|sha256", f"{fact.attributes['filename']}|{value}"
    return _attribute(kind, category, value, seen, comment, to_ids=to_ids)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _attribute(
    kind: str, category: str, value: str, seen: Sightings, comment: str, *, to_ids: bool = False
) -> Json:
    return {
        "type": kind,
        "category": category,
        "value": value.strip(),
        "to_ids": to_ids,
        "distribution": _INHERIT,
        "comment": comment,
        "timestamp": str(seen.last_ns // _NS_PER_S),
        "first_seen": stamp(seen.first_ns or 0),
        "last_seen": stamp(seen.last_ns),
    }


def _distinct(event: str, attributes: Iterable[Json]) -> list[Json]:
    """Give attributes their UUIDs; MISP takes no value twice, and no empty one."""
    found: dict[str, Json] = {}
    for each in attributes:
        uuid = own_id("misp-attribute", event, each["category"], each["type"], each["value"])
        if each["value"]:
            found.setdefault(uuid, {"uuid": uuid} | each)
    return list(found.values())
