# SPDX-License-Identifier: AGPL-3.0-or-later
"""The tag-store's composition root."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

from decnet_ttp.attack.loader import load_catalogue
from decnet_ttp.runtime.bus import Bus, connect_bus
from decnet_ttp.runtime.config import Settings, SettingsError
from decnet_ttp.runtime.server import Server
from decnet_ttp.runtime.streams import ensure_streams_until_done
from decnet_ttp.tag_store.adjusting_rules import AdjustingRules
from decnet_ttp.tag_store.adjustments import Adjustments
from decnet_ttp.tag_store.announcement_limit import AnnouncementLimit, forget_minutes
from decnet_ttp.tag_store.database import Database
from decnet_ttp.tag_store.directory import Directory
from decnet_ttp.tag_store.directory_servicer import DirectoryServicer
from decnet_ttp.tag_store.export_servicer import ExportServicer
from decnet_ttp.tag_store.figures import Figures, Tally
from decnet_ttp.tag_store.fleet_settling import FleetSettling
from decnet_ttp.tag_store.names import Names
from decnet_ttp.tag_store.outbox_gauge import OutboxGauge
from decnet_ttp.tag_store.relay import Relay
from decnet_ttp.tag_store.retention import Retention
from decnet_ttp.tag_store.rollup_servicer import RollupServicer
from decnet_ttp.tag_store.scope_folder import ScopeFolder
from decnet_ttp.tag_store.tag_servicer import TagServicer
from decnet_ttp.tag_store.writer import TagWriter
from decnet_ttp.v1.directory_service_pb2_grpc import add_DirectoryServiceServicer_to_server
from decnet_ttp.v1.export_service_pb2_grpc import add_ExportServiceServicer_to_server
from decnet_ttp.v1.rollup_service_pb2_grpc import add_RollupServiceServicer_to_server
from decnet_ttp.v1.tag_store_service_pb2_grpc import add_TagStoreServiceServicer_to_server

#: Announcements that may wait for their acknowledgement at once.
_BUS_PENDING = 8_000

#: New objects after which the collector looks for rings among them; a batch makes thousands, and
#: no rings.
_COLLECT_AFTER = 50_000


@dataclass(frozen=True, slots=True)
class TagStore:
    """The service, wired and not yet started."""

    server: Server
    database: Database
    relay: Relay
    gauge: OutboxGauge
    retention: Retention
    settling: FleetSettling
    adjusting_rules: AdjustingRules
    folder: ScopeFolder

    async def serve(self) -> None:
        """Serve until SIGTERM or `server.request_stop`.

        Ready means that the database answers: NATS may be away, since announcements wait in the
        outbox, and tags must not.
        """
        await self.server.run(
            ready=self.database.ready,
            tasks=[
                self.database.keep_open,
                self.relay.run,
                self.gauge.run,
                self.retention.run,
                self.settling.run,
                self.adjusting_rules.run,
                self.folder.run,
                partial(forget_minutes, self.database),
            ],
        )


@asynccontextmanager
async def open_store(settings: Settings) -> AsyncIterator[TagStore]:
    """Wire the service; what it opened is closed at the end.

    Raises:
        SettingsError: A setting is missing or cannot be used.
        CatalogueInvalidError: The ATT&CK data cannot be loaded.
    """
    for name in ("database_url", "nats_url"):
        if not getattr(settings, name):
            raise SettingsError(f"DECNET_TTP_{name.upper()} is not set; name a server")

    async def connect() -> Bus:
        bus = await connect_bus(settings, name="tag-store relay", pending=_BUS_PENDING)
        try:
            await ensure_streams_until_done(bus.js, settings)
        except asyncio.CancelledError:
            await bus.close()
            raise
        return bus

    catalogue = load_catalogue(
        bundle=settings.attack_bundle,
        sha256=settings.attack_sha256 or None,
        cache_dir=settings.attack_cache_dir,
    )
    names = Names(catalogue)
    database = Database(settings.database_url)
    tally = Tally(by_technique=bool(settings.metrics_listen))
    figures = Figures(tally, database)
    relay = Relay(database, connect, tally)
    directory = Directory(database)
    gauge = OutboxGauge(database, settings.outbox_limit)
    limit = AnnouncementLimit(settings.announce_per_minute)
    writer = TagWriter(database, relay.wake, tally, limit=limit, gauge=gauge)
    # Nothing is adjusted before the states of the rules are known.
    adjustments = Adjustments(database, None)
    server = Server(
        settings,
        name="tag-store",
        progress=figures.progress,
        metrics=[figures.counted, figures.waiting],
    )
    server.add(
        add_TagStoreServiceServicer_to_server,
        TagServicer(writer, database, directory, names, gauge, adjustments),
        "decnet_ttp.v1.TagStoreService",
    )
    server.add(
        add_RollupServiceServicer_to_server,
        RollupServicer(database, directory, names),
        "decnet_ttp.v1.RollupService",
    )
    server.add(
        add_DirectoryServiceServicer_to_server,
        DirectoryServicer(database, directory),
        "decnet_ttp.v1.DirectoryService",
    )
    server.add(
        add_ExportServiceServicer_to_server,
        ExportServicer(database, directory, names, adjustments, catalogue),
        "decnet_ttp.v1.ExportService",
    )
    try:
        yield TagStore(
            server,
            database,
            relay,
            gauge,
            Retention(database, settings.retention_days),
            FleetSettling(database),
            AdjustingRules(settings, adjustments),
            ScopeFolder(database),
        )
    finally:
        await database.close()


async def run(settings: Settings) -> None:
    """Serve until SIGTERM; errors as in open_store."""
    async with open_store(settings) as store:
        # The catalogue and the modules live as long as the process: the collector need not walk
        # them again with every few batches of tags.
        gc.collect()
        gc.freeze()
        gc.set_threshold(_COLLECT_AFTER)
        await store.serve()
