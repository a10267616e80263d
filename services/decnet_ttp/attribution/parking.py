# SPDX-License-Identifier: AGPL-3.0-or-later
"""Messages that wait for their attacker to be known, beside the consumer and not within it."""

from __future__ import annotations

import asyncio
import logging
import time

import nats.errors

from decnet_ttp.attribution.database import Database
from decnet_ttp.attribution.intake import Incoming, Intake
from decnet_ttp.core.errors import DecnetError
from decnet_ttp.runtime.pacing import pause

_BATCH = 200
_IDLE_S = 1.0

_DUE = """
SELECT sequence, subject, body, published_at, attempts FROM parked
WHERE retry_at <= $1 ORDER BY sequence LIMIT $2
"""

_log = logging.getLogger(__name__)


class ParkingLot:
    """Tries parked messages again when they are due.

    Args:
        database: Where they are kept.
        intake: What takes them.
    """

    def __init__(self, database: Database, intake: Intake) -> None:
        self._database = database
        self._intake = intake

    async def run(self, stop: asyncio.Event) -> None:
        """Try again and again until `stop`."""
        while not stop.is_set():
            try:
                tried = await self.retry_due(time.time())
            except (DecnetError, nats.errors.Error) as error:
                _log.info("parked messages wait", extra={"error": type(error).__name__})
                tried = 0
            if tried < _BATCH:
                await pause(stop, _IDLE_S)

    async def retry_due(self, now_s: float) -> int:
        """Take those that are due; return how many were tried.

        Raises:
            DecnetError: The database or the directory is away.
            nats.errors.Error: The bus did not take a dead letter.
        """
        async with self._database.connection() as connection:
            rows = await connection.fetch(_DUE, int(now_s * 1e6), _BATCH)
        if rows:
            await self._intake.take(
                [Incoming(row[0], row[1], row[2], row[3], row[4]) for row in rows]
            )
        return len(rows)
