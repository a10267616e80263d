# SPDX-License-Identifier: AGPL-3.0-or-later
"""Composition root of ingest."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack

from decnet_ttp.ingest.consumer import Consumer
from decnet_ttp.ingest.directory import Directory
from decnet_ttp.ingest.dispatch import Dispatcher
from decnet_ttp.ingest.feed import Feed
from decnet_ttp.ingest.pipeline import Pipeline
from decnet_ttp.ingest.servicer import IngestServicer
from decnet_ttp.ingest.submission import Submission
from decnet_ttp.runtime.bus import EVENTS_STREAM, connect_bus, ensure_streams_until_done
from decnet_ttp.runtime.clients import open_channel
from decnet_ttp.runtime.config import Settings, SettingsError
from decnet_ttp.runtime.server import Server
from decnet_ttp.v1 import (
    directory_service_pb2_grpc,
    ingest_service_pb2_grpc,
    tag_store_service_pb2_grpc,
)

#: Name of the durable consumer that all replicas share.
DURABLE = "decnet-ttp-ingest"

#: What is consumed. Everything else stays in the stream for whoever reads it later.
SUBJECTS = ("attacker.session.ended",)


async def run(settings: Settings) -> None:
    """Run ingest until SIGTERM.

    Raises:
        SettingsError: A target that ingest needs is not set.
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
        feed = Feed(
            bus,
            stream=EVENTS_STREAM,
            durable=DURABLE,
            subjects=SUBJECTS,
            ack_wait_s=settings.ingest_ack_wait_s,
        )
        consumer = Consumer(
            bus=bus,
            feed=feed,
            pipeline=Pipeline(directory=directory, dispatcher=dispatcher, tag_store=tag_store),
            batch_messages=settings.ingest_batch_messages,
            max_in_flight=settings.ingest_max_in_flight,
            ack_wait_s=settings.ingest_ack_wait_s,
            max_deliveries=settings.ingest_max_deliveries,
        )
        servicer = IngestServicer(
            bus=bus,
            durable=DURABLE,
            consumer=consumer,
            dispatcher=dispatcher,
            submission=Submission(directory=directory, dispatcher=dispatcher, tag_store=tag_store),
        )
        opened = asyncio.Event()

        async def consume(stop: asyncio.Event) -> None:
            await ensure_streams_until_done(bus.js, settings, stop)
            opened.set()
            await consumer.run(stop)

        async def ready() -> bool:
            return opened.is_set() and bus.nc.is_connected and dispatcher.ready

        server = Server(settings, name="ingest").add(
            ingest_service_pb2_grpc.add_IngestServiceServicer_to_server,
            servicer,
            "decnet_ttp.v1.IngestService",
        )
        await server.run(ready=ready, tasks=[consume, dispatcher.follow])
