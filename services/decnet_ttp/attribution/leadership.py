# SPDX-License-Identifier: AGPL-3.0-or-later
"""One process of several does the writing: whoever holds a session lock of PostgreSQL."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import Any

import asyncpg

from decnet_ttp.runtime.database import asyncpg_dsn
from decnet_ttp.runtime.pacing import pause
from decnet_ttp.runtime.pool import AWAY

#: Key of the leader's lock ("attr" and "lead" in ASCII).
LEADER_LOCK = 0x61747472_6C656164

_ASK_S = 0.5
_CLOSE_S = 1.0

_log = logging.getLogger(__name__)


class Leadership:
    """The leader's lock; it is lost with the connection that holds it.

    Args:
        database_url: As in the settings.
    """

    def __init__(self, database_url: str) -> None:
        self._url = database_url
        self._connection: asyncpg.Connection[Any] | None = None
        self.lost = asyncio.Event()

    async def acquire(self, stop: asyncio.Event) -> bool:
        """Wait until this process leads; False when `stop` came first."""
        while not stop.is_set():
            try:
                if self._connection is None or self._connection.is_closed():
                    self._connection = await asyncpg.connect(
                        asyncpg_dsn(self._url),
                        timeout=5.0,
                        server_settings={"application_name": "decnet-ttp attribution leader"},
                    )
                if await self._connection.fetchval("SELECT pg_try_advisory_lock($1)", LEADER_LOCK):
                    self.lost.clear()
                    self._connection.add_termination_listener(self._on_termination)
                    _log.info("leading")
                    return True
            except AWAY as error:
                _log.info("no leader yet", extra={"error": type(error).__name__})
            await pause(stop, _ASK_S)
        return False

    def _on_termination(self, _connection: object) -> None:
        _log.warning("leadership lost")
        self.lost.set()

    async def release(self) -> None:
        """Let another process lead."""
        connection, self._connection = self._connection, None
        if connection is None or connection.is_closed():
            return
        connection.remove_termination_listener(self._on_termination)
        with suppress(*AWAY):
            await connection.close(timeout=_CLOSE_S)
