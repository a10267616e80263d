# SPDX-License-Identifier: AGPL-3.0-or-later
"""The relay: what a transaction left in the outbox reaches the bus, once.

The table `outbox` has `id` (the order), `message_id` (a UUID, the Nats-Msg-Id), `subject`, `body`
and `first_attempt_at`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from typing import Any
from uuid import UUID

import nats.errors
from nats.js import JetStreamContext
from nats.js.api import Header

from decnet_ttp.core.errors import DecnetError
from decnet_ttp.runtime import tracing
from decnet_ttp.runtime.bus import Envelope
from decnet_ttp.runtime.pacing import pause
from decnet_ttp.runtime.published import published_ids
from decnet_ttp.runtime.streams import DUPLICATE_WINDOW_S, TTP_STREAM

_BATCH = 500
_RETRY_S = 1.0
_PUBLISH_TIMEOUT_S = 10.0
#: From this age on a first attempt may lie outside of the bus's memory of ids, in seconds.
_DOUBTFUL_AFTER_S = 0.75 * DUPLICATE_WINDOW_S

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

_LEAVE = "INSERT INTO outbox (message_id, subject, body) VALUES ($1, $2, $3)"

_log = logging.getLogger(__name__)


async def leave(connection: Any, envelopes: Sequence[Envelope]) -> None:
    """Leave messages in the outbox, within the transaction that the connection is in."""
    await connection.executemany(
        _LEAVE, [(UUID(each.id), each.topic, each.encode()) for each in envelopes]
    )


class OutboxRelay:
    """Publishes the outbox in order.

    A row is marked as attempted before it is published and deleted once the bus has it. After a
    crash in between it is published again under the same id, which the bus drops while it
    remembers the first; for rows attempted longer ago the stream itself is asked.

    Several processes may relay one outbox; the bus then drops what comes twice.

    Args:
        connection: Lends a connection to the database, whose search path has the outbox.
        js: Where it goes.
        subjects: Filter that every subject of the outbox passes.
        idle_s: How often an empty outbox is looked at unasked, in seconds.
    """

    def __init__(
        self,
        connection: Callable[[], AbstractAsyncContextManager[Any]],
        js: JetStreamContext,
        *,
        subjects: str,
        idle_s: float = 0.1,
    ) -> None:
        self._connection = connection
        self._js = js
        self._subjects = subjects
        self._idle_s = idle_s
        self._woken = asyncio.Event()
        self._origin: tracing.Carrier | None = None

    def wake(self) -> None:
        """Say that something was left in the outbox."""
        self._origin = tracing.carrier() or self._origin
        self._woken.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Relay until `stop`."""
        while not stop.is_set():
            try:
                sent = await self.relay_batch()
            except (DecnetError, nats.errors.Error, TimeoutError) as error:
                _log.info("the outbox waits", extra={"error": type(error).__name__})
                await pause(stop, _RETRY_S)
                continue
            if not sent:
                await self._until_woken(stop)

    async def _until_woken(self, stop: asyncio.Event) -> None:
        waits = [asyncio.ensure_future(event.wait()) for event in (self._woken, stop)]
        try:
            await asyncio.wait(waits, timeout=self._idle_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._woken.clear()
            for wait in waits:
                wait.cancel()
                with suppress(asyncio.CancelledError):
                    await wait

    async def relay_batch(self) -> int:
        """Publish the oldest messages; return how many left the outbox.

        Raises:
            DecnetError: The database is away.
            nats.errors.Error: The bus did not take them all; they stay, and are tried again.
            TimeoutError: Likewise.
        """
        async with self._connection() as connection:
            rows = await connection.fetch(_MARK, _BATCH)
        if not rows:
            return 0
        with tracing.span("ttp.bus.publish", self._origin, announcements=len(rows)):
            await self._publish(await self._without_published(rows))
        async with self._connection() as connection:
            await connection.execute(_DONE, [row["id"] for row in rows])
        return len(rows)

    async def _without_published(self, rows: Sequence[Any]) -> Sequence[Any]:
        oldest_s = max(row["attempted_s_ago"] or 0.0 for row in rows)
        if oldest_s < _DOUBTFUL_AFTER_S:
            return rows
        there = await published_ids(
            self._js, stream=TTP_STREAM, subject=self._subjects, since_s=oldest_s
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
