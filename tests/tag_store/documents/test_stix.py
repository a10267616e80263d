# SPDX-License-Identifier: AGPL-3.0-or-later
"""STIX bundles: valid to the library, the same whatever the order, MITRE's objects by their ids."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import pytest
import stix2

from decnet_ttp.attack import Catalogue, packaged_catalogue
from decnet_ttp.tag_store.documents.actors import Actor
from decnet_ttp.tag_store.documents.stix import address, bundle
from decnet_ttp.tag_store.documents.stix_fingerprints import EXTENSION
from decnet_ttp.v1.directory_service_pb2 import Attacker
from tag_store.documents.samples import ATTACKER, IDENTITY, PAYLOAD, actor, tag


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    """The packaged release."""
    return packaged_catalogue()


def objects(actors: list[Actor], catalogue: Catalogue) -> list[dict[str, Any]]:
    """Return a bundle's objects, after the library has read each of them strictly."""
    content = b"".join(bundle(actors, catalogue))
    content.decode("ascii")
    found: list[dict[str, Any]] = json.loads(content)["objects"]
    stix2.parse(content, allow_custom=True)
    for each in found:
        strict = {name: value for name, value in each.items() if not name.startswith("x_decnet")}
        stix2.parse(strict, version="2.1")
    return found


def of_type(found: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    """Return the objects of a type."""
    return [each for each in found if each["type"] == kind]


def test_who_speaks_and_who_acts(catalogue: Catalogue) -> None:
    found = objects([actor()], catalogue)
    assert found[0]["id"] == "identity--ade09431-1861-567a-a60c-b19ee3d0d6a6"
    (acting,) = of_type(found, "threat-actor")
    assert {name: acting[name] for name in acting if name not in {"id", "extensions"}} == {
        "type": "threat-actor",
        "spec_version": "2.1",
        "created_by_ref": found[0]["id"],
        "created": "2026-03-05T12:00:01.000Z",
        "modified": "2026-03-05T12:00:05.000Z",
        "name": f"DECNET-identity-{IDENTITY[:8]}",
        "threat_actor_types": ["unknown"],
        "first_seen": "2026-03-05T12:00:01.000Z",
        "last_seen": "2026-03-05T12:00:05.000Z",
        "x_decnet_country_code": "NL",
        "x_decnet_asn": 64500,
        "x_decnet_as_name": "Example Net",
    }


def test_techniques_are_mitres_own_and_not_restated(catalogue: Catalogue) -> None:
    found = objects([actor()], catalogue)
    assert of_type(found, "attack-pattern") == []
    uses = [each for each in of_type(found, "relationship") if each["relationship_type"] == "uses"]
    ids = ("T0855", "T1059.004", "T1082")
    assert [each["target_ref"] for each in uses] == [catalogue.techniques[t].stix_id for t in ids]
    assert uses[1]["target_ref"] == "attack-pattern--a9d4b653-6915-42af-98b2-5758c4ceee56"
    assert uses[1]["external_references"] == [
        {
            "source_name": "mitre-attack",
            "description": "Command and Scripting Interpreter: Unix Shell",
            "url": "https://attack.mitre.org/techniques/T1059/004",
            "external_id": "T1059.004",
        }
    ]


def test_every_tag_of_a_known_technique_is_a_sighting_of_it(catalogue: Catalogue) -> None:
    found = objects([actor()], catalogue)
    (address_seen,) = [
        each
        for each in of_type(found, "observed-data")
        if each["object_refs"][0].startswith("ipv4-addr--")
    ]
    seen = [
        (each["sighting_of_ref"], each["first_seen"], each["count"], each["observed_data_refs"])
        for each in of_type(found, "sighting")
        if each["sighting_of_ref"].startswith("attack-pattern--")
    ]
    assert seen == [
        (
            catalogue.techniques[technique].stix_id,
            f"2026-03-05T12:00:0{second}.000Z",
            1,
            [address_seen["id"]],
        )
        for second, technique in enumerate(("T1059.004", "T1059.004", "T1082", "T0855"), 1)
    ]
    assert address_seen["number_observed"] == 5


@pytest.mark.parametrize(
    ("ip", "library"),
    [("192.0.2.7", stix2.IPv4Address), ("2001:db8::7", stix2.IPv6Address)],
)
def test_addresses_have_the_ids_that_everybody_gives_them(
    catalogue: Catalogue, ip: str, library: Any
) -> None:
    assert address(ip)["id"] == library(value=ip).id
    assert address(ip) in objects([actor(ip)], catalogue)


def test_files_domains_and_commands_are_observed(catalogue: Catalogue) -> None:
    found = objects([actor()], catalogue)
    (file,) = of_type(found, "file")
    (domain,) = of_type(found, "domain-name")
    assert file["id"] == stix2.File(hashes={"SHA-256": PAYLOAD}, name="x.sh").id
    assert domain["id"] == stix2.DomainName(value="example.org").id
    counts = {
        each["object_refs"][0].split("--")[0]: each["number_observed"]
        for each in of_type(found, "observed-data")
    }
    assert (counts["file"], counts["domain-name"]) == (2, 2)
    assert {each["command_line"] for each in of_type(found, "process")} == {
        "id; uname -a",
        "curl \u202e\x1b[2J",
    }
    (acting,) = of_type(found, "threat-actor")
    assert sorted(
        each["count"]
        for each in of_type(found, "sighting")
        if each["sighting_of_ref"] == acting["id"]
    ) == [1, 2]


def test_an_extension_comes_with_its_definition_and_not_without(catalogue: Catalogue) -> None:
    found = objects([actor()], catalogue)
    (acting,) = of_type(found, "threat-actor")
    assert EXTENSION == "extension-definition--d8390fd8-2f6a-5f04-a091-455029d788b7"
    assert [each["id"] for each in of_type(found, "extension-definition")] == [EXTENSION]
    assert acting["extensions"] == {
        EXTENSION: {
            "extension_type": "property-extension",
            "network_behavior": {"os_guess": "Linux", "hop_distance": "12"},
            "protocol_fingerprints": {
                "hassh_hashes": ["0df0d56bb50c6b2426d8d40234bf1826"],
                "http_quirks": [
                    {"order_hash": "c0ffee", "order": "Host,Accept", "tool_guess": "curl"}
                ],
            },
        }
    }
    skinny = objects([Actor(ATTACKER, Attacker(uuid=ATTACKER), tags=[tag(1)])], catalogue)
    assert [each["type"] for each in skinny] == [
        "identity",
        "threat-actor",
        "relationship",
        "sighting",
    ]
    assert skinny[1]["name"] == f"DECNET-attacker-{ATTACKER[:8]}"


def test_verdicts_are_a_note(catalogue: Catalogue) -> None:
    (note,) = of_type(objects([actor()], catalogue), "note")
    assert note["abstract"] == "DECNET threat-intel verdict"
    assert note["content"] == (
        "abuseipdb: malicious, score 90, signals brute ssh\ngreynoise: benign"
    )


def test_the_same_data_in_any_order_gives_the_same_bytes(catalogue: Catalogue) -> None:
    other_uuid = str(UUID(int=0xB))
    other = Actor(other_uuid, Attacker(uuid=other_uuid, ip="2001:db8::1"), tags=[tag(9)])
    first = b"".join(bundle([actor(), other], catalogue))
    assert b"".join(bundle([other, actor(backwards=True)], catalogue)) == first
    ids = [each["id"] for each in json.loads(first)["objects"]]
    assert len(ids) == len(set(ids))


def test_a_further_tag_changes_no_id_but_the_bundles(catalogue: Catalogue) -> None:
    before, after = actor(), actor()
    after.tags = [*after.tags, tag(6)]
    first = json.loads(b"".join(bundle([before], catalogue)))
    second = json.loads(b"".join(bundle([after], catalogue)))
    added = {e["id"] for e in second["objects"]} - {e["id"] for e in first["objects"]}
    assert {e["id"] for e in first["objects"]} <= {e["id"] for e in second["objects"]}
    assert [name.split("--")[0] for name in added] == ["sighting"]
    assert first["id"] != second["id"]
