# SPDX-License-Identifier: AGPL-3.0-or-later
"""A consumer with real NATS and gRPC neighbours, as tests drive it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from decnet_ttp.ingest.consumer import Consumer
from decnet_ttp.ingest.directory import Directory
from decnet_ttp.ingest.dispatch import Dispatcher
from decnet_ttp.ingest.feed import Feed
from decnet_ttp.ingest.pipeline import Pipeline
from decnet_ttp.runtime.bus import EVENTS_STREAM, Bus, Envelope
from decnet_ttp.runtime.clients import open_channel
from decnet_ttp.runtime.config import Settings
from decnet_ttp.v1 import directory_service_pb2_grpc, tag_store_service_pb2_grpc
from ingest.backends import Store, Tagger, until

SUBJECT = "attacker.session.ended"


@dataclass
class Rig:
    """Everything a test of the consumer drives."""

    bus: Bus
    settings: Settings
    tagger: Tagger
    store: Store

    @asynccontextmanager
    async def consumer(self, ack_wait_s: float = 2.0) -> AsyncIterator[Consumer]:
        """Run a consumer; on leaving it is stopped and has finished."""
        async with AsyncExitStack() as stack:
            channel = await stack.enter_async_context(
                open_channel(self.settings.tag_store, self.settings)
            )
            dispatcher = await stack.enter_async_context(Dispatcher(self.settings))
            consumer = Consumer(
                bus=self.bus,
                feed=Feed(
                    self.bus,
                    stream=EVENTS_STREAM,
                    durable="test",
                    subjects=[SUBJECT],
                    ack_wait_s=ack_wait_s,
                ),
                pipeline=Pipeline(
                    directory=Directory(
                        directory_service_pb2_grpc.DirectoryServiceStub(channel),
                        create_missing=True,
                        clock=time.monotonic,
                    ),
                    dispatcher=dispatcher,
                    tag_store=tag_store_service_pb2_grpc.TagStoreServiceStub(channel),
                ),
                batch_messages=500,
                max_in_flight=2,
                ack_wait_s=ack_wait_s,
                max_deliveries=3,
            )
            stop = asyncio.Event()
            tasks = [
                asyncio.create_task(dispatcher.follow(stop)),
                asyncio.create_task(consumer.run(stop)),
            ]
            await until(lambda: all(item.kinds is not None for item in dispatcher.taggers))
            try:
                yield consumer
            finally:
                stop.set()
                await asyncio.gather(*tasks)

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
        info = await self.bus.js.consumer_info(EVENTS_STREAM, "test")
        return info.num_pending == 0 and info.num_ack_pending == 0
