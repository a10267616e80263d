# SPDX-License-Identifier: AGPL-3.0-or-later
"""The store's way to PostgreSQL: one pool, times as ticks, errors of the driver made ours."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import asyncpg

from decnet_ttp.core.errors import AbortedError, ResourceExhaustedError, UnavailableError
from decnet_ttp.runtime.database import open_pool
from decnet_ttp.tag_store.migrate import migrate

SCHEMA = "tags"

#: How long a call waits for a free connection before it is told to come again, in seconds.
_ACQUIRE_TIMEOUT_S = 10.0
_RETRY_S = 0.2
_PING_TIMEOUT_S = 1.5

_log = logging.getLogger(__name__)

_LOST_RACE = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError)
_FULL = (asyncpg.DiskFullError, asyncpg.OutOfMemoryError)
_AWAY = (
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
    except _AWAY as error:
        _log.warning("the database is away", extra={"error": type(error).__name__})
        raise UnavailableError(
            "the database does not answer; send the request again shortly"
        ) from error


async def _init_connection(connection: Any) -> None:
    """Make times and days travel as integers; see the module `ticks`."""
    for name in ("timestamptz", "date"):
        await connection.set_type_codec(
            name,
            schema="pg_catalog",
            encoder=lambda number: (number,),
            decoder=lambda parts: parts[0],
            format="tuple",
        )


class Database:
    """The pool behind every query of the store; opened once the server answers.

    Args:
        database_url: As in the settings.
        max_connections: Connections at most, which bounds the writers at work at once.
    """

    def __init__(self, database_url: str, *, max_connections: int = 8) -> None:
        self._url = database_url
        self._max_connections = max_connections
        self._pool: asyncpg.Pool[Any] | None = None
        self._opened = asyncio.Event()

    async def open(self) -> None:
        """Bring the schema up to date and open the pool.

        Raises:
            OSError: The server is away.
            asyncpg.PostgresError: The server refuses.
            SettingsError: The URL cannot be used.
        """
        await migrate(self._url, schema=SCHEMA)
        self._pool = await open_pool(
            self._url,
            schema=SCHEMA,
            application_name="decnet-ttp tag-store",
            max_size=self._max_connections,
            init=_init_connection,
        )
        self._opened.set()

    async def keep_open(self, stop: asyncio.Event) -> None:
        """Open as soon as the server answers, then stay until `stop`."""
        while not stop.is_set() and not self._opened.is_set():
            try:
                await self.open()
            except (
                OSError,
                TimeoutError,
                asyncpg.PostgresConnectionError,
                asyncpg.OperatorInterventionError,
                asyncpg.TooManyConnectionsError,
            ) as error:
                _log.info("the database is not ready yet", extra={"error": type(error).__name__})
                await asyncio.sleep(_RETRY_S)
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
            await asyncio.wait_for(pool.close(), 1.0)
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
        except (*_AWAY, asyncpg.PostgresError):
            return False
        return True
