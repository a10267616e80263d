# SPDX-License-Identifier: AGPL-3.0-or-later
"""Backfill stores what the rules of today find in kept messages, and announces nothing."""

from __future__ import annotations

from typing import Any

import pytest

from decnet_ttp.core.errors import InvalidArgumentError
from decnet_ttp.v1 import ingest_service_pb2 as pb
from ingest.backends import until
from ingest.rig import SUBJECT, Rig, Running


def asked(source: str = "all", **fields: Any) -> pb.RunBackfillRequest:
    request = pb.RunBackfillRequest(source=source, **fields)
    request.start_time.FromSeconds(1_700_000_000)
    return request


async def run(running: Running, request: pb.RunBackfillRequest) -> pb.RunBackfillResponse:
    last = pb.RunBackfillResponse()
    async for progress in running.backfill.run(request):
        last.CopyFrom(progress)
    return last


async def history(rig: Rig, running: Running) -> None:
    """Leave tagged sessions, then forget their tags."""
    for number in range(25):
        await rig.publish(f"s{number}", "id", "w")
    await rig.bus.js.publish(SUBJECT, b"{half")
    await until(rig.settled)
    assert running.consumer.counters.inserted == 50
    rig.store.tags.clear()
    rig.store.announced.clear()


async def test_backfill_stores_with_the_live_ids_in_silence_and_once(rig: Rig) -> None:
    async with rig.ingest() as running:
        await history(rig, running)
        dry = await run(running, asked(dry_run=True))
        assert (dry.event_count, dry.inserted_count) == (50, 0)
        assert rig.store.tags == {}
        first = await run(running, asked(batch_size=10))
        assert (first.read_count, first.skipped_count, first.total_count) == (26, 1, 26)
        assert (first.event_count, first.inserted_count, first.known_count) == (50, 50, 0)
        assert first.done
        again = await run(running, asked("command"))
        assert (again.inserted_count, again.known_count) == (0, 50)
    assert "s24#cmd1" in rig.store.tags
    assert rig.store.announced == []


async def test_run_that_broke_off_goes_on_after_its_last_message(rig: Rig) -> None:
    async with rig.ingest() as running:
        await history(rig, running)
        async for progress in running.backfill.run(asked(batch_size=10)):
            broken_off = progress.last_sequence
            break
        assert broken_off == 10
        rest = await run(running, asked(after_sequence=broken_off))
        assert (rest.read_count, rest.inserted_count, rest.last_sequence) == (16, 30, 26)
    assert len(rig.store.tags) == 50


async def test_other_sources_are_left_alone(rig: Rig) -> None:
    async with rig.ingest() as running:
        await history(rig, running)
        totals = await run(running, asked("email"))
    assert (totals.read_count, totals.done) == (0, True)


@pytest.mark.parametrize(
    "request_",
    [
        pb.RunBackfillRequest(source="all"),
        asked("nothing"),
        asked(batch_size=-1),
        asked(after_sequence=-1),
        asked(max_rate=float("nan")),
    ],
)
async def test_requests_that_cannot_be(rig: Rig, request_: pb.RunBackfillRequest) -> None:
    async with rig.ingest() as running:
        with pytest.raises(InvalidArgumentError):
            await run(running, request_)
