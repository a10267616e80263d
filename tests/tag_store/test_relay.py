# SPDX-License-Identifier: AGPL-3.0-or-later
"""The relay: every outbox row on the bus once, whoever dies when."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from decnet_ttp.core.errors import UnavailableError
from decnet_ttp.runtime.bus import Bus, connect_bus
from decnet_ttp.runtime.config import Settings
from decnet_ttp.runtime.streams import ensure_streams
from decnet_ttp.tag_store import relay as relay_module
from decnet_ttp.tag_store.announcements import OutboxRow, envelopes
from decnet_ttp.tag_store.database import Database
from decnet_ttp.tag_store.publisher import BulkPublisher, RefusedError
from decnet_ttp.tag_store.relay import Relay
from decnet_ttp.tag_store.writer import TagWriter
from tag_store.samples import PATIENCE_S, announced, draft, group, until


@pytest_asyncio.fixture
async def bus(store_settings: Settings) -> AsyncIterator[Bus]:
    """A connection to a NATS that has the streams."""
    opened = await connect_bus(store_settings, name="test relay")
    await ensure_streams(opened.js)
    yield opened
    await opened.close()


@pytest.fixture
def relay(database: Database, bus: Bus) -> Relay:
    """A relay that does nothing by itself."""

    async def connect() -> Bus:
        return bus

    return Relay(database, connect)


async def fill(database: Database, messages: int) -> None:
    """Leave announcements in the outbox."""
    await TagWriter(database, lambda: None).write(
        [group(f"m{number}", [draft(f"c{number}")]) for number in range(messages)], silent=False
    )


async def outbox_rows(database: Database) -> int:
    return int((await database.fetch("SELECT count(*) FROM outbox"))[0][0])


async def subjects(settings: Settings) -> Counter[str]:
    return Counter(subject for subject, _ in await announced(settings))


class KilledError(Exception):
    """Stands for a process that ends between two statements."""


async def killed_before_delete(relay: Relay, bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    """Publish one round and die before its rows are deleted."""
    publish = BulkPublisher.publish

    async def publish_and_die(self: BulkPublisher, *args: object, **kwargs: object) -> int:
        await publish(self, *args, **kwargs)  # type: ignore[arg-type]
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(BulkPublisher, "publish", publish_and_die)
        with pytest.raises(KilledError):
            await relay.round(bus, BulkPublisher(bus.nc))


async def test_rows_are_published_in_order_and_deleted(
    relay: Relay, bus: Bus, database: Database, store_settings: Settings
) -> None:
    await fill(database, 5)
    assert not await relay.round(bus, BulkPublisher(bus.nc))
    messages = await announced(store_settings)
    origins = [body["origin_id"] for subject, body in messages if subject == "ttp.tagged"]
    assert origins == ["m0", "m1", "m2", "m3", "m4"]
    assert await outbox_rows(database) == 0


async def test_relay_killed_between_publish_and_delete_announces_once(
    relay: Relay,
    bus: Bus,
    database: Database,
    store_settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await fill(database, 20)
    await killed_before_delete(relay, bus, monkeypatch)
    assert await outbox_rows(database) == 20
    await relay.round(bus, BulkPublisher(bus.nc))
    assert await outbox_rows(database) == 0
    assert await subjects(store_settings) == {"ttp.tagged": 20, "ttp.rule.fired.T1059": 20}


async def test_relay_killed_longer_ago_than_the_duplicate_window_announces_once(
    relay: Relay,
    bus: Bus,
    database: Database,
    store_settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The stream forgets ids after its window; the relay then asks the stream what it holds."""
    config = (await bus.js.stream_info("DECNET_TTP")).config
    config.duplicate_window = 0.1
    await bus.js.update_stream(config)
    await fill(database, 20)
    await killed_before_delete(relay, bus, monkeypatch)
    await fill(database, 25)
    await asyncio.sleep(0.3)  # the window itself passes; there is no condition to wait for
    monkeypatch.setattr(relay_module, "DOUBTFUL_AFTER_S", 0.0)
    await relay.round(bus, BulkPublisher(bus.nc))
    assert await outbox_rows(database) == 0
    assert await subjects(store_settings) == {"ttp.tagged": 25, "ttp.rule.fired.T1059": 25}


async def test_two_relays_share_the_outbox(
    relay: Relay, bus: Bus, database: Database, store_settings: Settings
) -> None:
    await fill(database, 1_000)
    while await outbox_rows(database):
        await asyncio.gather(*(relay.round(bus, BulkPublisher(bus.nc)) for _ in range(2)))
    assert await subjects(store_settings) == {"ttp.tagged": 1_000, "ttp.rule.fired.T1059": 1_000}


