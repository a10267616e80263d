# SPDX-License-Identifier: AGPL-3.0-or-later
"""An import never pushes what nobody has read out of a stream that is full."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from nats.js.api import AckPolicy, ConsumerConfig, StreamConfig
from nats_process import NatsProcess

from decnet_ttp.runtime.bus import Bus, connect_bus
from decnet_ttp.runtime.config import Settings
from decnet_ttp.sources.backlog import MOST_UNREAD, Backlog, BacklogStuckError
from decnet_ttp.sources.protocol import Upstream
from decnet_ttp.sources.publish import Publisher

STREAM, DURABLE = "EVENTS", "reader"
BOUND = 40 * 1024 * 1024
SIZE = 50_000


@pytest.fixture
async def bus(tmp_path: Path) -> AsyncIterator[Bus]:
    server = NatsProcess(tmp_path / "nats")
    server.start()
    bus = await connect_bus(Settings(nats_url=server.url), name="test")
    await bus.js.add_stream(
        StreamConfig(name=STREAM, subjects=["attacker.>"], max_bytes=BOUND, duplicate_window=120)
    )
    yield bus
    with suppress(OSError):
        await bus.nc.close()
    server.kill()


def messages(count: int) -> Iterator[Upstream]:
    topic = "attacker.session.ended"
    for number in range(count):
        payload = {"number": number, "text": "x" * SIZE}
        yield Upstream.of(topic, "session.ended", f"s{number}", payload, 1.5)


def publisher(bus: Bus, patience_s: float) -> Publisher:
    backlog = Backlog(bus.js, STREAM, DURABLE, patience_s=patience_s)
    return Publisher(bus.js, deadline_s=120, backlog=backlog)


async def test_import_waits_for_a_slow_reader_and_nothing_is_pushed_out(bus: Bus) -> None:
    """Three times as much as the stream holds goes through it."""
    count = 3 * BOUND // SIZE
    await bus.js.add_consumer(
        STREAM, ConsumerConfig(durable_name=DURABLE, ack_policy=AckPolicy.EXPLICIT)
    )
    reader = await bus.js.pull_subscribe_bind(consumer=DURABLE, stream=STREAM)
    read: set[int] = set()
    most = 0

    async def read_slowly() -> None:
        nonlocal most
        while len(read) < count:
            for message in await reader.fetch(40, timeout=120):
                read.add(message.metadata.sequence.stream)
                await message.ack()
            info = await reader.consumer_info()
            most = max(most, info.num_pending or 0)

    reading = asyncio.create_task(read_slowly())
    await publisher(bus, 120).publish_all(messages(count))
    await asyncio.wait_for(reading, 120)
    assert read == set(range(1, count + 1))
    assert most * SIZE < BOUND


async def test_stream_that_nobody_reads_ends_the_import_before_it_is_full(bus: Bus) -> None:
    with pytest.raises(BacklogStuckError, match="lie unread in EVENTS"):
        await publisher(bus, 0.5).publish_all(messages(3 * BOUND // SIZE))
    state = (await bus.js.stream_info(STREAM)).state
    assert state.first_seq == 1
    assert MOST_UNREAD * BOUND < state.bytes < BOUND


async def test_bus_that_stops_answering_is_given_no_more_than_between_two_looks(bus: Bus) -> None:
    """Else one slow answer would let an import push out what is unread of a small stream."""
    backlog = Backlog(bus.js, STREAM, DURABLE, patience_s=60)
    await backlog.wait_for_room(1)
    backlog._js = bus.nc.jetstream(prefix="$JS.NOBODY.API")
    for _ in range(3):
        await backlog.wait_for_room(BOUND)
        assert 0 < backlog._free < BOUND / 16
