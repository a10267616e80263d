# SPDX-License-Identifier: AGPL-3.0-or-later
"""What messages of each subject tell the directory."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from google.protobuf.json_format import MessageToDict

from decnet_ttp.ingest.batch import Upstream
from decnet_ttp.ingest.directory_update import DirectoryUpdate
from decnet_ttp.ingest.inputs.catalogue import input_for
from decnet_ttp.runtime.streams import DLQ_STREAM
from decnet_ttp.sources.cowrie import CowrieSource
from decnet_ttp.v1.attacker_fact_pb2 import FactKind
from ingest.backends import until
from ingest.rig import Rig

ATTACKER = "5b3c1f6e-0c5e-5a53-9a4e-111111111111"
OTHER = "5b3c1f6e-0c5e-5a53-9a4e-222222222222"
IDENTITY = "7d1fd5a0-6a0c-4b63-8a3e-333333333333"
LOSER = "7d1fd5a0-6a0c-4b63-8a3e-444444444444"
CAMPAIGN = "9d1fd5a0-6a0c-4b63-8a3e-555555555555"
SENT = "2026-03-05T12:00:00Z"


def told(topic: str, payload: dict[str, Any], kind: str = "") -> dict[str, Any]:
    """Return what one message tells, as JSON with the names of the wire."""
    source = input_for(topic)
    assert source is not None
    upstream = Upstream("o", topic, payload, 9, kind=kind, source=source, sent_s=1_772_712_000.0)
    assert source.read_anchor(upstream)
    if upstream.ip and not upstream.attacker_uuid:
        upstream.attacker_uuid = ATTACKER
    update = DirectoryUpdate()
    source.tell(upstream, update)
    found: dict[str, Any] = {}
    for request in update.requests():
        found |= MessageToDict(request, preserving_proto_field_name=True)
    return found


def facts(topic: str, payload: dict[str, Any], kind: str = "") -> dict[str, list[str]]:
    """Return the values told of an attacker, by kind."""
    found: dict[str, list[str]] = {}
    message = told(topic, {"attacker_ip": "192.0.2.1", **payload}, kind)
    for fact in message.get("facts", []):
        assert fact["attacker_uuid"] == ATTACKER
        found.setdefault(fact["kind"].removeprefix("FACT_KIND_"), []).append(fact["value"])
    return found


def test_session_tells_its_record_and_what_its_client_is() -> None:
    payload = {
        "attacker_ip": "192.0.2.1",
        "session_id": "s1",
        "decky_id": "d1",
        "service": "ssh",
        "started_at": "2026-03-05T11:00:00Z",
        "ended_at": "2026-03-05T11:01:00Z",
        "commands": ["id", "ls"],
        "auth_attempt_count": 9,
        "auth_attempts": [{}],
        "hassh": "AB" * 16,
        "payloads": [{"sha256": "cd" * 32, "filename": "x.sh"}],
    }
    message = told("attacker.session.ended", payload)
    assert message["sessions"] == [
        {
            "session_id": "s1",
            "attacker_uuid": ATTACKER,
            "decky_id": "d1",
            "service": "ssh",
            "start_time": "2026-03-05T11:00:00Z",
            "end_time": "2026-03-05T11:01:00Z",
            "command_count": "2",
            "auth_attempt_count": "9",
            "file_count": "1",
        }
    ]
    assert [(fact["value"], fact.get("attributes")) for fact in message["facts"]] == [
        ("ab" * 16, None),
        ("cd" * 32, {"filename": "x.sh"}),
    ]
    assert message["facts"][0]["first_seen_time"] == "2026-03-05T11:00:00Z"
    # The address led to the attacker, so the directory knows it.
    assert "attackers" not in message


def test_clock_that_was_set_back_makes_no_session_that_is_refused() -> None:
    payload = {
        "attacker_ip": "192.0.2.1",
        "session_id": "s1",
        "started_at": "2026-03-05T11:01:00Z",
        "ended_at": "2026-03-05T11:00:00Z",
        "hassh": "ab" * 16,
    }
    message = told("attacker.session.ended", payload)
    for entry, first, last in (
        (message["sessions"][0], "start_time", "end_time"),
        (message["facts"][0], "first_seen_time", "last_seen_time"),
    ):
        assert (entry[first], entry[last]) == ("2026-03-05T11:00:00Z", "2026-03-05T11:01:00Z")


@pytest.mark.parametrize(
    ("kind", "payload", "expected"),
    [
        ("jarm", {"hash": "1f" * 31}, {"JARM": ["1f" * 31]}),
        ("prober.jarm", {"jarm_hash": "00" * 31}, {}),
        ("hassh", {"hassh_server": "ab" * 16}, {"HASSH": ["ab" * 16]}),
        (
            "tcpfp",
            {"tcpfp_raw": "64240:128:1", "os_guess": "linux", "hop_distance": 7},
            {"TCP_FINGERPRINT": ["64240:128:1"], "OS_GUESS": ["linux"]},
        ),
        ("tls_cert", {"fingerprint_sha256": "ef" * 32}, {"TLS_CERT_SHA256": ["ef" * 32]}),
        ("ja4h", {"hash": "ge11nn0000_x"}, {"JA4H": ["ge11nn0000_x"]}),
        (
            "ipv6_leak",
            {"addr": "fe80::1%eth0", "mac_oui": "00:11:22"},
            {"IPV6_LINK_LOCAL": ["fe80::1"]},
        ),
        ("ipv6_leak", {"addr": "192.0.2.9"}, {}),
        ("ssh_banner", {"value": "SSH-2.0-Go"}, {"SSH_BANNER": ["SSH-2.0-Go"]}),
    ],
)
def test_every_probe_tells_its_fingerprint(
    kind: str, payload: dict[str, Any], expected: dict[str, list[str]]
) -> None:
    assert facts("attacker.fingerprinted", payload, kind) == expected


def test_mail_intel_canaries_and_requests_tell_theirs() -> None:
    mail = {"rcpt_domains": ["Example.ORG", "no domain"], "attachment_sha256s": ["ab" * 32, "x"]}
    assert facts("email.received", mail) == {
        "PAYLOAD_SHA256": ["ab" * 32],
        "SMTP_DOMAIN": ["example.org"],
    }
    intel = {
        "country": "nl",
        "asn": "AS64500",
        "as_name": "Example",
        "feodo_listed": True,
        "feodo_port": 447,
        "ioc_type": "ip:port",
        "threatfox_ioc": "192.0.2.9:8080",
    }
    assert facts("attacker.intel.enriched", intel) == {
        "COUNTRY": ["NL"],
        "ASN": ["64500"],
        "C2_ENDPOINT": ["192.0.2.9:8080", "192.0.2.1:447"],
    }
    behaviour = {"behavior_class": "beaconing", "tool_guesses": ["nmap"], "c2_host": "c2.example"}
    assert facts("attacker.observed", {**behaviour, "c2_port": 70_000}) == {
        "BEHAVIOR_CLASS": ["beaconing"],
        "TOOL_GUESS": ["nmap"],
    }
    canary = {"src_ip": "192.0.2.1", "ja3": "ab" * 16, "country_code": "Netherlands"}
    assert facts("canary.tok.triggered", canary) == {"JA3": ["ab" * 16]}
    names = ["Host", "User-Agent", "Accept", "Connection"]
    requests = [
        {"headers": dict.fromkeys(names, "x")},
        {"headers": {"Host": "x"}},
        {"header_order": ",".join(names)},
    ]
    quirks = facts("attacker.session.ended", {"http_requests": requests})
    assert [len(each) for each in quirks.pop("HTTP_QUIRK")] == [32]
    assert quirks == {}


def test_intel_tells_the_last_word_of_each_provider() -> None:
    payload = {
        "attacker_uuid": ATTACKER,
        "attacker_ip": "192.0.2.1",
        "enriched_at": SENT,
        "aggregate_verdict": "malicious",
        "abuseipdb_score": 90,
        "categories": [18, 22],
        "greynoise_classification": "malicious",
        "greynoise_tags": ["Mirai"],
        "feodo_listed": False,
    }
    message = told("attacker.intel.enriched", payload)
    assert message["intel_records"] == [
        {**each, "attacker_uuid": ATTACKER, "observe_time": SENT}
        for each in (
            {"provider": "aggregate", "verdict": "malicious"},
            {"provider": "abuseipdb", "score": 90.0, "signals": ["18", "22"]},
            {"provider": "greynoise", "verdict": "malicious", "signals": ["Mirai"]},
            {"provider": "feodo"},
        )
    ]
    # Who names an attacker by UUID may be the only one to know its address.
    assert message["attackers"] == [
        {
            "attacker_uuid": ATTACKER,
            "ip": "192.0.2.1",
            "first_seen_time": SENT,
            "last_seen_time": SENT,
        }
    ]


STATED = {"state_time": SENT}


@pytest.mark.parametrize(
    ("topic", "payload", "expected"),
    [
        (
            "identity.formed",
            {"identity_uuid": IDENTITY, "observation_uuids": [ATTACKER, "x", OTHER, ATTACKER]},
            {
                "identity_uuids": [IDENTITY],
                "memberships": [
                    {"attacker_uuid": each, "identity_uuid": IDENTITY, **STATED}
                    for each in (ATTACKER, OTHER)
                ],
            },
        ),
        (
            "identity.observation.linked",
            {"identity_uuid": IDENTITY, "observation_uuid": ATTACKER, "linked_at": SENT},
            {
                "identity_uuids": [IDENTITY],
                "memberships": [{"attacker_uuid": ATTACKER, "identity_uuid": IDENTITY, **STATED}],
            },
        ),
        (
            "identity.merged",
            {"winner_uuid": IDENTITY, "loser_uuid": LOSER},
            {"identity_merges": [{"loser_uuid": LOSER, "winner_uuid": IDENTITY, **STATED}]},
        ),
        (
            "identity.unmerged",
            {"winner_uuid": IDENTITY, "loser_uuid": LOSER},
            {"identity_merges": [{"loser_uuid": LOSER, **STATED}]},
        ),
        (
            "identity.campaign.assigned",
            {"identity_uuid": IDENTITY, "campaign_uuid": CAMPAIGN, "campaign_name": "night"},
            {
                "campaign_memberships": [
                    {
                        "identity_uuid": IDENTITY,
                        "campaign_uuid": CAMPAIGN,
                        "name": "night",
                        **STATED,
                    }
                ]
            },
        ),
        (
            "campaign.assigned",
            {"identity_uuid": IDENTITY, "campaign_uuid": None},
            {"campaign_memberships": [{"identity_uuid": IDENTITY, **STATED}]},
        ),
        (
            "campaign.formed",
            {"campaign_uuid": CAMPAIGN, "name": "night"},
            {"campaign_memberships": [{"campaign_uuid": CAMPAIGN, "name": "night", **STATED}]},
        ),
        (
            "campaign.merged",
            {"winner_uuid": CAMPAIGN, "loser_uuid": LOSER},
            {"campaign_merges": [{"loser_uuid": LOSER, "winner_uuid": CAMPAIGN, **STATED}]},
        ),
        (
            "campaign.unmerged",
            {"campaign_uuid": LOSER},
            {"campaign_merges": [{"loser_uuid": LOSER, **STATED}]},
        ),
    ],
)
def test_statements_about_identities_and_campaigns(
    topic: str, payload: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert told(topic, payload) == expected


def test_event_that_names_attacker_and_identity_mentions_both() -> None:
    payload = {"attacker_uuid": ATTACKER, "identity_uuid": IDENTITY, "decky_id": "d1"}
    message = told("email.received", payload)
    assert message["memberships"] == [{"attacker_uuid": ATTACKER, "identity_uuid": IDENTITY}]
    assert message["attackers"][0]["decky_id"] == "d1"


def test_what_several_messages_repeat_is_told_once_and_many_entries_are_shared_out() -> None:
    update = DirectoryUpdate()
    source = input_for("attacker.session.ended")
    assert source is not None
    for number in range(12_000):
        payload = {
            "session_id": f"s{number}",
            "identity_uuid": IDENTITY,
            "hassh": "ab" * 16,
            "ended_at": 1_772_712_000 + number,
        }
        upstream = Upstream("o", "attacker.session.ended", payload, 9, source=source)
        upstream.read_anchor()
        upstream.attacker_uuid = ATTACKER
        source.tell(upstream, update)
    requests = update.requests()
    assert [len(each.sessions) for each in requests] == [5_000, 5_000, 2_000]
    assert [len(each.memberships) for each in requests] == [1, 0, 0]
    (fact,) = requests[0].facts
    assert fact.last_seen_time.seconds - fact.first_seen_time.seconds == 11_999
    assert not any(each.facts for each in requests[1:])


def test_cowrie_logs_fill_ssh_facts(tmp_path: Any) -> None:
    """Hash, banner and order of the key exchange come from the log's own events."""
    lines = [
        {"eventid": "cowrie.session.connect", "src_ip": "192.0.2.1"},
        {"eventid": "cowrie.client.version", "version": "SSH-2.0-Go"},
        {
            "eventid": "cowrie.client.kex",
            "hassh": "ab" * 16,
            "hasshAlgorithms": "curve25519-sha256;aes128-ctr;hmac-sha1;none",
        },
        {"eventid": "cowrie.session.closed", "duration": 1.0},
    ]
    log = tmp_path / "cowrie.json"
    common = {"session": "s", "sensor": "d", "protocol": "ssh", "timestamp": SENT}
    log.write_bytes(b"".join(orjson.dumps({**common, **line}) + b"\n" for line in lines))
    (message,) = [item for item in CowrieSource().read([log]) if hasattr(item, "payload")]
    assert facts(message.topic, orjson.loads(message.payload)) == {
        "HASSH": ["ab" * 16],
        "KEX_ORDER": ["curve25519-sha256;aes128-ctr;hmac-sha1;none"],
        "SSH_BANNER": ["SSH-2.0-Go"],
    }


