# SPDX-License-Identifier: AGPL-3.0-or-later
import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path

import orjson
import pytest
from nats.js.api import StreamConfig
from nats_process import NatsProcess

from decnet_ttp.runtime.bus import Bus, connect_bus
from decnet_ttp.runtime.config import Settings
from decnet_ttp.sources.protocol import Upstream
from decnet_ttp.sources.publish import Publisher, PublishUnacknowledgedError

TOPIC = "attacker.session.ended"


@pytest.fixture
def nats(tmp_path: Path) -> Iterator[NatsProcess]:
    server = NatsProcess(tmp_path / "nats")
    server.start()
    yield server
    server.kill()


@pytest.fixture
async def bus(nats: NatsProcess) -> AsyncIterator[Bus]:
    bus = await connect_bus(Settings(nats_url=nats.url), name="test")
    await bus.js.add_stream(
        StreamConfig(name="EVENTS", subjects=["attacker.>"], duplicate_window=120)
    )
    yield bus
    with suppress(OSError):  # What was not sent cannot be, where a test left the server dead.
        await bus.nc.close()


def message(number: int, size: int = 100) -> Upstream:
    payload = {"number": number, "text": "x" * size}
    return Upstream.of(TOPIC, "session.ended", f"pot/{number}/t", payload, 1.5)


def messages(count: int) -> Iterator[Upstream]:
    return (message(number) for number in range(count))


async def stored_numbers(bus: Bus) -> list[int]:
    """What the stream holds, in its order."""
    sub = await bus.js.subscribe(TOPIC, ordered_consumer=True)
    state = (await bus.js.stream_info("EVENTS")).state
    found = [
        orjson.loads((await sub.next_msg(timeout=60)).data)["payload"]["number"]
        for _ in range(state.messages)
    ]
    await sub.unsubscribe()
    return found


async def test_every_message_is_stored_once_with_its_envelope(bus: Bus) -> None:
    publisher = Publisher(bus.js)
    await publisher.publish_all(messages(1700))
    assert (publisher.counts.published, publisher.counts.duplicates) == (1700, 0)
    assert sorted(await stored_numbers(bus)) == list(range(1700))
    raw = await bus.js.get_msg("EVENTS", 1)
    assert raw.data is not None
    envelope = orjson.loads(raw.data)
    assert raw.headers == {"Nats-Msg-Id": envelope["id"]}
    assert {key: envelope[key] for key in ("v", "topic", "type", "ts")} == {
        "v": 1,
        "topic": TOPIC,
        "type": "session.ended",
        "ts": 1.5,
    }


async def test_second_publication_is_all_duplicates(bus: Bus) -> None:
    await Publisher(bus.js).publish_all(messages(600))
    # What is sent again counts as published: a slow answer must not have anything sent again.
    second = Publisher(bus.js, ack_wait_s=60)
    await second.publish_all(messages(600))
    assert (second.counts.published, second.counts.duplicates) == (0, 600)
    assert (second.counts.happenings_published, second.counts.happenings_duplicate) == (0, 600)


async def test_message_larger_than_the_bus_takes_is_refused_alone(tmp_path: Path) -> None:
    nats = NatsProcess(tmp_path / "small", max_payload="64KB")
    nats.start()
    bus = await connect_bus(Settings(nats_url=nats.url), name="test")
    await bus.js.add_stream(StreamConfig(name="EVENTS", subjects=["attacker.>"]))
    publisher = Publisher(bus.js)
    await publisher.publish_all(iter([message(1), message(2, 100_000), message(3)]))
    await bus.nc.close()
    nats.kill()
    assert publisher.counts.published == 2
    assert publisher.counts.refused == {"larger than the bus takes": 1}


@pytest.mark.faults
async def test_nothing_is_lost_when_the_server_is_killed_in_the_middle(
    bus: Bus, nats: NatsProcess
) -> None:
    """The server dies by SIGKILL twice and comes back; each message is stored exactly once."""
    publisher = Publisher(bus.js, ack_wait_s=0.5, deadline_s=120)
    count = 20_000
    task = asyncio.create_task(publisher.publish_all(messages(count)))
    for share in (0.2, 0.6):
        while publisher.counts.published < count * share:
            assert not task.done()
            await asyncio.sleep(0.002)
        await asyncio.to_thread(nats.kill)
        await asyncio.to_thread(nats.start)
    await task
    assert publisher.counts.published == count
    assert sorted(await stored_numbers(bus)) == list(range(count))


@pytest.mark.faults
async def test_server_that_stays_away_ends_the_import_with_the_count(
    bus: Bus, nats: NatsProcess
) -> None:
    await asyncio.to_thread(nats.kill)
    publisher = Publisher(bus.js, ack_wait_s=0.2, deadline_s=1)
    with pytest.raises(PublishUnacknowledgedError, match="import the same input again") as raised:
        await publisher.publish_all(messages(10))
    assert raised.value.count == 10
    assert publisher.counts.published == 0
