# SPDX-License-Identifier: AGPL-3.0-or-later
"""The service's way to PostgreSQL: one pool, opened once the server answers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from decnet_ttp.attribution.migrate import SCHEMA, migrate
from decnet_ttp.core.errors import AbortedError, UnavailableError
from decnet_ttp.runtime.database import open_pool

_ACQUIRE_TIMEOUT_S = 10.0
_PING_TIMEOUT_S = 1.5
_RETRY_S = 0.2

#: What the driver raises when the server is away, going away or coming back.
AWAY = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.OperatorInterventionError,
    asyncpg.TooManyConnectionsError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.InsufficientResourcesError,
)
_LOST_RACE = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError)

_log = logging.getLogger(__name__)


class Database:
    """A pool that may not be open yet.

    Args:
        database_url: As in the settings.
        max_connections: Connections at most.
    """

    def __init__(self, database_url: str, *, max_connections: int = 6) -> None:
        self._url = database_url
        self._max_connections = max_connections
        self._pool: asyncpg.Pool[Any] | None = None

    async def open(self) -> None:
        """Bring the schema up to date and open the pool, waiting until the server answers.

        Raises:
            SettingsError: The URL cannot be used.
        """
        while True:
            try:
                await migrate(self._url)
                self._pool = await open_pool(
                    self._url,
                    schema=SCHEMA,
                    application_name="decnet-ttp attribution",
                    max_size=self._max_connections,
                )
            except AWAY as error:
                _log.info("the database is not ready yet", extra={"error": type(error).__name__})
                await asyncio.sleep(_RETRY_S)
            else:
                return

    async def close(self) -> None:
        """Close the pool; connections still at work are cut off after a second."""
        pool, self._pool = self._pool, None
        if pool is None:
            return
        try:
            await asyncio.wait_for(pool.close(), 1.0)
        except TimeoutError:
            pool.terminate()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Any]:
        """Lend a connection.

        Raises:
            UnavailableError: The database is away.
            AbortedError: Another writer won; the same work may be done again.
        """
        if self._pool is None:
            raise UnavailableError("the database is not reached yet; send the request again")
        try:
            async with self._pool.acquire(timeout=_ACQUIRE_TIMEOUT_S) as connection:
                yield connection
        except asyncpg.DataError:
            # A value the driver cannot encode is a fault of ours, not a server that is away.
            raise
        except _LOST_RACE as error:
            raise AbortedError("another writer changed the same rows; send it again") from error
        except AWAY as error:
            _log.warning("the database is away", extra={"error": type(error).__name__})
            raise UnavailableError(
                "the database does not answer; send the request again shortly"
            ) from error

    async def ready(self) -> bool:
        """Whether the database answers now."""
        if self._pool is None:
            return False
        try:
            async with asyncio.timeout(_PING_TIMEOUT_S):
                await self._pool.fetchval("SELECT 1")
        except (*AWAY, asyncpg.PostgresError):
            return False
        return True
