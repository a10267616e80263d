# SPDX-License-Identifier: AGPL-3.0-or-later
"""credential.reuse.detected: one credential, several attackers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from decnet_ttp.core.addresses import canonical_ip
from decnet_ttp.core.source_kinds import SourceKind
from decnet_ttp.ingest.batch import Upstream
from decnet_ttp.ingest.fan_out import Sink
from decnet_ttp.ingest.fields import first_identifier, first_text, joined_id, texts, uuid_text
from decnet_ttp.ingest.inputs.reading import SKIP, Input, put, subject_of
from decnet_ttp.ingest.inputs.telling import nothing

#: Attackers of one message that are looked at; more are no use to anybody who reads the result.
_MOST_MEMBERS = 1_000

_LISTS = frozenset({"attacker_uuids", "attacker_ips", "target_count", "deckies"})


def _read(upstream: Upstream) -> bool:
    """Read the attackers, who become the members: by UUID, and by address."""
    alone = upstream.read_anchor()
    payload = upstream.payload

    def member(attacker: str = "", address: str = "") -> Upstream:
        return replace(
            upstream, attacker_uuid=attacker, identity_uuid="", ip=address, members=[], size_bytes=0
        )

    found = [uuid_text(item) for item in texts(payload.get("attacker_uuids"))]
    addresses = [canonical_ip(item) or "" for item in texts(payload.get("attacker_ips"))]
    members = [member(attacker=item) for item in dict.fromkeys(filter(None, found))]
    members += [member(address=item) for item in dict.fromkeys(filter(None, addresses))]
    upstream.members = members[:_MOST_MEMBERS]
    return alone or bool(upstream.members)


def _parts(upstream: Upstream) -> Sequence[Upstream]:
    """Return the identity that all members share, else each attacker.

    An address that nobody knows yet holds up the message, unless its attacker is named by UUID
    anyhow (producers send both lists).
    """
    if upstream.identity_uuid:
        return (replace(upstream, attacker_uuid="", members=[]),)
    members = upstream.members
    if not members:
        return (upstream,) if upstream.anchored else ()
    identities: dict[str, str] = {}
    strangers = 0
    for member in members:
        if not member.attacker_uuid:
            strangers += 1
        elif member.identity_uuid or member.attacker_uuid not in identities:
            identities[member.attacker_uuid] = member.identity_uuid
    named = sum(not member.ip for member in members)
    if strangers and strangers + len(identities) > named:
        return ()
    shared = set(identities.values())
    if len(shared) == 1 and (identity := next(iter(shared))):
        return (replace(upstream, attacker_uuid="", identity_uuid=identity, ip="", members=[]),)
    return tuple(
        replace(upstream, attacker_uuid=attacker, identity_uuid=identity, ip="", members=[])
        for attacker, identity in identities.items()
    )


def _write(upstream: Upstream, sink: Sink) -> int:
    """Write the reuse as seen from one anchor, which its id holds: all share one record."""
    payload = upstream.payload
    record = first_identifier(payload, "source_id", "id", "credential_id", "uuid")
    body = dict(payload)
    targets = payload.get("target_count")
    if "reuse_count" not in body and isinstance(targets, int) and not isinstance(targets, bool):
        # Used on so many targets: once, and again on each of the others.
        body["reuse_count"] = max(targets - 1, 0)
    if not body.get("credential_hash"):
        body["credential_hash"] = first_text(payload, "secret_hash", "secret_sha256", "hash") or (
            f"record:{record}" if record else ""
        )
    return put(
        sink,
        SourceKind.CREDENTIAL,
        body,
        joined_id(record or upstream.origin_id, f":{subject_of(upstream)}"),
        payload.get("observed_at"),
        payload.get("last_seen"),
        payload.get("ts"),
        skip=SKIP | _LISTS,
    )


REUSE_DETECTED = Input(_read, _parts, _write, nothing)
