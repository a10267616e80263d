# SPDX-License-Identifier: AGPL-3.0-or-later
"""A pool of connections to PostgreSQL that is opened once the server answers, and its errors."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final

import asyncpg

from decnet_ttp.core.errors import AbortedError, ResourceExhaustedError, UnavailableError
from decnet_ttp.runtime.database import Initialise, open_pool
from decnet_ttp.runtime.pacing import pause

#: What the driver raises when the server is away, going away or coming back.
AWAY: Final = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    # A server that ends a session in the middle of a statement leaves the driver unable to roll
    # back, which it reports so; the pool throws the connection away.
    asyncpg.InternalClientError,
    asyncpg.OperatorInterventionError,
    asyncpg.TooManyConnectionsError,
    asyncpg.ReadOnlySQLTransactionError,
)
_LOST_RACE: Final = (
    asyncpg.SerializationError,
    asyncpg.DeadlockDetectedError,
    # Two that claim one key at the same moment, where waiting for each other decides nothing.
    asyncpg.UniqueViolationError,
)
_FULL: Final = (asyncpg.DiskFullError, asyncpg.OutOfMemoryError)

#: How long a call waits for a free connection before it is told to come again, in seconds.
_ACQUIRE_TIMEOUT_S: Final = 10.0
_RETRY_S: Final = 0.2
_PING_TIMEOUT_S: Final = 1.5
_CLOSE_S: Final = 1.0

_log = logging.getLogger(__name__)


@contextmanager
def driver_errors() -> Iterator[None]:
    """Turn what the driver raises into errors that callers act on; its text stays here.

    Raises:
        AbortedError: Another writer won; the whole call may be sent again.
        ResourceExhaustedError: The database's disk or memory is full.
        UnavailableError: The database is away, going away or coming back.
    """
    try:
        yield
    except asyncpg.DataError:
        # A value the driver could not encode is a fault of ours, not a database that is away.
        raise
    except _LOST_RACE as error:
        raise AbortedError(
            "another writer changed the same rows; send the request again"
        ) from error
    except _FULL as error:
        _log.exception("the database has no room", extra={"sqlstate": error.sqlstate})
        raise ResourceExhaustedError(
            "the database's disk or memory is full; make room, then send the request again"
        ) from error
    except AWAY as error:
        _log.warning("the database is away", extra={"error": type(error).__name__})
        raise UnavailableError(
            "the database does not answer; send the request again shortly"
        ) from error


class Pool:
    """A pool that may not be open yet.

    Args:
        database_url: As in the settings.
        schema: Search path of every connection.
        application_name: Name shown in pg_stat_activity.
        migrate: Brings the schema up to date, before the pool is opened.
        max_connections: Connections at most.
        init: Called once with each new connection.
    """

    def __init__(
        self,
        database_url: str,
        *,
        schema: str,
        application_name: str,
        migrate: Callable[[], Awaitable[None]],
        max_connections: int,
        init: Initialise | None = None,
    ) -> None:
        self._url = database_url
        self._schema = schema
        self._application_name = application_name
        self._migrate = migrate
        self._max_connections = max_connections
        self._init = init
        self._pool: asyncpg.Pool[Any] | None = None
        self._opened = asyncio.Event()

    async def open(self) -> None:
        """Bring the schema up to date and open the pool.

        Raises:
            OSError: The server is away.
            asyncpg.PostgresError: The server refuses.
            SettingsError: The URL cannot be used.
        """
        await self._migrate()
        self._pool = await open_pool(
            self._url,
            schema=self._schema,
            application_name=self._application_name,
            max_size=self._max_connections,
            init=self._init,
        )
        self._opened.set()

    async def open_once_it_answers(self, stop: asyncio.Event) -> None:
        """Open, and try again while the server does not answer; return at `stop` at the latest.

        Raises:
            asyncpg.PostgresError: The server refuses, and would again.
            asyncpg.ClientConfigurationError: The URL cannot be used.
            SettingsError: The URL cannot be used.
        """
        while not stop.is_set() and not self._opened.is_set():
            try:
                await self.open()
            except asyncpg.ClientConfigurationError:
                # The URL is at fault, which waiting does not cure.
                raise
            except AWAY as error:
                _log.info("the database is not ready yet", extra={"error": type(error).__name__})
                await pause(stop, _RETRY_S)

    async def keep_open(self, stop: asyncio.Event) -> None:
        """Open as soon as the server answers, then stay until `stop`."""
        await self.open_once_it_answers(stop)
        await stop.wait()

    async def wait_opened(self) -> None:
        """Return once the pool is open."""
        await self._opened.wait()

    async def close(self) -> None:
        """Close the pool; connections still at work are cut off after a second."""
        pool, self._pool = self._pool, None
        if pool is None:
            return
        try:
            await asyncio.wait_for(pool.close(), _CLOSE_S)
        except TimeoutError:
            pool.terminate()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Any]:
        """Lend a connection.

        Raises:
            AbortedError, ResourceExhaustedError, UnavailableError: As in driver_errors.
        """
        if self._pool is None:
            raise UnavailableError("the database is not reached yet; send the request again")
        with driver_errors():
            async with self._pool.acquire(timeout=_ACQUIRE_TIMEOUT_S) as connection:
                yield connection

    async def fetch(self, sql: str, *arguments: object) -> list[Any]:
        """Run one query and return its rows; errors as in `connection`."""
        async with self.connection() as connection:
            rows: list[Any] = await connection.fetch(sql, *arguments)
            return rows

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
