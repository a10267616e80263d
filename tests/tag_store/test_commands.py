# SPDX-License-Identifier: AGPL-3.0-or-later
"""Commands that change or export what is stored, as programs against a real store."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from pyarrow import parquet

from decnet_ttp.tag_store.app import TagStore
from decnet_ttp.v1 import attacker_fact_pb2, directory_update_pb2
from decnet_ttp.v1 import tag_store_service_pb2 as pb
from tag_store.samples import ATTACKER, IDENTITY, NOON, OTHER_ATTACKER, StoreClient, draft, group

OTHER_IDENTITY = str(UUID(int=0x1E))
CAMPAIGN = str(UUID(int=0xCA))


class Program:
    """The console script, told to talk to the store of the test."""

    def __init__(self, target: str) -> None:
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("DECNET_TTP_")}
        self._environment = inherited | {"DECNET_TTP_TAG_STORE": target, "PYTHONUTF8": "1"}

    async def __call__(self, *args: object, code: int = 0) -> str:
        """Run, expect an exit code, and return what was written."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "decnet_ttp.cli.main"),
            *map(str, args),
            env=self._environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await asyncio.wait_for(process.communicate(), 60)
        assert process.returncode == code, err.decode()
        return out.decode() if not code else err.decode()


@pytest.fixture
async def program(client: StoreClient, store: TagStore, tmp_path: Path) -> Program:
    """The program beside a store with three tags of ATTACKER and one of OTHER_ATTACKER."""
    groups = [
        group("m1", [draft(f"a{at}") for at in range(3)]),
        group("m2", [draft("b")], attacker=OTHER_ATTACKER),
    ]
    await client.tags.InsertTags(pb.InsertTagsRequest(groups=groups))
    return Program(f"unix:{tmp_path}/store.sock")


async def test_identities_and_campaigns_are_made_and_undone(program: Program) -> None:
    assert await program("identities", "link", IDENTITY, ATTACKER) == f"{IDENTITY}: 1 attackers\n"
    await program("identities", "link", OTHER_IDENTITY, OTHER_ATTACKER)
    merged = await program("identities", "merge", IDENTITY, OTHER_IDENTITY)
    assert merged == f"{IDENTITY}: 2 attackers, 1 identities merged\n"
    third = str(UUID(int=0x1F))
    await program("identities", "link", third, ATTACKER)
    refusal = await program("identities", "merge", third, OTHER_IDENTITY, code=1)
    assert "merged into another identity already" in refusal
    await program("identities", "link", IDENTITY, ATTACKER)
    await program("identities", "unmerge", OTHER_IDENTITY)
    await program("campaigns", "assign", CAMPAIGN, IDENTITY, OTHER_IDENTITY, "--name", "night")
    await program("campaigns", "release", OTHER_IDENTITY)
    (row,) = json.loads(await program("campaigns", "list", "--json"))
    assert row == {
        "uuid": CAMPAIGN,
        "name": "night",
        "identity_uuids": [IDENTITY],
        "merged_into_uuid": "",
    }
    assert (await program("campaigns", "list")).splitlines()[1] == f"{CAMPAIGN}\t1\tnight"
    assert await program("identities", "unlink", ATTACKER) == "1 attackers unlinked\n"


async def test_export_writes_one_object_a_line(program: Program, tmp_path: Path) -> None:
    tags = [json.loads(line) for line in (await program("export", "tags")).splitlines()]
    assert [tag["source_id"] for tag in tags] == ["a0", "a1", "a2", "b"]
    target = tmp_path / "rollups.jsonl"
    await program("export", "rollups", "-o", target)
    rows = [json.loads(line) for line in target.read_text(encoding="utf-8").splitlines()]
    assert [(row["attacker_uuid"], row["techniques"][0]["count"]) for row in rows] == [
        (ATTACKER, "3"),
        (OTHER_ATTACKER, "1"),
    ]


