# SPDX-License-Identifier: AGPL-3.0-or-later
"""Composition root of ingest."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack

from decnet_ttp.ingest.backfill import Backfill
from decnet_ttp.ingest.consumer import Consumer, Counters
from decnet_ttp.ingest.dead_letter_box import DeadLetterBox
from decnet_ttp.ingest.directory import Directory
from decnet_ttp.ingest.dispatch import Dispatcher
from decnet_ttp.ingest.feed import Feed
from decnet_ttp.ingest.figures import Figures
from decnet_ttp.ingest.inputs.catalogue import SUBJECTS
from decnet_ttp.ingest.intel_records import IntelRecords
from decnet_ttp.ingest.parking import Parking, Schedule
from decnet_ttp.ingest.pipeline import Pipeline
from decnet_ttp.ingest.servicer import IngestServicer
from decnet_ttp.ingest.shelf import DUE_SUBJECTS, NatsShelf
from decnet_ttp.ingest.submission import Submission
from decnet_ttp.ingest.supersession import Supersession
from decnet_ttp.runtime.bus import Bus, connect_bus
from decnet_ttp.runtime.clients import open_channel
from decnet_ttp.runtime.config import Settings, SettingsError
from decnet_ttp.runtime.server import Server
from decnet_ttp.runtime.streams import (
    EVENTS_STREAM,
    INGEST_DURABLE,
    PARKED_STREAM,
    ensure_streams_until_done,
    keep_streams,
)
from decnet_ttp.v1 import (
    directory_service_pb2_grpc,
    ingest_service_pb2_grpc,
    rule_store_service_pb2_grpc,
    tag_store_service_pb2_grpc,
)

#: Durable consumer of what waited, which all replicas share.
DURABLE_PARKED = "decnet-ttp-ingest-parked"

#: Waiting for a tagger, in seconds: soon at first, every few minutes while it stays away, and
#: never given up within the age of the stream.
_TAGGER_SCHEDULE = Schedule(first_s=10.0, longest_s=300.0, limit_s=10 * 365 * 86_400.0)


async def _rule_store(
    stack: AsyncExitStack, settings: Settings
) -> rule_store_service_pb2_grpc.RuleStoreServiceStub | None:
    if not settings.rule_store:
        return None
    channel = await stack.enter_async_context(open_channel(settings.rule_store, settings))
    return rule_store_service_pb2_grpc.RuleStoreServiceStub(channel)


async def run(settings: Settings) -> None:
    """Run ingest until SIGTERM.

    Raises:
        SettingsError: A target that ingest needs is not set, or NATS is too old.
    """
    if not settings.tag_store or not settings.taggers:
        raise SettingsError(
            "ingest needs DECNET_TTP_TAG_STORE and DECNET_TTP_TAGGERS; name their gRPC targets"
        )
    async with AsyncExitStack() as stack:
        bus = await connect_bus(settings, name="ingest")
        stack.push_async_callback(bus.close)
        channel = await stack.enter_async_context(open_channel(settings.tag_store, settings))
        dispatcher = await stack.enter_async_context(Dispatcher(settings))
        tag_store = tag_store_service_pb2_grpc.TagStoreServiceStub(channel)
        directory = Directory(
            directory_service_pb2_grpc.DirectoryServiceStub(channel),
            create_missing=settings.anchor_policy == "create",
            clock=time.monotonic,
        )
        intel = IntelRecords(bus)
        pipeline = Pipeline(
            directory=directory, dispatcher=dispatcher, tag_store=tag_store, intel=intel
        )
        shelf = NatsShelf(bus)
        shelf.check_server()
        parking = _parking(settings, shelf, directory, dispatcher)
        counters = Counters()
        consumer, parked = (
            _consumer(settings, bus, pipeline, parking, counters, feed)
            for feed in _feeds(settings, bus)
        )
        servicer = IngestServicer(
            bus=bus,
            durable=INGEST_DURABLE,
            counters=counters,
            dispatcher=dispatcher,
            submission=Submission(directory=directory, dispatcher=dispatcher, tag_store=tag_store),
            letters=DeadLetterBox(bus, shelf),
            backfill=Backfill(
                bus,
                pipeline,
                Supersession(tag_store, await _rule_store(stack, settings), dispatcher),
            ),
        )
        streams_there = asyncio.Event()
        figures = Figures(bus, durable=INGEST_DURABLE, counters=counters, dispatcher=dispatcher)
        server = Server(
            settings,
            name="ingest",
            progress=figures.progress,
            metrics=[figures.counted, figures.behind],
        ).add(
            ingest_service_pb2_grpc.add_IngestServiceServicer_to_server,
            servicer,
            "decnet_ttp.v1.IngestService",
        )

        async def consume(stop: asyncio.Event) -> None:
            await ensure_streams_until_done(bus.js, settings, stop)
            await intel.load(stop)
            async with asyncio.TaskGroup() as group:
                for task in (consumer.run, parked.run, parking.watch, intel.follow):
                    group.create_task(task(stop))
                group.create_task(keep_streams(bus.js, settings, stop, streams_there))

        async def ready() -> bool:
            reading = consumer.opened and parked.opened and bus.nc.is_connected
            return reading and streams_there.is_set() and dispatcher.ready

        await server.run(ready=ready, tasks=[consume, dispatcher.follow])


def _feeds(settings: Settings, bus: Bus) -> tuple[Feed, Feed]:
    """Return the feeds of what comes in, and of what has waited."""
    return (
        Feed(
            bus,
            stream=EVENTS_STREAM,
            durable=INGEST_DURABLE,
            subjects=SUBJECTS,
            ack_wait_s=settings.ingest_ack_wait_s,
        ),
        Feed(
            bus,
            stream=PARKED_STREAM,
            durable=DURABLE_PARKED,
            subjects=DUE_SUBJECTS,
            ack_wait_s=settings.ingest_ack_wait_s,
        ),
    )


def _consumer(
    settings: Settings,
    bus: Bus,
    pipeline: Pipeline,
    parking: Parking,
    counters: Counters,
    feed: Feed,
) -> Consumer:
    return Consumer(
        bus=bus,
        feed=feed,
        pipeline=pipeline,
        batch_messages=settings.ingest_batch_messages,
        # What has waited does not need to be as fast as what comes in.
        max_in_flight=settings.ingest_max_in_flight if feed.stream == EVENTS_STREAM else 1,
        ack_wait_s=settings.ingest_ack_wait_s,
        max_deliveries=settings.ingest_max_deliveries,
        parking=parking,
        counters=counters,
    )


def _parking(
    settings: Settings, shelf: NatsShelf, directory: Directory, dispatcher: Dispatcher
) -> Parking:
    return Parking(
        shelf=shelf,
        schedule=Schedule(
            first_s=settings.park_first_delay_s,
            longest_s=settings.park_longest_delay_s,
            limit_s=settings.park_limit_s,
        ),
        tagger_schedule=_TAGGER_SCHEDULE,
        appeared=directory.who_appeared,
        taggers_back=dispatcher.room,
        came_into_reach=dispatcher.came_into_reach,
        poll_s=settings.park_poll_s,
    )