async def test_rows_stay_when_the_bus_refuses(
    relay: Relay, bus: Bus, database: Database, store_settings: Settings
) -> None:
    await bus.js.delete_stream("DECNET_TTP")
    await fill(database, 3)
    with pytest.raises(RefusedError):
        await relay.round(bus, BulkPublisher(bus.nc))
    assert await outbox_rows(database) == 3
    await ensure_streams(bus.js)
    await relay.round(bus, BulkPublisher(bus.nc))
    assert await subjects(store_settings) == {"ttp.tagged": 3, "ttp.rule.fired.T1059": 3}


async def in_batches(bus: Bus) -> int:
    """Return how many messages of the output stream came in batches."""
    state = (await bus.js.stream_info("DECNET_TTP")).state
    places = range(state.first_seq, state.last_seq + 1)
    stored = [await bus.js.get_msg("DECNET_TTP", seq=place) for place in places]
    return sum("Nats-Batch-Id" in (message.headers or {}) for message in stored)


async def test_many_new_rows_go_in_batches_few_do_not(
    relay: Relay, bus: Bus, database: Database, store_settings: Settings
) -> None:
    publisher = BulkPublisher(bus.nc)
    await fill(database, 15)
    await relay.round(bus, publisher)
    assert await in_batches(bus) == 0
    await fill(database, 35)
    await relay.round(bus, publisher)
    assert await in_batches(bus) == 40
    origins = [body.get("origin_id") for _, body in await announced(store_settings)]
    assert [each for each in origins if each] == [f"m{number}" for number in range(35)]


async def test_rows_tried_before_go_one_by_one_before_the_new_ones(
    relay: Relay,
    bus: Bus,
    database: Database,
    store_settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What may be in the stream would have its whole batch refused."""
    await fill(database, 20)
    await killed_before_delete(relay, bus, monkeypatch)
    assert await in_batches(bus) == 40
    await fill(database, 40)
    await relay.round(bus, BulkPublisher(bus.nc))
    assert await in_batches(bus) == 80
    assert await subjects(store_settings) == {"ttp.tagged": 40, "ttp.rule.fired.T1059": 40}


async def test_batch_that_is_refused_goes_one_by_one(
    relay: Relay, bus: Bus, database: Database, store_settings: Settings
) -> None:
    """As when another relay published a row while this one waited for its lock."""
    await fill(database, 20)
    rows = await database.fetch("SELECT id, announcement, body, created_at FROM outbox ORDER BY id")
    await BulkPublisher(bus.nc).publish(envelopes(OutboxRow(*rows[7])), patience_s=PATIENCE_S)
    await relay.round(bus, BulkPublisher(bus.nc))
    assert await outbox_rows(database) == 0
    assert await in_batches(bus) == 0
    assert await subjects(store_settings) == {"ttp.tagged": 20, "ttp.rule.fired.T1059": 20}


async def test_stream_made_by_a_release_before_takes_no_batches(
    relay: Relay, bus: Bus, database: Database, store_settings: Settings
) -> None:
    config = (await bus.js.stream_info("DECNET_TTP")).config
    await bus.js.update_stream(config.evolve(allow_atomic=False))
    publisher = BulkPublisher(bus.nc)
    for messages in (20, 45):
        await fill(database, messages)
        await relay.round(bus, publisher)
    assert await outbox_rows(database) == 0
    assert await in_batches(bus) == 0
    assert await subjects(store_settings) == {"ttp.tagged": 45, "ttp.rule.fired.T1059": 45}


async def test_large_rows_are_published_in_shares(
    relay: Relay,
    bus: Bus,
    database: Database,
    store_settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(relay_module, "SHARE_BYTES", 1_000)
    await fill(database, 20)
    assert not await relay.round(bus, BulkPublisher(bus.nc))
    assert await outbox_rows(database) == 0
    assert await subjects(store_settings) == {"ttp.tagged": 20, "ttp.rule.fired.T1059": 20}


async def test_running_relay_takes_what_it_is_woken_for_and_stops(
    relay: Relay, bus: Bus, database: Database, store_settings: Settings
) -> None:
    stop = asyncio.Event()
    running = asyncio.ensure_future(relay.run(stop))
    await fill(database, 2)
    relay.wake()

    async def empty() -> bool:
        return not await outbox_rows(database)

    await until(empty)
    assert await subjects(store_settings) == {"ttp.tagged": 2, "ttp.rule.fired.T1059": 2}
    stop.set()
    await asyncio.wait_for(running, PATIENCE_S)


async def test_database_that_was_never_opened_is_unavailable(database_url: str) -> None:
    with pytest.raises(UnavailableError):
        await Database(database_url).fetch("SELECT 1")