async def test_parquet_holds_what_the_lines_hold(program: Program, tmp_path: Path) -> None:
    lines = [json.loads(line) for line in (await program("export", "tags")).splitlines()]
    target = tmp_path / "tags.parquet"
    await program("export", "tags", "--format", "parquet", "-o", target)
    rows = parquet.read_table(target).to_pylist()
    texts = ("uuid", "source_id", "technique_id", "technique_name", "rule_id", "decky_id")
    assert [[row[name] for name in texts] for row in rows] == [
        [line[name] for name in texts] for line in lines
    ]
    assert [row["attacker_uuid"] for row in rows] == [ATTACKER] * 3 + [OTHER_ATTACKER]
    assert {row["observe_time"] for row in rows} == {datetime.fromtimestamp(NOON, UTC)}
    assert json.loads(rows[0]["evidence"])["command"]["command_text"] == "bash -i"
    assert (rows[0]["confidence"], rows[0]["rule_version"]) == (0.9, 1)
    await program("export", "rollups", "--format", "parquet", "-o", target)
    rows = parquet.read_table(target).to_pylist()
    assert [(row["attacker_uuid"], row["sub_technique_id"], row["count"]) for row in rows] == [
        (ATTACKER, "T1059.004", 3),
        (OTHER_ATTACKER, "T1059.004", 1),
    ]


async def test_attackers_are_shown_with_sessions_decoys_and_facts(
    program: Program, client: StoreClient
) -> None:
    noon = Timestamp(seconds=NOON)
    await client.directory.UpdateDirectory(
        directory_update_pb2.UpdateDirectoryRequest(
            attackers=[
                directory_update_pb2.AttackerSighting(attacker_uuid=ATTACKER, ip="192.0.2.7")
            ],
            sessions=[
                directory_update_pb2.SessionRecord(
                    session_id="session-m1",
                    attacker_uuid=ATTACKER,
                    decky_id="decky-1",
                    service="ssh",
                    end_time=noon,
                    command_count=3,
                )
            ],
            facts=[
                attacker_fact_pb2.AttackerFact(
                    attacker_uuid=ATTACKER,
                    kind=attacker_fact_pb2.FACT_KIND_SSH_BANNER,
                    value="SSH-2.0-\x1b[2Jgo",
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
    at = "2026-03-05 12:00:00"
    sessions = (await program("attackers", "sessions", "--ip", "192.0.2.7")).splitlines()
    assert sessions[1].split("\t") == [
        *("session-m1", "192.0.2.7", "decky-1", "ssh", at, at, "3", "0", "0", "0", "3")
    ]
    assert json.loads(await program("attackers", "sessions", "--decky", "other", "--json")) == []
    deckies = await program("attackers", "deckies", "--attacker", ATTACKER)
    assert deckies.splitlines()[1] == f"decky-1\t1\t{at}\t{at}"
    shown = (await program("attackers", "show", "--ip", "192.0.2.7")).splitlines()
    assert shown[0].startswith(f"192.0.2.7 {ATTACKER}: 3 tags, 1 techniques, identity -")
    assert [line.split("\t") for line in shown[2:]] == [
        ["ssh banner", "SSH-2.0-·[2Jgo", "-", "1", at],
        ["intel", "abuseipdb", "score=90", "1", at],
    ]
    told = json.loads(await program("attackers", "show", "--attacker", ATTACKER, "--json"))
    assert [len(told["facts"]), told["intel_records"][0]["score"]] == [1, 90.0]
    assert "name one attacker" in await program("attackers", "show", code=2)
    assert len((await program("attackers")).splitlines()) == 3


async def test_doctor_finds_and_repairs_roll_ups(program: Program, store: TagStore) -> None:
    assert "roll-up fleet\tright, of 1" in await program("doctor", "--recount")
    await store.database.fetch("UPDATE rollup_attacker SET count = count + 1")
    assert "--repair" in await program("doctor", "--recount", code=1)
    repaired = json.loads(await program("doctor", "--recount", "--repair", "--json"))
    assert repaired["recount"]["repaired"] is True
    assert "roll-up attacker\tright, of 2" in await program("doctor", "--recount")


async def test_purge_and_vacuum_say_what_they_deleted(program: Program) -> None:
    purged = await program("purge", "--attacker", ATTACKER, "--reason", "ours", "--yes")
    assert purged.startswith("3 tags deleted; on record as ")
    await program("purge", "--reason", "all", "--yes", code=2)
    old = ("vacuum", "--older-than-days", "1", "--dry-run")
    assert await program(*old) == "0 tags would be deleted\n"
    young = ("vacuum", "--older-than-days", "1e-9")
    assert await program(*young, "--dry-run") == "1 tags would be deleted\n"
    assert await program(*young) == "1 tags deleted\n"
