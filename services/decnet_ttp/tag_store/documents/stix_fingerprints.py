# SPDX-License-Identifier: AGPL-3.0-or-later
"""The extension of threat actors that carries what was measured of them."""

from __future__ import annotations

from collections.abc import Sequence

from decnet_ttp.tag_store.documents.actors import NAMESPACE, Json, own_id
from decnet_ttp.v1 import attacker_fact_pb2 as facts_pb
from decnet_ttp.v1.attacker_fact_pb2 import AttackerFact

#: Names of the extension and of its definition.
EXTENSION = f"extension-definition--{own_id('decnet-actor-fingerprint-v1')}"

# Kind of fact -> where its values are listed.
_LISTS = {
    facts_pb.FACT_KIND_TOOL_GUESS: ("network_behavior", "tool_guesses"),
    facts_pb.FACT_KIND_KEX_ORDER: ("protocol_fingerprints", "kex_order_raw"),
    facts_pb.FACT_KIND_SSH_BANNER: ("protocol_fingerprints", "ssh_client_banners"),
    facts_pb.FACT_KIND_JA3: ("protocol_fingerprints", "ja3_hashes"),
    facts_pb.FACT_KIND_JA4H: ("protocol_fingerprints", "ja4h_hashes"),
    facts_pb.FACT_KIND_HASSH: ("protocol_fingerprints", "hassh_hashes"),
    facts_pb.FACT_KIND_TLS_CERT_SHA256: ("protocol_fingerprints", "tls_cert_sha256"),
    facts_pb.FACT_KIND_PAYLOAD_SIMHASH: ("protocol_fingerprints", "payload_simhashes"),
    facts_pb.FACT_KIND_C2_ENDPOINT: ("protocol_fingerprints", "c2_endpoints"),
    facts_pb.FACT_KIND_JARM: ("protocol_fingerprints", "jarm_hashes"),
}
# Kind of fact -> where its latest value stands, and the attributes that stand beside it.
_SINGLE = {
    facts_pb.FACT_KIND_OS_GUESS: ("os_guess", ("hop_distance",)),
    facts_pb.FACT_KIND_TCP_FINGERPRINT: ("tcp_fingerprint", ()),
    facts_pb.FACT_KIND_BEHAVIOR_CLASS: (
        "behavior_class",
        ("beacon_interval_s", "beacon_jitter_pct"),
    ),
}
_QUIRK = ("order", "casing_category", "tool_guess")


def fingerprint(facts: Sequence[AttackerFact]) -> Json | None:
    """Return the extension's content, None when nothing was measured.

    Args:
        facts: An actor's facts by kind and value.
    """
    found: dict[str, Json] = {"network_behavior": {}, "protocol_fingerprints": {}}
    for fact in facts:
        if fact.kind in _LISTS:
            part, name = _LISTS[fact.kind]
            found[part].setdefault(name, []).append(fact.value)
        elif fact.kind == facts_pb.FACT_KIND_HTTP_QUIRK:
            quirk = {name: fact.attributes[name] for name in _QUIRK if name in fact.attributes}
            quirks = found["protocol_fingerprints"].setdefault("http_quirks", [])
            quirks.append({"order_hash": fact.value} | quirk)
    for kind, (name, attributes) in _SINGLE.items():
        latest = latest_of(facts, kind)
        if latest is not None:
            found["network_behavior"][name] = latest.value
            found["network_behavior"].update(
                (each, latest.attributes[each]) for each in attributes if each in latest.attributes
            )
    filled = {part: content for part, content in found.items() if content}
    return {"extension_type": "property-extension"} | filled if filled else None


def latest_of(facts: Sequence[AttackerFact], kind: int) -> AttackerFact | None:
    """Return the fact of a kind that was seen last; of equals the first by value."""
    return max(
        (fact for fact in facts if fact.kind == kind),
        key=lambda fact: fact.last_seen_time.ToNanoseconds(),
        default=None,
    )


def definition(created_by: str, at: str) -> Json:
    """Return the extension's definition, which every bundle that uses the extension carries."""
    return {
        "type": "extension-definition",
        "spec_version": "2.1",
        "id": EXTENSION,
        "created_by_ref": created_by,
        "created": at,
        "modified": at,
        "name": "DECNET actor fingerprint",
        "description": "What was measured of an actor: its network behaviour and the "
        "fingerprints of the protocols it speaks.",
        "schema": f"urn:uuid:{NAMESPACE}",
        "version": "1.0.0",
        "extension_types": ["property-extension"],
    }
