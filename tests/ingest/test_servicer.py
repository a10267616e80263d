# SPDX-License-Identifier: AGPL-3.0-or-later
"""IngestService on the wire."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import pytest

from decnet_ttp.ingest.servicer import IngestServicer
from decnet_ttp.ingest.shelf import NatsShelf
from decnet_ttp.ingest.submission import Submission
from decnet_ttp.runtime.boundary import ErrorInterceptor
from decnet_ttp.runtime.bus import Bus
from decnet_ttp.runtime.config import SettingsError
from decnet_ttp.v1 import ingest_service_pb2 as pb
from decnet_ttp.v1.ingest_service_pb2_grpc import (
    IngestServiceStub,
    add_IngestServiceServicer_to_server,
)
from ingest.backends import until
from ingest.rig import SUBJECT, Rig, Running


@asynccontextmanager
async def served(rig: Rig, running: Running, path: Path) -> AsyncIterator[IngestServiceStub]:
    """Serve a running ingest on a socket."""
    server = grpc.aio.server(interceptors=[ErrorInterceptor()])
    servicer = IngestServicer(
        bus=rig.bus,
        durable="test",
        counters=running.consumer.counters,
        dispatcher=running.dispatcher,
        submission=Submission(
            directory=running.directory, dispatcher=running.dispatcher, tag_store=running.tag_store
        ),
        letters=running.letters,
        backfill=running.backfill,
    )
    add_IngestServiceServicer_to_server(servicer, server)
    server.add_insecure_port(f"unix:{path}")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(
            f"unix:{path}", options=[("grpc.default_authority", "localhost")]
        ) as channel:
            yield IngestServiceStub(channel)
    finally:
        await server.stop(0)


def batch(origin: str) -> pb.SubmitEventStreamRequest:
    request = pb.SubmitEventStreamRequest()
    group = request.groups.add(origin_id=origin, attacker_ip="198.51.100.1")
    event = group.events.add(source_kind="command", source_id=f"{origin}#cmd0")
    event.command.command_text = "id"
    return request


async def test_stream_answers_each_batch_when_it_is_stored(rig: Rig, tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        running = await stack.enter_async_context(rig.ingest())
        stub = await stack.enter_async_context(served(rig, running, tmp_path / "i.sock"))
        call = stub.SubmitEventStream()
        for origin, known in (("a", 0), ("b", 0), ("a", 1)):
            await call.write(batch(origin))
            answer = await call.read()
            (result,) = answer.results
            assert (result.origin_id, result.known_count) == (origin, known)
            assert f"{origin}#cmd0" in rig.store.tags
        await call.done_writing()
        assert await call.read() is grpc.aio.EOF


async def test_slow_store_holds_the_stream_back(rig: Rig, tmp_path: Path) -> None:
    """What is not yet worked on stays with the client, whatever it would like to send."""
    size, count = 256 * 1024, 128

    async def write_all(call: Any, written: list[str]) -> None:
        for number in range(count):
            request = batch(f"b{number}")
            request.groups[0].events[0].command.command_text = "x" * size
            await call.write(request)
            written.append(f"b{number}")
        await call.done_writing()

    async with AsyncExitStack() as stack:
        running = await stack.enter_async_context(rig.ingest())
        stub = await stack.enter_async_context(served(rig, running, tmp_path / "i.sock"))
        rig.store.open.clear()
        call = stub.SubmitEventStream()
        written: list[str] = []
        writing = asyncio.create_task(write_all(call, written))
        await until(lambda: rig.store.waiting == 1)
        before = -1
        while before != len(written):
            before = len(written)
            await asyncio.wait((writing,), timeout=0.5)
        assert len(written) < count / 2
        assert rig.store.waiting == 1
        rig.store.open.set()
        answered = [result.origin_id async for answer in call for result in answer.results]
        await writing
    assert answered == written == [f"b{number}" for number in range(count)]


async def test_status_letters_and_backfill_answer(rig: Rig, tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        running = await stack.enter_async_context(rig.ingest())
        stub = await stack.enter_async_context(served(rig, running, tmp_path / "i.sock"))
        await rig.publish("s1", "id")
        await rig.bus.js.publish(SUBJECT, b"{half")
        await until(lambda: running.consumer.counters.dead_letters == 1)
        await until(rig.settled)
        status = await stub.GetIngestStatus(pb.GetIngestStatusRequest())
        assert (status.pending_count, status.parked_count) == (0, 0)
        assert status.dead_letter_count == 1
        assert not status.HasField("oldest_pending_time")
        listed = await stub.ListDeadLetters(pb.ListDeadLettersRequest())
        sequence = listed.dead_letters[0].sequence
        shown = await stub.GetDeadLetter(pb.GetDeadLetterRequest(sequence=sequence))
        assert shown.dead_letter.content == b"{half"
        dropped = await stub.DropDeadLetters(pb.DropDeadLettersRequest(sequences=[sequence]))
        assert dropped.dropped_count == 1
        replayed = await stub.ReplayDeadLetters(pb.ReplayDeadLettersRequest())
        assert replayed.replayed_count == 0
        request = pb.RunBackfillRequest(source="command")
        request.start_time.FromSeconds(1_700_000_000)
        progress = [item async for item in stub.RunBackfill(request)]
        assert progress[-1].done
        assert progress[-1].known_count == 1
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            _ = [item async for item in stub.RunBackfill(pb.RunBackfillRequest(source="command"))]
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_server_that_keeps_no_schedules_is_refused(rig: Rig) -> None:
    NatsShelf(rig.bus).check_server()
    old = SimpleNamespace(connected_server_version=SimpleNamespace(major=2, minor=11))
    with pytest.raises(SettingsError, match=r"NATS 2\.11 cannot schedule messages; use 2\.12"):
        NatsShelf(Bus(old, rig.bus.js)).check_server()  # type: ignore[arg-type]  # as much as is asked
