# SPDX-License-Identifier: AGPL-3.0-or-later
"""The relay: what a transaction left in the outbox reaches the bus, once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

import nats.errors
from nats.js import JetStreamContext
from nats.js.api import Header

from decnet_ttp.attribution.database import Database
from decnet_ttp.attribution.pacing import pause
from decnet_ttp.core.errors import DecnetError
from decnet_ttp.runtime.bus import DUPLICATE_WINDOW_S, TTP_STREAM
from decnet_ttp.runtime.published import published_ids

_BATCH = 500
_IDLE_S = 0.1
_RETRY_S = 1.0
_PUBLISH_TIMEOUT_S = 10.0
#: From this age on a first attempt may lie outside of the bus's memory of ids, in seconds.
_DOUBTFUL_AFTER_S = 0.75 * DUPLICATE_WINDOW_S

_SUBJECTS = "attribution.>"

_MARK = """
WITH next AS (SELECT id, first_attempt_at FROM outbox ORDER BY id LIMIT $1 FOR UPDATE),
marked AS (
    UPDATE outbox AS o SET first_attempt_at = coalesce(o.first_attempt_at, now())
    FROM next WHERE o.id = next.id
    RETURNING o.id, o.message_id, o.subject, o.body,
        extract(epoch FROM now() - next.first_attempt_at)::float8 AS attempted_s_ago
)
SELECT * FROM marked ORDER BY id
"""
_DONE = "DELETE FROM outbox WHERE id = ANY($1::bigint[])"

_log = logging.getLogger(__name__)


class Relay:
    """Publishes the outbox in order.

    A row is marked as attempted before it is published and deleted once the bus has it. After a
    crash in between it is published again under the same id, which the bus drops while it
    remembers the first; for rows attempted longer ago the stream itself is asked.

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
        """Publish the oldest messages; return how many left the outbox.

        Raises:
            DecnetError: The database is away.
            nats.errors.Error: The bus did not take them all; they stay, and are tried again.
            TimeoutError: Likewise.
        """
        async with self._database.connection() as connection:
            rows = await connection.fetch(_MARK, _BATCH)
        if not rows:
            return 0
        await self._publish(await self._without_published(rows))
        async with self._database.connection() as connection:
            await connection.execute(_DONE, [row["id"] for row in rows])
        return len(rows)

    async def _without_published(self, rows: Sequence[Any]) -> Sequence[Any]:
        oldest_s = max(row["attempted_s_ago"] or 0.0 for row in rows)
        if oldest_s < _DOUBTFUL_AFTER_S:
            return rows
        there = await published_ids(
            self._js, stream=TTP_STREAM, subject=_SUBJECTS, since_s=oldest_s
        )
        return [row for row in rows if row["message_id"].hex not in there]

    async def _publish(self, rows: Sequence[Any]) -> None:
        if not rows:
            return
        sent = [
            await self._js.publish_async(
                row["subject"], row["body"], headers={Header.MSG_ID: row["message_id"].hex}
            )
            for row in rows
        ]
        done, late = await asyncio.wait(sent, timeout=_PUBLISH_TIMEOUT_S)
        for acknowledgement in late:
            acknowledgement.cancel()
        failures = [error for item in done if (error := item.exception()) is not None]
        if failures:
            raise failures[0]
        if late:
            raise TimeoutError