def test_every_kind_of_fact_has_a_name_in_the_table() -> None:
    """What exports read is told by somebody."""
    everything = {
        "jarm": "1f" * 31,
        "hassh": "ab" * 16,
        "ja3": "ab" * 16,
        "ja4h": "x",
        "kex_order": "a;b",
        "client_version": "SSH-2.0-x",
        "header_order": ["a"],
        "tls_cert_sha256": "ef" * 32,
        "payloads": [{"sha256": "ef" * 32, "simhash": "ef" * 8}],
        "rcpt_domains": ["a.example"],
        "c2_endpoint": "c2.example:443",
        "addr": "fe80::1",
        "country": "NL",
        "asn": 1,
        "os_guess": "x",
        "tool_guess": "x",
        "tcp_fingerprint": "x",
        "behavior_class": "x",
    }
    kinds = {name.removeprefix("FACT_KIND_") for name in FactKind.DESCRIPTOR.values_by_name} - {
        "UNSPECIFIED"
    }
    assert set(facts("attacker.fingerprinted", everything, "ipv6_leak")) == kinds


async def test_directory_is_told_beside_the_tags_and_refusals_cost_one_message(rig: Rig) -> None:
    rig.store.refused_session = "bad"
    rig.store.identities[ATTACKER] = IDENTITY
    async with rig.consumer():
        await rig.publish("good", "id")
        await rig.publish("bad", "id")
        formed = {"identity_uuid": IDENTITY, "observation_uuids": [OTHER]}
        await rig.send("identity.formed", "f1", formed)
        await rig.send("campaign.merged", "nobody", {"winner_uuid": CAMPAIGN})
        session = {"session_id": "named", "attacker_uuid": ATTACKER, "commands": ["ls"]}
        await rig.send("attacker.session.ended", "named", session)
        await until(rig.settled)
    sessions = {session.session_id for request in rig.store.updates for session in request.sessions}
    assert sessions == {"good", "named"}
    members = {
        (each.attacker_uuid, each.identity_uuid)
        for request in rig.store.updates
        for each in request.memberships
    }
    assert members == {(OTHER, IDENTITY)}
    # Who names an attacker alone is tagged for its identity as well.
    assert rig.store.anchors["named"] == (ATTACKER, IDENTITY)
    letters = (await rig.bus.js.stream_info(DLQ_STREAM)).state.messages
    assert letters == 2
