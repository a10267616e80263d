# SPDX-License-Identifier: AGPL-3.0-or-later
"""MISP events: their attributes and tags, the same whatever the order."""

from __future__ import annotations

import json
from uuid import UUID

import pymispgalaxies
import pytest

from decnet_ttp.attack import Catalogue, packaged_catalogue
from decnet_ttp.tag_store.documents.actors import Actor
from decnet_ttp.tag_store.documents.misp import document, events
from decnet_ttp.v1 import attacker_fact_pb2 as facts_pb
from decnet_ttp.v1.directory_service_pb2 import Attacker
from tag_store.documents.samples import ATTACKER, IDENTITY, PAYLOAD, actor, fact, tag


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    """The packaged release."""
    return packaged_catalogue()


def test_an_event_is_private_unpublished_and_of_the_days_it_tells(catalogue: Catalogue) -> None:
    (event,) = events([actor()], catalogue)
    assert {name: event[name] for name in event if name not in {"uuid", "Attribute", "Tag"}} == {
        "info": f"DECNET-identity-{IDENTITY[:8]}: 5 sightings of 4 techniques",
        "date": "2026-03-05",
        "timestamp": "1772712005",
        "threat_level_id": "4",
        "analysis": "2",
        "distribution": "0",
        "published": False,
        "Orgc": {"name": "DECNET", "uuid": "ade09431-1861-567a-a60c-b19ee3d0d6a6"},
    }


@pytest.mark.parametrize("ip", ["192.0.2.7", "2001:db8::7"])
def test_the_attackers_address_is_a_source(catalogue: Catalogue, ip: str) -> None:
    (event,) = events([actor(ip)], catalogue)
    first = event["Attribute"][0]
    assert {name: first[name] for name in first if name != "uuid"} == {
        "type": "ip-src",
        "category": "Network activity",
        "value": ip,
        "to_ids": True,
        "distribution": "5",
        "comment": "source of the attacks",
        "timestamp": "1772712005",
        "first_seen": "2026-03-05T12:00:01.000Z",
        "last_seen": "2026-03-05T12:00:05.000Z",
    }


def test_facts_commands_and_verdicts_have_misps_types(catalogue: Catalogue) -> None:
    (event,) = events([actor()], catalogue)
    shown = [(each["type"], each["value"], each["to_ids"]) for each in event["Attribute"][1:]]
    assert sorted(shown) == [
        ("AS", "AS64500", False),
        ("domain", "example.org", False),
        ("filename|sha256", f"x.sh|{PAYLOAD}", True),
        ("hassh-md5", "0df0d56bb50c6b2426d8d40234bf1826", True),
        ("text", "Linux", False),
        ("text", "NL", False),
        ("text", "Windows", False),
        ("text", "abuseipdb: malicious, score 90, signals brute ssh", False),
        ("text", "c0ffee", False),
        ("text", "curl \u202e\x1b[2J", False),
        ("text", "greynoise: benign", False),
        ("text", "id; uname -a", False),
        ("text", "not-a-hash", False),
    ]


@pytest.mark.parametrize(
    ("endpoint", "kind", "value"),
    [
        ("192.0.2.9:4444", "ip-dst|port", "192.0.2.9|4444"),
        ("[2001:db8::9]:4444", "ip-dst|port", "2001:db8::9|4444"),
        ("c2.example:443", "hostname|port", "c2.example|443"),
        ("c2.example", "text", "c2.example"),
    ],
)
def test_where_it_calls_home(catalogue: Catalogue, endpoint: str, kind: str, value: str) -> None:
    calling = Actor(ATTACKER, Attacker(), facts=[fact(facts_pb.FACT_KIND_C2_ENDPOINT, endpoint)])
    (event,) = events([calling], catalogue)
    assert [(each["type"], each["value"]) for each in event["Attribute"]] == [(kind, value)]


def test_techniques_are_tags_of_misps_own_clusters(catalogue: Catalogue) -> None:
    (event,) = events([actor()], catalogue)
    assert [each["name"] for each in event["Tag"]] == [
        'misp-galaxy:mitre-ics-techniques="Unauthorized Command Message"',
        'misp-galaxy:mitre-attack-pattern="Unix Shell - T1059.004"',
        'misp-galaxy:mitre-attack-pattern="System Information Discovery - T1082"',
    ]
    known = pymispgalaxies.Clusters()
    names = {
        name: {cluster.value for cluster in known[name].values()}
        for name in ("mitre-attack-pattern", "mitre-ics-techniques")
    }
    for each in event["Tag"]:
        galaxy, _, cluster = each["name"].removeprefix("misp-galaxy:").partition("=")
        assert cluster.strip('"') in names[galaxy]


def test_one_event_stands_alone_several_are_a_response_and_empty_ones_are_none(
    catalogue: Catalogue,
) -> None:
    other = Actor(str(UUID(int=0xB)), Attacker(ip="2001:db8::1"), tags=[tag(9)])
    nobody = Actor(str(UUID(int=0xC)), Attacker())
    alone = json.loads(b"".join(document(events([nobody, other], catalogue))))
    assert alone["Event"]["date"] == "2026-03-05"
    several = json.loads(b"".join(document(events([other, actor()], catalogue))))
    assert len(several["response"]) == 2
    assert several["response"][1] == alone


def test_the_same_data_in_any_order_gives_the_same_bytes(catalogue: Catalogue) -> None:
    first = b"".join(document(events([actor()], catalogue)))
    assert b"".join(document(events([actor(backwards=True)], catalogue))) == first
    first.decode("ascii")
    attributes = json.loads(first)["Event"]["Attribute"]
    assert len({each["uuid"] for each in attributes}) == len(attributes) == 14
