# SPDX-License-Identifier: AGPL-3.0-or-later
"""The rule-store's way to PostgreSQL: opened once the server answers, and again for ever."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import asyncpg

from decnet_ttp.rule_store.migrations import SCHEMA, connect, migrate
from decnet_ttp.rule_store.state_store import StateStoreAwayError
from decnet_ttp.runtime import pool
from decnet_ttp.runtime.database import asyncpg_dsn, open_pool
from decnet_ttp.runtime.pacing import pause

#: What the driver raises when the server is away, refuses, or goes in the middle of something.
AWAY: Final = (*pool.AWAY, asyncpg.PostgresError)

_MAX_CONNECTIONS: Final = 3
_COMMAND_TIMEOUT_S: Final = 5.0
#: How long a connection may be borrowed, with the wait for it, in seconds.
_CALL_S: Final = 10.0
_RETRY_S: Final = 0.2
_CLOSE_S: Final = 1.0

_log = logging.getLogger(__name__)


class Database:
    """A pool that may not be open yet.

    Args:
        database_url: As in the settings.

    Raises:
        SettingsError: The URL cannot be used.
    """

    def __init__(self, database_url: str) -> None:
        asyncpg_dsn(database_url)
        self.url = database_url
        self._pool: asyncpg.Pool[Any] | None = None
        self._opened = asyncio.Event()

    async def open(self) -> None:
        """Bring the schema up to date and open the pool.

        Raises:
            OSError, TimeoutError: The server is away.
            asyncpg.PostgresError: The server refuses.
        """
        connection = await connect(
            self.url, name="decnet-ttp rule-store", command_timeout_s=_COMMAND_TIMEOUT_S
        )
        try:
            await migrate(connection)
        finally:
            await connection.close(timeout=_CLOSE_S)
        self._pool = await open_pool(
            self.url,
            schema=SCHEMA,
            application_name="decnet-ttp rule-store",
            max_size=_MAX_CONNECTIONS,
        )
        self._opened.set()

    async def keep_open(self, stop: asyncio.Event) -> None:
        """Open as soon as the server answers, then stay until `stop`."""
        told = False
        while not stop.is_set() and not self._opened.is_set():
            try:
                await self.open()
            except AWAY as error:
                if not told:
                    told = True
                    _log.warning(
                        "the database does not answer; states of rules wait for it",
                        extra={"error": type(error).__name__},
                    )
                await pause(stop, _RETRY_S)
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
        """Lend a connection; whatever goes wrong with it becomes one error of ours.

        Raises:
            StateStoreAwayError: The database is away or refuses.
        """
        if self._pool is None:
            raise StateStoreAwayError(
                "the database that holds rule states does not answer yet; try again"
            )
        try:
            # A server that fell silent would otherwise hold up whoever waits for the same lock.
            async with asyncio.timeout(_CALL_S), self._pool.acquire() as connection:
                yield connection
        except AWAY as error:
            # The driver's own words may quote values and never leave.
            raise StateStoreAwayError(
                "the database that holds rule states does not answer; try again",
                cause=type(error).__name__,
            ) from error
