# SPDX-License-Identifier: AGPL-3.0-or-later
"""The relay: what a transaction left in the outbox reaches the bus, once."""

from __future__ import annotations

import asyncio
import logging

import nats.errors
from nats.js import JetStreamContext
from nats.js.api import Header

from decnet_ttp.attribution.database import Database
from decnet_ttp.attribution.pacing import pause
from decnet_ttp.core.errors import DecnetError

_BATCH = 500
_IDLE_S = 0.1
_RETRY_S = 1.0
_PUBLISH_TIMEOUT_S = 10.0

_DUE = "SELECT id, message_id, subject, body FROM outbox ORDER BY id LIMIT $1"
_DONE = "DELETE FROM outbox WHERE id = ANY($1::bigint[])"

_log = logging.getLogger(__name__)


class Relay:
    """Publishes the outbox in order.

    A message carries its own id as the bus's deduplication id, so that one which was published
    before a crash and is published again after it is stored once.

    Args:
        database: Where the outbox is.
        js: Where it goes.
    """

    def __init__(self, database: Database, js: JetStreamContext) -> None:
        self._database = database
        self._js = js

    async def run(self, stop: asyncio.Event) -> None:
        """Relay until `stop`."""
        while not stop.is_set():
            try:
                sent = await self.relay_batch()
                pause_s = 0.0 if sent else _IDLE_S
            except (DecnetError, nats.errors.Error, TimeoutError) as error:
                _log.info("the outbox waits", extra={"error": type(error).__name__})
                pause_s = _RETRY_S
            if pause_s:
                await pause(stop, pause_s)

    async def relay_batch(self) -> int:
        """Publish the oldest messages; return how many.

        Raises:
            DecnetError: The database is away.
            nats.errors.Error: The bus did not take them all; those it took are removed later.
            TimeoutError: Likewise.
        """
        async with self._database.connection() as connection:
            rows = await connection.fetch(_DUE, _BATCH)
        if not rows:
            return 0
        acknowledgements = [
            await self._js.publish_async(
                row["subject"], row["body"], headers={Header.MSG_ID: row["message_id"].hex}
            )
            for row in rows
        ]
        async with asyncio.timeout(_PUBLISH_TIMEOUT_S):
            await asyncio.gather(*acknowledgements)
        async with self._database.connection() as connection:
            await connection.execute(_DONE, [row["id"] for row in rows])
        return len(rows)
