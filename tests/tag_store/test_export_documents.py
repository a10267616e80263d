# SPDX-License-Identifier: AGPL-3.0-or-later
"""Documents exported by the program out of a real store."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections import Counter
from pathlib import Path

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from decnet_ttp.attack import packaged_catalogue
from decnet_ttp.tag_store.adjustments import Adjustments
from decnet_ttp.tag_store.app import TagStore
from decnet_ttp.tag_store.database import Database
from decnet_ttp.tag_store.directory import Directory
from decnet_ttp.tag_store.document_export import Documents, Form, ScopeTooLargeError
from decnet_ttp.tag_store.names import Names
from decnet_ttp.tag_store.rule_states import RuleStates
from decnet_ttp.tag_store.writer import TagWriter
from decnet_ttp.v1 import (
    attacker_fact_pb2,
    directory_service_pb2,
    directory_update_pb2,
    export_service_pb2,
    scope_pb2,
)
from decnet_ttp.v1 import tag_store_service_pb2 as pb
from tag_store.samples import (
    ATTACKER,
    FLEET,
    IDENTITY,
    NOON,
    OTHER_ATTACKER,
    StoreClient,
    attacker_scope,
    draft,
    group,
)

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


FORMATS = {
    "navigator": export_service_pb2.DOCUMENT_FORMAT_NAVIGATOR,
    "stix": export_service_pb2.DOCUMENT_FORMAT_STIX,
    "misp": export_service_pb2.DOCUMENT_FORMAT_MISP,
}


async def ask(client: StoreClient, scope: scope_pb2.Scope | None, form: int) -> bytes:
    """Return a document by call."""
    request = export_service_pb2.ExportDocumentRequest(scope=scope, format=form)
    pieces = [part.chunk async for part in client.exports.ExportDocument(request)]
    assert all(0 < len(piece) <= 64 * 1024 for piece in pieces)
    return b"".join(pieces)


@pytest.mark.parametrize("form", [*FORMATS])
async def test_a_call_gives_the_document_that_the_program_writes(
    export: Program, client: StoreClient, form: str
) -> None:
    # Long enough to come in several pieces.
    many = [draft(f"many-{number}") for number in range(300)]
    alone = group("m4", [draft("alone")], attacker="", identity=IDENTITY)
    await client.tags.InsertTags(pb.InsertTagsRequest(groups=[group("m3", many), alone]))
    for option, scope in (
        (("--attacker", ATTACKER), attacker_scope()),
        (("--identity", IDENTITY), scope_pb2.Scope(identity_uuid=IDENTITY)),
        ((), FLEET),
    ):
        code, out, _ = await export(form, *option)
        assert (code, await ask(client, scope, FORMATS[form])) == (0, out.encode())


@pytest.mark.parametrize(
    ("scope", "form", "code"),
    [
        (None, 1, grpc.StatusCode.INVALID_ARGUMENT),
        (FLEET, 0, grpc.StatusCode.INVALID_ARGUMENT),
        (FLEET, 9, grpc.StatusCode.INVALID_ARGUMENT),
        (FLEET, 1, grpc.StatusCode.NOT_FOUND),
        (attacker_scope(), 2, grpc.StatusCode.NOT_FOUND),
        (scope_pb2.Scope(attacker_ip="192.0.2.1"), 3, grpc.StatusCode.NOT_FOUND),
    ],
)
async def test_a_document_that_cannot_be_is_refused(
    client: StoreClient, scope: scope_pb2.Scope | None, form: int, code: grpc.StatusCode
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await ask(client, scope, form)
    assert refusal.value.code() is code


async def test_what_is_more_than_a_document_holds_is_refused(database: Database) -> None:
    writer = TagWriter(database, lambda: None)
    for who in (ATTACKER, OTHER_ATTACKER):
        tags = [draft(f"{who}-{number}") for number in range(3)]
        await writer.write([group(who, tags, attacker=who)], silent=True)
    catalogue = packaged_catalogue()
    documents = Documents(
        database,
        Directory(database),
        Names(catalogue),
        Adjustments(database, RuleStates(None)),
        catalogue,
        max_tags=2,
        max_attackers=1,
    )
    for scope in (FLEET, attacker_scope()):
        with pytest.raises(ScopeTooLargeError):
            _ = [piece async for piece in documents.make(scope, Form.STIX)]
        assert [piece async for piece in documents.make(scope, Form.NAVIGATOR)]
