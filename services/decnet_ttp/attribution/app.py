# SPDX-License-Identifier: AGPL-3.0-or-later
"""The attribution service: its parts, and the order in which they start and stop."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, suppress

from decnet_ttp.attribution.consumer import Consumer
from decnet_ttp.attribution.database import Database
from decnet_ttp.attribution.directory import Directory, GrpcDirectory, NoDirectory
from decnet_ttp.attribution.figures import Figures
from decnet_ttp.attribution.intake import Intake, Tally
from decnet_ttp.attribution.leadership import Leadership
from decnet_ttp.attribution.membership import MembershipFollower
from decnet_ttp.attribution.parking import ParkingLot
from decnet_ttp.attribution.primitives import Registry, load_registry
from decnet_ttp.attribution.queries import Queries
from decnet_ttp.attribution.servicer import AttributionServicer
from decnet_ttp.attribution.store import Store
from decnet_ttp.attribution.suspicion import Suspicion
from decnet_ttp.runtime.bus import Bus, connect_bus
from decnet_ttp.runtime.clients import open_channel
from decnet_ttp.runtime.config import Settings
from decnet_ttp.runtime.database import asyncpg_dsn
from decnet_ttp.runtime.outbox import OutboxRelay
from decnet_ttp.runtime.pacing import unless_stopped
from decnet_ttp.runtime.server import Server
from decnet_ttp.runtime.streams import ensure_streams_until_done
from decnet_ttp.v1.attribution_service_pb2_grpc import add_AttributionServiceServicer_to_server
from decnet_ttp.v1.directory_service_pb2_grpc import DirectoryServiceStub

SERVICE = "decnet_ttp.v1.AttributionService"

_CLOSE_S = 2.0


class Attribution:
    """The work beside the calls. All replicas answer; one of them, the leader, takes and writes.

    Args:
        settings: Bus, database, directory.
        database: Opened here as soon as the server answers.
        directory: Who is who.
        registry: Which values primitives may have.

    Attributes:
        figures: What it tells of itself.
    """

    def __init__(
        self, settings: Settings, database: Database, directory: Directory, registry: Registry
    ) -> None:
        self._settings = settings
        self._database = database
        self._directory = directory
        self._registry = registry
        self._bus: Bus | None = None
        self._tally = Tally()
        self.figures = Figures(self._tally, database, lambda: self._bus)

    async def ready(self) -> bool:
        """Whether questions are answered and observations can be taken."""
        return self._bus is not None and self._bus.nc.is_connected and await self._database.ready()

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop`, waiting for whatever is away."""
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._database.close)
            await unless_stopped(stop, self._database.open_once_it_answers(stop))
            bus = await unless_stopped(stop, connect_bus(self._settings, name="attribution"))
            if bus is None:
                return
            stack.push_async_callback(_close, bus)
            await unless_stopped(stop, ensure_streams_until_done(bus.js, self._settings, stop))
            self._bus = bus
            leadership = Leadership(self._settings.database_url)
            stack.push_async_callback(leadership.release)
            while await leadership.acquire(stop):
                await self._lead(bus, leadership, stop)

    async def _lead(self, bus: Bus, leadership: Leadership, stop: asyncio.Event) -> None:
        store = Store(self._database, self._registry)
        relay = OutboxRelay(self._database.connection, bus.js, subjects="attribution.>")
        intake = Intake(
            store,
            self._directory,
            self._registry,
            bus.js,
            max_attempts=self._settings.ingest_max_deliveries,
            tally=self._tally,
            announced=relay.wake,
        )
        consumer = Consumer(
            bus,
            intake,
            batch_messages=self._settings.ingest_batch_messages,
            ack_wait_s=self._settings.ingest_ack_wait_s,
        )
        follower = MembershipFollower(self._database, store, self._directory, self._registry)
        parts = (
            consumer,
            relay,
            Suspicion(self._database),
            ParkingLot(self._database, intake),
        )
        over = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            for part in parts:
                group.create_task(part.run(over))
            group.create_task(follower.run(bus.nc, over))
            ends = [asyncio.ensure_future(event.wait()) for event in (stop, leadership.lost)]
            try:
                await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            finally:
                over.set()
                for end in ends:
                    end.cancel()


async def _close(bus: Bus) -> None:
    """Close the connection; nothing of ours hangs on it by now, so it need not take long."""
    with suppress(TimeoutError):
        await asyncio.wait_for(bus.close(), _CLOSE_S)


async def run(settings: Settings) -> None:
    """Serve until SIGTERM.

    Raises:
        SettingsError: A setting cannot be used.
        ExceptionGroup: A part of the service failed.
    """
    asyncpg_dsn(settings.database_url)  # A wrong URL ends the start; an absent server does not.
    registry = load_registry()
    database = Database(settings.database_url)
    async with AsyncExitStack() as stack:
        directory: Directory = NoDirectory()
        if settings.tag_store:
            channel = await stack.enter_async_context(open_channel(settings.tag_store, settings))
            directory = GrpcDirectory(
                DirectoryServiceStub(channel), accept_unknown=settings.anchor_policy == "create"
            )
        service = Attribution(settings, database, directory, registry)
        figures = service.figures
        server = Server(
            settings,
            name="attribution",
            progress=figures.progress,
            metrics=[figures.counted, figures.stored, figures.behind],
        )
        server.add(
            add_AttributionServiceServicer_to_server,
            AttributionServicer(Queries(database)),
            SERVICE,
        )
        await server.run(ready=service.ready, tasks=(service.run,))
