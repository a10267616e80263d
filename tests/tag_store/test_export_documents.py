# SPDX-License-Identifier: AGPL-3.0-or-later
"""Documents exported by the program out of a real store."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections import Counter
from pathlib import Path

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from decnet_ttp.tag_store.app import TagStore
from decnet_ttp.v1 import attacker_fact_pb2, directory_service_pb2, directory_update_pb2
from decnet_ttp.v1 import tag_store_service_pb2 as pb
from tag_store.samples import ATTACKER, IDENTITY, NOON, OTHER_ATTACKER, StoreClient, draft, group

NOTHING = (
    "decnet-ttp: nothing to export: nothing of this scope has been tagged; "
    "`decnet-ttp attackers` lists who has been\n"
)


class Program:
    """`decnet-ttp export`, told to talk to the store of the test."""

    def __init__(self, target: str) -> None:
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("DECNET_TTP_")}
        self._environment = inherited | {"DECNET_TTP_TAG_STORE": target, "PYTHONUTF8": "1"}

    async def __call__(self, *args: object) -> tuple[int, str, str]:
        """Run and return exit code, output and errors."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "decnet_ttp.cli.main", "export"),
            *map(str, args),
            env=self._environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await asyncio.wait_for(process.communicate(), 60)
        return process.returncode or 0, out.decode(), err.decode()


@pytest.fixture
async def export(client: StoreClient, store: TagStore, tmp_path: Path) -> Program:
    """The program beside a store with tags of both matrices."""
    groups = [
        group("m1", [draft("a"), draft("b"), draft("c", "T0855", tactic="TA0106")]),
        group("m2", [draft("d", "T1082", tactic="TA0007")], attacker=OTHER_ATTACKER),
    ]
    await client.tags.InsertTags(pb.InsertTagsRequest(groups=groups))
    return Program(f"unix:{tmp_path}/store.sock")


async def test_layers_of_a_scope(export: Program, tmp_path: Path) -> None:
    target = tmp_path / "layer.json"
    assert await export("navigator", "--attacker", ATTACKER, "-o", target) == (0, "", "")
    layers = json.loads(target.read_bytes())
    assert [
        (layer["domain"], [(e["techniqueID"], e.get("score")) for e in layer["techniques"]])
        for layer in layers
    ] == [
        ("enterprise-attack", [("T1059", None), ("T1059.004", 2)]),
        ("ics-attack", [("T0855", 1)]),
    ]
    code, out, err = await export("navigator", "--session", "session-m2")
    layer = json.loads(out)
    assert (code, err) == (0, "")
    assert layer["name"].startswith("session session-m2, enterprise-v")
    assert [entry["techniqueID"] for entry in layer["techniques"]] == ["T1082"]


async def test_a_bundle_and_an_event_of_one_attacker_and_a_bundle_of_the_fleet(
    export: Program, client: StoreClient
) -> None:
    noon = Timestamp(seconds=NOON)
    await client.directory.UpdateDirectory(
        directory_update_pb2.UpdateDirectoryRequest(
            attackers=[
                directory_update_pb2.AttackerSighting(attacker_uuid=ATTACKER, ip="2001:db8::7")
            ],
            facts=[
                attacker_fact_pb2.AttackerFact(
                    attacker_uuid=ATTACKER,
                    kind=attacker_fact_pb2.FACT_KIND_SSH_BANNER,
                    value="SSH-2.0-Go",
                    last_seen_time=noon,
                )
            ],
            intel_records=[
                attacker_fact_pb2.IntelRecord(
                    attacker_uuid=ATTACKER, provider="abuseipdb", score=90, observe_time=noon
                )
            ],
        )
    )
    code, out, err = await export("stix", "--ip", "2001:DB8::7")
    assert (code, err) == (0, "")
    assert Counter(each["type"] for each in json.loads(out)["objects"]) == {
        "identity": 1,
        "extension-definition": 1,
        "threat-actor": 1,
        "ipv6-addr": 1,
        "observed-data": 2,
        "relationship": 3,
        "sighting": 4,
        "process": 1,
        "note": 1,
    }
    assert await export("stix", "--attacker", ATTACKER) == (0, out, "")
    code, event, err = await export("misp", "--attacker", ATTACKER)
    assert (code, err) == (0, "")
    assert [each["value"] for each in json.loads(event)["Event"]["Attribute"]] == [
        "2001:db8::7",
        "SSH-2.0-Go",
        "bash -i",
        "abuseipdb: no verdict, score 90",
    ]
    _, fleet, _ = await export("stix")
    assert Counter(each["type"] for each in json.loads(fleet)["objects"]) == {
        "identity": 1,
        "threat-actor": 2,
        "ipv6-addr": 1,
        "observed-data": 1,
        "relationship": 4,
    }


@pytest.mark.parametrize("form", ["navigator", "stix", "misp"])
async def test_nothing_to_export_is_one_line_and_no_file(
    export: Program, tmp_path: Path, form: str
) -> None:
    target = tmp_path / "nothing.json"
    assert await export(form, "--session", "nobody", "-o", target) == (1, "", NOTHING)
    assert not target.exists()


async def test_an_identity_has_its_attackers_and_itself_where_only_it_was_seen(
    export: Program, client: StoreClient
) -> None:
    alone = group("m3", [draft("e")], attacker="", identity=IDENTITY)
    await client.tags.InsertTags(pb.InsertTagsRequest(groups=[alone]))
    await client.directory.LinkAttackers(
        directory_service_pb2.LinkAttackersRequest(
            identity_uuid=IDENTITY, attacker_uuids=[ATTACKER, OTHER_ATTACKER]
        )
    )
    code, out, err = await export("stix", "--identity", IDENTITY)
    assert (code, err) == (0, "")
    found = json.loads(out)["objects"]
    assert {each["name"] for each in found if each["type"] == "threat-actor"} == {
        f"DECNET-identity-{IDENTITY[:8]}"
    }
    assert Counter(each["type"] for each in found) == {
        "identity": 1,
        "threat-actor": 3,
        "relationship": 4,
        "process": 1,
        "observed-data": 3,
        "sighting": 8,
    }
    _, events, _ = await export("misp", "--identity", IDENTITY)
    assert len(json.loads(events)["response"]) == 3
