# SPDX-License-Identifier: AGPL-3.0-or-later
"""Announcements reach the bus once, whatever happened to an earlier attempt."""

from __future__ import annotations

from collections.abc import AsyncIterator

import orjson
import pytest
import pytest_asyncio
from nats.js.api import StreamConfig

from decnet_ttp.attribution.database import Database
from decnet_ttp.attribution.store import announce
from decnet_ttp.runtime.bus import Bus, Envelope, connect_bus
from decnet_ttp.runtime.config import Settings
from decnet_ttp.runtime.outbox import OutboxRelay

TOPIC = "attribution.profile.state_changed"


@pytest_asyncio.fixture
async def bus(nats_url: str) -> AsyncIterator[Bus]:
    """A bus that remembers ids for a tenth of a second only, as if two minutes had passed."""
    connected = await connect_bus(Settings(nats_url=nats_url), name="test")
    await connected.js.add_stream(
        StreamConfig(name="DECNET_TTP", subjects=["attribution.>"], duplicate_window=0.1)
    )
    yield connected
    await connected.close()


async def leave(database: Database, count: int) -> list[Envelope]:
    made = [Envelope(TOPIC, "profile.state_changed", {"place": place}) for place in range(count)]
    async with database.connection() as connection:
        await announce(connection, made)
    return made


async def places(bus: Bus) -> list[int]:
    total = (await bus.js.stream_info("DECNET_TTP")).state.messages
    stored = [await bus.js.get_msg("DECNET_TTP", place + 1) for place in range(total)]
    return [orjson.loads(item.data or b"")["payload"]["place"] for item in stored]


async def test_messages_leave_in_order_and_once(database: Database, bus: Bus) -> None:
    await leave(database, 700)
    relay = OutboxRelay(database.connection, bus.js, subjects="attribution.>")
    assert [await relay.relay_batch() for _ in range(3)] == [500, 200, 0]
    assert await places(bus) == list(range(700))


@pytest.mark.parametrize("published", [0, 2, 3])
async def test_an_attempt_long_ago_is_looked_up_in_the_stream(
    database: Database, bus: Bus, published: int
) -> None:
    """The process died after publishing some of three, and came back after the bus forgot."""
    made = await leave(database, 3)
    for item in made[:published]:
        await bus.js.publish(item.topic, item.encode(), headers=item.headers)
    async with database.connection() as connection:
        await connection.execute("UPDATE outbox SET first_attempt_at = now() - interval '10 min'")
    assert (
        await OutboxRelay(database.connection, bus.js, subjects="attribution.>").relay_batch() == 3
    )
    assert await places(bus) == [0, 1, 2]
