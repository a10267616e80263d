# SPDX-License-Identifier: AGPL-3.0-or-later
"""A consumer with real NATS and gRPC neighbours, as tests drive it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from decnet_ttp.ingest.backfill import Backfill
from decnet_ttp.ingest.consumer import Consumer, Counters
from decnet_ttp.ingest.dead_letter_box import DeadLetterBox
from decnet_ttp.ingest.directory import Directory
from decnet_ttp.ingest.dispatch import Dispatcher
from decnet_ttp.ingest.feed import Feed
from decnet_ttp.ingest.inputs.catalogue import SUBJECTS
from decnet_ttp.ingest.intel_records import IntelRecords
from decnet_ttp.ingest.lag import read_lag
from decnet_ttp.ingest.parking import Parking, Schedule
from decnet_ttp.ingest.pipeline import Pipeline
from decnet_ttp.ingest.shelf import DUE_SUBJECTS, NatsShelf
from decnet_ttp.ingest.supersession import Supersession
from decnet_ttp.runtime.bus import Bus, Envelope
from decnet_ttp.runtime.clients import open_channel
from decnet_ttp.runtime.config import Settings
from decnet_ttp.runtime.streams import EVENTS_STREAM, PARKED_STREAM
from decnet_ttp.v1 import directory_service_pb2_grpc, tag_store_service_pb2_grpc
from ingest.backends import Store, Tagger, until

SUBJECT = "attacker.session.ended"

#: Waits longer than any test: what comes back sooner was let go.
LATE = Schedule(first_s=500.0, longest_s=500.0, limit_s=6_000.0)


@dataclass
class Clock:
    """The time, and what a test puts it forward by."""

    ahead: timedelta = field(default_factory=timedelta)

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead


@dataclass
class Running:
    """The parts of a running ingest."""

    consumer: Consumer
    feed: Feed
    pipeline: Pipeline
    parking: Parking
    letters: DeadLetterBox
    backfill: Backfill
    dispatcher: Dispatcher
    directory: Directory
    tag_store: tag_store_service_pb2_grpc.TagStoreServiceStub


@dataclass
class Rig:
    """Everything a test of the consumer drives."""

    bus: Bus
    settings: Settings
    tagger: Tagger
    store: Store

    @asynccontextmanager
    async def consumer(self, ack_wait_s: float = 60.0) -> AsyncIterator[Consumer]:
        """Run a consumer; on leaving it is stopped and has finished."""
        async with self.ingest(ack_wait_s=ack_wait_s) as running:
            yield running.consumer

    @asynccontextmanager
    async def ingest(
        self,
        *,
        ack_wait_s: float = 60.0,
        create_missing: bool = True,
        schedule: Schedule = LATE,
        watching: bool = True,
        clock: Callable[[], datetime] | None = None,
    ) -> AsyncIterator[Running]:
        """Run all of ingest but its gRPC server; on leaving it is stopped and has finished.

        Args:
            ack_wait_s: After this time a message that was not settled comes again, in seconds;
                half of it is how long a stage is waited for. By default no test is that slow.
            create_missing: Whether an unknown address becomes an attacker.
            schedule: When what waits is tried again.
            watching: Whether what waits is let go when its attacker appears.
            clock: The time of those who wait.
        """
        async with AsyncExitStack() as stack:
            channel = await stack.enter_async_context(
                open_channel(self.settings.tag_store, self.settings)
            )
            dispatcher = await stack.enter_async_context(Dispatcher(self.settings))
            directory = Directory(
                directory_service_pb2_grpc.DirectoryServiceStub(channel),
                create_missing=create_missing,
                clock=time.monotonic,
                unknown_s=600.0,
            )
            intel = IntelRecords(self.bus)
            tag_store = tag_store_service_pb2_grpc.TagStoreServiceStub(channel)
            pipeline = Pipeline(
                directory=directory, dispatcher=dispatcher, tag_store=tag_store, intel=intel
            )
            shelf = NatsShelf(self.bus)
            parking = Parking(
                shelf=shelf,
                schedule=schedule,
                tagger_schedule=LATE,
                appeared=directory.who_appeared,
                taggers_back=dispatcher.room,
                came_into_reach=dispatcher.came_into_reach,
                poll_s=0.1,
                clock=clock or Clock(),
            )
            counters = Counters()

            def feed(stream: str, durable: str, subjects: Sequence[str]) -> Feed:
                return Feed(
                    self.bus,
                    stream=stream,
                    durable=durable,
                    subjects=subjects,
                    ack_wait_s=ack_wait_s,
                )

            def consumer(feed: Feed) -> Consumer:
                return Consumer(
                    bus=self.bus,
                    feed=feed,
                    pipeline=pipeline,
                    batch_messages=500,
                    max_in_flight=2,
                    ack_wait_s=ack_wait_s,
                    max_deliveries=3,
                    parking=None if create_missing else parking,
                    counters=counters,
                )

            feeds = (
                feed(EVENTS_STREAM, "test", SUBJECTS),
                feed(PARKED_STREAM, "test-parked", DUE_SUBJECTS),
            )
            fresh, returned = map(consumer, feeds)
            stop = asyncio.Event()
            await intel.load(stop)
            work = [dispatcher.follow, fresh.run, returned.run, intel.follow]
            work += [parking.watch] if watching else []
            tasks = [asyncio.create_task(item(stop)) for item in work]
            await until(
                lambda: (
                    all(item.kinds is not None for item in dispatcher.taggers)
                    # Before that the bus does not know our place in the stream.
                    and all(feed._subscription is not None for feed in feeds)
                )
            )
            try:
                yield Running(
                    fresh,
                    feeds[0],
                    pipeline,
                    parking,
                    DeadLetterBox(self.bus, shelf),
                    Backfill(self.bus, pipeline, Supersession(tag_store, None, dispatcher)),
                    dispatcher,
                    directory,
                    tag_store,
                )
            finally:
                stop.set()
                await asyncio.gather(*tasks)

    async def send(self, topic: str, ident: str, payload: dict[str, Any], kind: str = "") -> None:
        """Publish a message."""
        envelope = Envelope(topic=topic, type=kind or topic, id=ident, payload=payload)
        await self.bus.js.publish(topic, envelope.encode(), headers=envelope.headers)

    async def waiting(self) -> int:
        """Return how many messages are parked."""
        return int((await self.bus.js.stream_info(PARKED_STREAM)).state.messages)

    async def none_waits(self) -> bool:
        """Whether nothing is parked."""
        return await self.waiting() == 0

    async def publish(self, ident: str, *commands: str, ip: str = "198.51.100.1") -> None:
        """Publish a session."""
        envelope = Envelope(
            topic=SUBJECT,
            type="session.ended",
            id=ident,
            payload={"session_id": ident, "attacker_ip": ip, "commands": list(commands)},
        )
        await self.bus.js.publish(SUBJECT, envelope.encode(), headers=envelope.headers)

    async def settled(self) -> bool:
        """Whether every message was delivered and acknowledged."""
        lag = await read_lag(self.bus, "test")
        return lag.pending == 0 and lag.unacknowledged == 0
