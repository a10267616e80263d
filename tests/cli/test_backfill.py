# SPDX-License-Identifier: AGPL-3.0-or-later
"""`decnet-ttp backfill --superseded`: what it asks for, and how it shows what was found."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import grpc
import pytest
import pytest_asyncio

from decnet_ttp.v1 import ingest_service_pb2 as pb
from decnet_ttp.v1 import ingest_service_pb2_grpc, tag_store_service_pb2

REPLACED = tag_store_service_pb2.SUPERSEDED_KIND_REPLACED
GONE = tag_store_service_pb2.SUPERSEDED_KIND_RULE_GONE


class Ingest(ingest_service_pb2_grpc.IngestServiceServicer):
    """Finds one superseded tag in each of two batches."""

    def __init__(self, target: str) -> None:
        self.target = target
        self.requests: list[pb.RunBackfillRequest] = []

    async def RunBackfill(
        self, request: pb.RunBackfillRequest, context: Any
    ) -> AsyncIterator[pb.RunBackfillResponse]:
        self.requests.append(request)
        for number, kind in enumerate((REPLACED, GONE), start=1):
            progress = pb.RunBackfillResponse(
                read_count=number,
                superseded_count=number,
                retired_count=number * request.retire,
                last_sequence=number,
                done=number == 2,
            )
            progress.superseded.add(
                uuid=f"u{number}",
                rule_id="R0010",
                rule_version=number,
                technique_id="T1105",
                source_kind="command",
                source_id=f"s\x1b[2J#{number}",
                kind=kind,
            )
            yield progress


@pytest_asyncio.fixture
async def ingest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Ingest]:
    """An ingest on a Unix socket."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    with tempfile.TemporaryDirectory(prefix="cli-") as folder:
        servicer = Ingest(f"unix:{folder}/ingest.sock")
        server = grpc.aio.server()
        ingest_service_pb2_grpc.add_IngestServiceServicer_to_server(servicer, server)
        server.add_insecure_port(servicer.target)
        await server.start()
        yield servicer
        await server.stop(0)


async def test_superseded_tags_are_listed_and_nothing_is_retired(
    piped: Any, ingest: Ingest
) -> None:
    done = await piped("backfill", "--superseded", INGEST=ingest.target)
    assert done.code == 0
    assert "\x1b" not in done.out
    assert [line.split("\t")[:4] for line in done.lines] == [
        ["replaced", "R0010 v1", "T1105", "command"],
        ["rule gone", "R0010 v2", "T1105", "command"],
    ]
    assert "2 tags superseded, 0 retired" in done.err
    (request,) = ingest.requests
    assert (request.superseded, request.retire, request.dry_run) == (True, False, True)
    assert UUID(request.retirement_uuid).version == 4
    assert request.requested_by


async def test_retiring_tells_how_to_undo_it(piped: Any, ingest: Ingest) -> None:
    options = ("--superseded", "--retire", "--reason", "old rules")
    done = await piped("backfill", *options, INGEST=ingest.target)
    (request,) = ingest.requests
    assert (request.retire, request.dry_run, request.reason) == (True, False, "old rules")
    assert f"decnet-ttp backfill --restore {request.retirement_uuid}" in done.err


async def test_a_run_whose_place_cannot_be_kept_goes_on(
    piped: Any, ingest: Ingest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a container that writes nothing."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    done = await piped("backfill", "--source", "command", INGEST=ingest.target)
    assert done.code == 0
    assert done.err.count("how far the run is (Not a directory)") == 1
    assert "2 messages read" in f"{done.out}{done.err}"


async def test_json_is_one_document_with_every_tag(piped: Any, ingest: Ingest) -> None:
    done = await piped("backfill", "--superseded", "--json", INGEST=ingest.target)
    assert [each["uuid"] for each in done.json()["superseded"]] == ["u1", "u2"]
    assert done.json()["superseded_count"] == "2"


async def test_retiring_needs_a_search(piped: Any, ingest: Ingest) -> None:
    done = await piped("backfill", "--retire", INGEST=ingest.target)
    assert (done.code, ingest.requests) == (2, [])
