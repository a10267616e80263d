# SPDX-License-Identifier: AGPL-3.0-or-later
"""Carrying what the database's outbox holds to the bus, whenever both are there."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final

from decnet_ttp.rule_store.database import Database
from decnet_ttp.runtime.bus import connect_bus
from decnet_ttp.runtime.config import Settings
from decnet_ttp.runtime.outbox import OutboxRelay
from decnet_ttp.runtime.pacing import unless_stopped
from decnet_ttp.runtime.streams import ensure_streams_until_done

_SUBJECTS: Final = "ttp.rule.>"
_IDLE_S: Final = 1.0
_CLOSE_S: Final = 1.0


class Announcer:
    """Publishes the outbox until it is stopped; what is left then waits for the next start.

    Args:
        settings: Where NATS is.
        database: Where the outbox is.
    """

    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings = settings
        self._database = database
        self._relay: OutboxRelay | None = None

    def wake(self) -> None:
        """Say that something may have been left in the outbox."""
        if self._relay is not None:
            self._relay.wake()

    async def run(self, stop: asyncio.Event) -> None:
        """Publish until `stop`, waiting for whatever is away."""
        await unless_stopped(stop, self._database.wait_opened())
        bus = await unless_stopped(stop, connect_bus(self._settings, name="rule-store"))
        if bus is None:
            return
        try:
            await unless_stopped(stop, ensure_streams_until_done(bus.js, self._settings, stop))
            self._relay = OutboxRelay(
                self._database.connection, bus.js, subjects=_SUBJECTS, idle_s=_IDLE_S
            )
            await self._relay.run(stop)
        finally:
            # Nothing of ours hangs on the connection by now, so its end need not take long.
            with suppress(TimeoutError):
                await asyncio.wait_for(bus.close(), _CLOSE_S)
