# SPDX-License-Identifier: AGPL-3.0-or-later
"""Every subject makes the events it can, with ids that the same happening always has."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decnet_ttp.core.source_kinds import SourceKind
from decnet_ttp.ingest.batch import TaggerRequests, Upstream, sink_of
from decnet_ttp.ingest.directory_update import DirectoryUpdate
from decnet_ttp.ingest.fields import MAX_ID
from decnet_ttp.ingest.inputs.catalogue import INPUTS, SUBJECTS, input_for
from decnet_ttp.tag_store.fact_servicer import read_fact
from decnet_ttp.v1 import event_pb2

ALL_KINDS = frozenset(str(kind) for kind in SourceKind)
ATTACKER = "5b3c1f6e-0c5e-5a53-9a4e-111111111111"
OTHER = "5b3c1f6e-0c5e-5a53-9a4e-222222222222"
IDENTITY = "7d1fd5a0-6a0c-4b63-8a3e-333333333333"


def read(
    topic: str, payload: dict[str, Any], kind: str = "", *, resolved: str = ATTACKER
) -> Upstream:
    """Read a message, and resolve its addresses as the directory would."""
    source = input_for(topic)
    assert source is not None
    upstream = Upstream("origin", topic, payload, 100, kind=kind, source=source)
    assert source.read_anchor(upstream)
    for one in (upstream, *upstream.members):
        if one.ip and not one.attacker_uuid:
            one.attacker_uuid = resolved
    return upstream


def groups_of(upstream: Upstream) -> list[event_pb2.EventGroup]:
    """Return the groups a message becomes."""
    requests = TaggerRequests(ALL_KINDS)
    assert upstream.source is not None
    for part in upstream.source.parts(upstream):
        requests.begin(part)
        upstream.source.write(part, sink_of([requests]))
    return [group for request in requests.requests for group in request.groups]


def events_of(topic: str, payload: dict[str, Any], kind: str = "") -> list[event_pb2.Event]:
    """Return the events a message becomes."""
    return [event for group in groups_of(read(topic, payload, kind)) for event in group.events]


@pytest.mark.parametrize(
    "subject",
    [
        "canary.tok.placed",
        "canary.tok.revoked",
        "canary.session.ended",
        "canary.tok.extra.triggered",
        "attacker.scored",
        "attacker.session.started",
        "identity.scored",
        "campaign.assigned.twice",
        "canary.triggered",
    ],
)
def test_subjects_that_are_not_for_ingest_are_told_by_their_tokens(subject: str) -> None:
    assert input_for(subject) is None


def test_token_id_that_spells_another_subject_stays_a_canary() -> None:
    assert input_for("canary.observed.triggered") is INPUTS["canary.*.triggered"]
    assert input_for("canary.reuse_detected.triggered") is INPUTS["canary.*.triggered"]


def test_first_sight_of_an_attacker_is_one_session_whenever_it_is_told() -> None:
    payload = {
        "attacker_ip": "198.51.100.1",
        "service": "ssh",
        "first_seen": "2026-01-02T03:04:05Z",
    }
    (event,) = events_of("attacker.observed", payload)
    assert (event.source_kind, event.source_id) == ("session", f"observed:{ATTACKER}")
    assert event.session.service == "ssh"
    assert event.observe_time.ToJsonString() == "2026-01-02T03:04:05Z"


def test_intel_is_named_by_record_and_verdict() -> None:
    said = {
        "attacker_uuid": ATTACKER,
        "aggregate_verdict": "malicious",
        "abuseipdb_score": 90,
        "abuseipdb_categories": [18, 22],
        "feodo_listed": True,
    }
    (first,) = events_of("attacker.intel.enriched", said)
    (again,) = events_of(
        "attacker.intel.enriched", {"expires_at": "2027-01-01T00:00:00Z", "ts": 1.8e9, **said}
    )
    (changed,) = events_of("attacker.intel.enriched", {**said, "abuseipdb_score": 91})
    assert first.source_kind == "intel"
    assert first.source_id == again.source_id
    assert first.source_id.startswith(f"intel:{ATTACKER}:")
    assert changed.source_id != first.source_id
    assert list(first.intel.abuseipdb_categories) == [18, 22]
    assert first.intel.feodo_listed is True


def test_single_values_of_providers_become_lists() -> None:
    (event,) = events_of(
        "attacker.intel.enriched",
        {"attacker_ip": "198.51.100.1", "threat_type": "botnet_cc", "categories": [5]},
    )
    assert list(event.intel.threatfox_threat_types) == ["botnet_cc"]
    assert list(event.intel.abuseipdb_categories) == [5]


def test_leak_is_named_by_attacker_address_and_way() -> None:
    payload = {
        "attacker_ip": "198.51.100.1",
        "addr": "FE80::0001%eth0",
        "vector": "icmpv6",
        "iid_kind": "eui64",
        "observed_at": "2026-01-02T03:04:05+00:00",
    }
    (event,) = events_of("attacker.fingerprinted", payload, "ipv6_leak")
    assert event.source_kind == "ipv6_leak"
    assert event.source_id == f"ipv6_leak:{ATTACKER}:fe80::1:icmpv6"
    assert (event.ipv6_leak.addr, event.ipv6_leak.on_iface) == ("fe80::1", "eth0")
    assert event.extra["attacker_v4"] == "198.51.100.1"
    (other,) = events_of("attacker.fingerprinted", {**payload, "addr": "fe80::2"}, "ipv6_leak")
    assert other.source_id != event.source_id


@pytest.mark.parametrize(
    ("probe", "field"),
    [
        ("jarm", "jarm_hash"),
        ("hassh", "hassh_server"),
        ("tcpfp", "tcpfp_hash"),
        ("tls_cert", "fingerprint_sha256"),
        ("http2_settings", "settings"),
    ],
)
def test_other_probes_become_fingerprints(probe: str, field: str) -> None:
    payload = {"attacker_ip": "198.51.100.1", field: "abc123", "port": 443}
    (event,) = events_of("attacker.fingerprinted", payload, probe)
    assert event.source_kind == "http_fingerprint"
    assert event.http_fingerprint.fingerprint_type == probe
    assert event.http_fingerprint.hash == "abc123"
    assert event.extra["port"] == 443
    (again,) = events_of("attacker.fingerprinted", {**payload, "ts": 1.8e9}, probe)
    assert again.source_id == event.source_id


def test_probe_is_found_in_the_payload_when_the_envelope_does_not_name_it() -> None:
    (event,) = events_of(
        "attacker.fingerprinted", {"attacker_ip": "198.51.100.1", "kind": "jarm"}, "fingerprinted"
    )
    assert event.http_fingerprint.fingerprint_type == "jarm"


@pytest.mark.parametrize(("said", "found"), [("ja4h", "ja4h"), (None, "http_fingerprint")])
def test_envelope_that_names_the_kind_names_no_probe(said: str | None, found: str) -> None:
    """As the adapter of JSON lines writes events of that kind."""
    payload = {"attacker_ip": "198.51.100.1", "fingerprint_type": said, "hash": "ge11nn"}
    (event,) = events_of("attacker.fingerprinted", payload, "http_fingerprint")
    assert event.http_fingerprint.fingerprint_type == found


def test_formed_identity_is_named_by_itself_and_merged_one_by_both() -> None:
    formed = read("identity.formed", {"identity_uuid": IDENTITY, "observation_uuids": [ATTACKER]})
    ((group),) = groups_of(formed)
    assert (group.anchor.attacker_uuid, group.anchor.identity_uuid) == ("", IDENTITY)
    assert group.events[0].source_id == IDENTITY
    assert list(group.events[0].identity.observation_uuids) == [ATTACKER]
    merged = read("identity.merged", {"winner_uuid": IDENTITY, "loser_uuid": OTHER})
    (group,) = groups_of(merged)
    assert group.anchor.identity_uuid == IDENTITY
    assert group.events[0].source_id == f"merged:{IDENTITY}:{OTHER}"


REUSE = {
    "id": "r1",
    "secret_kind": "password",
    "target_count": 4,
    "attacker_uuids": [ATTACKER, OTHER],
    "attacker_ips": ["198.51.100.1", "198.51.100.2"],
    "services": ["ssh", "ftp"],
}


def test_reuse_is_about_each_attacker() -> None:
    upstream = read("credential.reuse.detected", REUSE)
    groups = groups_of(upstream)
    assert [group.anchor.attacker_uuid for group in groups] == [ATTACKER, OTHER]
    assert [group.events[0].source_id for group in groups] == [f"r1:{ATTACKER}", f"r1:{OTHER}"]
    payload = groups[0].events[0].credential
    assert (payload.reuse_count, payload.secret_kind) == (3, "password")
    assert payload.credential_hash == "record:r1"
    assert list(payload.services) == ["ssh", "ftp"]


def test_reuse_is_about_the_identity_that_all_share() -> None:
    upstream = read("credential.reuse.detected", {**REUSE, "attacker_uuids": []})
    for member, attacker in zip(upstream.members, (ATTACKER, OTHER), strict=True):
        member.attacker_uuid, member.identity_uuid = attacker, IDENTITY
    (group,) = groups_of(upstream)
    assert (group.anchor.attacker_uuid, group.anchor.identity_uuid) == ("", IDENTITY)
    assert group.events[0].source_id == f"r1:{IDENTITY}"


def test_reuse_waits_for_an_attacker_that_nobody_knows() -> None:
    upstream = read("credential.reuse.detected", {**REUSE, "attacker_uuids": []}, resolved="")
    upstream.members[0].attacker_uuid = ATTACKER
    assert groups_of(upstream) == []


def test_mail_keeps_the_id_of_its_producer() -> None:
    payload = {
        "source_id": "mail-1",
        "attacker_ip": "198.51.100.1",
        "decky_id": "mx-1",
        "subject": "invoice",
        "rcpt_count": 30,
        "attachment_macros": True,
    }
    upstream = read("email.received", payload)
    (group,) = groups_of(upstream)
    assert group.decky_id == "mx-1"
    assert group.events[0].source_id == "mail-1"
    assert group.events[0].email.rcpt_count == 30
    assert group.events[0].email.attachment_macros is True


def test_trigger_is_named_by_itself_with_source_and_decoy_under_their_other_names() -> None:
    payload = {
        "token_id": "forged",
        "trigger_id": "t-1",
        "src_ip": "::ffff:198.51.100.7",
        "decky_name": "web-1",
        "user_agent": "curl/8",
        "fingerprint": {"navigator_webdriver": True},
    }
    upstream = read("canary.tok9.triggered", payload)
    assert upstream.ip == "198.51.100.7"
    (group,) = groups_of(upstream)
    (event,) = group.events
    assert (group.decky_id, event.source_id) == ("web-1", "t-1")
    assert event.canary_fingerprint.token_id == upstream.topic.split(".")[1]
    assert event.canary_fingerprint.navigator_webdriver is True
    assert event.canary_fingerprint.user_agent == "curl/8"


def test_malformed_uuid_counts_as_absent() -> None:
    upstream = read("email.received", {"attacker_uuid": "nobody", "attacker_ip": "198.51.100.1"})
    assert upstream.attacker_uuid == ATTACKER


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
NAMES = (
    st.sampled_from(
        [
            "id",
            "source_id",
            "addr",
            "vector",
            "token_id",
            "trigger_id",
            "hash",
            "jarm",
            "ts",
            "decky",
        ]
    )
    | st.sampled_from(
        [
            "target_count",
            "credential_hash",
            "observation_uuids",
            "loser_uuid",
            "fingerprint",
            "urls",
        ]
    )
    | st.sampled_from(
        ["headers", "header_order", "http_requests", "payloads", "asn", "country", "c2_endpoints"]
    )
)


@given(st.sampled_from(SUBJECTS), st.dictionaries(NAMES, JSON), st.text(max_size=20))
def test_no_payload_breaks_an_input(subject: str, payload: dict[str, Any], kind: str) -> None:
    """Whatever a producer sends, events have ids that can be stored."""
    full = {"winner_uuid": IDENTITY, "campaign_uuid": IDENTITY, "attacker_uuids": [OTHER]}
    full |= {**payload, "attacker_ip": "198.51.100.1", "identity_uuid": IDENTITY}
    if "merged" in subject:
        full["loser_uuid"] = OTHER
    topic = subject.replace("*", "tok")
    update = DirectoryUpdate()
    upstream = read(topic, full, kind)
    assert upstream.source is not None
    upstream.source.tell(upstream, update)
    for request in update.requests():
        for fact in request.facts:
            assert read_fact(fact, "fact").value == fact.value
    for event in events_of(topic, full, kind):
        assert 0 < len(event.source_id.encode()) <= MAX_ID
        assert event.source_kind in ALL_KINDS
