# SPDX-License-Identifier: AGPL-3.0-or-later
"""How much waits to be announced, said aloud before it is too much."""

from __future__ import annotations

import asyncio
import logging
from typing import NamedTuple

from decnet_ttp.core.errors import AbortedError, ResourceExhaustedError, UnavailableError
from decnet_ttp.runtime.pacing import pause
from decnet_ttp.tag_store.database import Database

#: Seconds between two looks.
PERIOD_S = 5.0
#: Share of the limit from which on a warning is logged.
WARN_FROM = 0.1

# Counting ends at the limit, so that a look stays cheap.
_COUNT = "SELECT count(*) FROM (SELECT FROM outbox LIMIT $1) o"
_OLDEST = "SELECT created_at FROM outbox ORDER BY id LIMIT 1"
_TAGS = "SELECT greatest(reltuples, 0)::bigint FROM pg_class WHERE oid = 'tags'::regclass"
_VERSION = "SELECT version_num FROM alembic_version"

_log = logging.getLogger(__name__)


class Status(NamedTuple):
    """What the database is like; time in ticks, None when nothing waits."""

    schema_version: str
    estimated_tags: int
    outbox: int
    oldest: int | None
    limit: int


class OutboxFullError(ResourceExhaustedError):
    """More waits to be announced than may."""

    reason = "OUTBOX_FULL"


class OutboxGauge:
    """Looks at the outbox now and then.

    Args:
        database: Where it is.
        limit: Upstream messages that may wait.
    """

    def __init__(self, database: Database, limit: int) -> None:
        self._database = database
        self._limit = limit
        self._waiting = 0

    def require_room(self) -> None:
        """Let a write pass whose announcement may be left in the outbox.

        Raises:
            OutboxFullError: The last look found as much as may wait.
        """
        if self._waiting >= self._limit:
            raise OutboxFullError(
                f"{self._limit} upstream messages wait to be announced; bring NATS back, then send "
                "the request again",
                limit=self._limit,
            )

    async def run(self, stop: asyncio.Event) -> None:
        """Look until `stop`."""
        while not stop.is_set():
            try:
                await self.look()
            except (AbortedError, ResourceExhaustedError, UnavailableError) as error:
                _log.debug("the outbox is not seen", extra={"error": type(error).__name__})
            await pause(stop, PERIOD_S)

    async def look(self) -> int:
        """Count what waits, up to the limit, and log what is too much.

        Raises:
            AbortedError, ResourceExhaustedError, UnavailableError: The database said so.
        """
        before = self._waiting
        self._waiting = int((await self._database.fetch(_COUNT, self._limit))[0][0])
        figures = {"waiting": self._waiting, "limit": self._limit}
        if self._waiting >= self._limit:
            _log.error("the outbox is full: tags are refused", extra=figures)
        elif self._waiting >= self._limit * WARN_FROM:
            _log.warning("announcements pile up", extra=figures)
        elif before >= self._limit * WARN_FROM:
            _log.info("announcements flow again", extra=figures)
        return self._waiting

    async def status(self) -> Status:
        """Return how the store stands now.

        Raises:
            AbortedError, ResourceExhaustedError, UnavailableError: The database said so.
        """
        waiting = await self.look()
        oldest = await self._database.fetch(_OLDEST)
        return Status(
            schema_version=(await self._database.fetch(_VERSION))[0][0],
            estimated_tags=(await self._database.fetch(_TAGS))[0][0],
            outbox=waiting,
            oldest=oldest[0][0] if oldest else None,
            limit=self._limit,
        )
