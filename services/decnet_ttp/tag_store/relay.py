# SPDX-License-Identifier: AGPL-3.0-or-later
"""Carrying the outbox to the bus: every row once, whatever dies on the way.

A round has two transactions. The first marks rows as attempted and commits; the second locks them
again, publishes, waits for every acknowledgement, and deletes them. Whoever dies in between
leaves marked rows behind, which the next round publishes again under the same Nats-Msg-Id: NATS
drops those within its duplicate window, and for rows attempted longer ago the relay looks into the
stream itself (`runtime.published`). Replicas work beside each other on rows that are not locked.

Rows that nobody attempted before cannot be in the stream, and go as whole batches.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

import nats.errors
import nats.js.errors

from decnet_ttp.core.errors import AbortedError, ResourceExhaustedError, UnavailableError
from decnet_ttp.runtime import tracing
from decnet_ttp.runtime.bus import Bus
from decnet_ttp.runtime.published import published_ids
from decnet_ttp.runtime.streams import DUPLICATE_WINDOW_S, TTP_STREAM
from decnet_ttp.tag_store.announcements import OutboxRow, envelopes
from decnet_ttp.tag_store.database import Database
from decnet_ttp.tag_store.figures import Tally
from decnet_ttp.tag_store.publisher import BulkPublisher

#: Outbox rows marked at once.
ROUND_ROWS = 1_000
#: Bytes of rows after which those in hand are published: as messages they take a multiple.
SHARE_BYTES = 4 * 1024 * 1024
#: How long a round waits for the next acknowledgement, in seconds.
ACK_PATIENCE_S = 10.0
#: From this age on a row's first attempt may lie outside of the duplicate window, in seconds.
DOUBTFUL_AFTER_S = DUPLICATE_WINDOW_S * 0.75

#: How often the outbox is looked at unasked, for rows that another process left, in seconds.
_POLL_S = 1.0
_BACK_OFF_S = (0.1, 5.0)
#: How long the end waits for what is under way, in seconds.
_FINISH_S = 1.0

_MARK = """
    WITH next AS (
        SELECT id, first_attempt_at FROM outbox ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED
    )
    UPDATE outbox o SET first_attempt_at = coalesce(o.first_attempt_at, now())
    FROM next WHERE o.id = next.id
    RETURNING o.id,
        extract(epoch FROM now() - next.first_attempt_at)::double precision AS attempted_s_ago,
        octet_length(o.body) AS size
"""
_HOLD = """
    SELECT id, announcement, body, created_at FROM outbox
    WHERE id = ANY($1::bigint[]) ORDER BY id FOR UPDATE SKIP LOCKED
"""
_DELETE = "DELETE FROM outbox WHERE id = ANY($1::bigint[])"

_log = logging.getLogger(__name__)

_BUS_TROUBLE = (nats.errors.Error, nats.js.errors.Error, OSError, TimeoutError)
_DATABASE_TROUBLE = (AbortedError, ResourceExhaustedError, UnavailableError)


class _Marked(NamedTuple):
    """A row that is attempted from now on, and how long ago it was for the first time, if ever."""

    id: int
    attempted_s_ago: float | None
    size: int


class Relay:
    """Publishes the outbox.

    Args:
        database: Where the outbox is.
        connect: Connects to NATS and makes sure of the streams; may take as long as it needs.
        tally: What was published is counted here.
    """

    def __init__(
        self,
        database: Database,
        connect: Callable[[], Awaitable[Bus]],
        tally: Tally | None = None,
    ) -> None:
        self._database = database
        self._connect = connect
        self._tally = tally or Tally()
        self._wake = asyncio.Event()
        # Of the batch that filled the outbox last: a round goes on with its trace.
        self._origin: tracing.Carrier | None = None

    def wake(self) -> None:
        """Say that something was left in the outbox."""
        self._origin = tracing.carrier() or self._origin
        self._wake.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Publish until `stop`; what is left then waits for the next start."""
        bus = await self._open(stop)
        if bus is None:
            return
        stopping = asyncio.ensure_future(stop.wait())
        stopping.add_done_callback(lambda _: self.wake())
        work = asyncio.ensure_future(self._work(bus, stop))
        try:
            await asyncio.wait((work, stopping), return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait((work,), timeout=_FINISH_S)
            if work.done():
                await work
        finally:
            stopping.cancel()
            work.cancel()
            await asyncio.wait((work,))
            await bus.close()

    async def _open(self, stop: asyncio.Event) -> Bus | None:
        """Wait for the database and connect to the bus; None when `stop` came first."""

        async def open_bus() -> Bus:
            await self._database.wait_opened()
            return await self._connect()

        opening = asyncio.ensure_future(open_bus())
        stopping = asyncio.ensure_future(stop.wait())
        await asyncio.wait((opening, stopping), return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        # A connection about to be made is waited for, so that it can be closed.
        await asyncio.wait((opening,), timeout=_FINISH_S)
        while not opening.done():
            # The NATS client swallows a cancellation while it connects, so one may not do.
            opening.cancel()
            await asyncio.wait((opening,), timeout=0.1)
        return None if opening.cancelled() else opening.result()

    async def _work(self, bus: Bus, stop: asyncio.Event) -> None:
        publisher = BulkPublisher(bus.nc)
        delay = 0.0
        while not stop.is_set():
            try:
                more = await self.round(bus, publisher)
            except (*_BUS_TROUBLE, *_DATABASE_TROUBLE) as error:
                delay = min(max(delay * 2, _BACK_OFF_S[0]), _BACK_OFF_S[1])
                _log.warning(
                    "announcements wait", extra={"error": type(error).__name__, "s": delay}
                )
                await asyncio.sleep(delay)
                continue
            delay = 0.0
            if not more:
                await self._until_woken()

    async def _until_woken(self) -> None:
        try:
            await asyncio.wait_for(self._wake.wait(), _POLL_S)
        except TimeoutError:
            return
        self._wake.clear()

    async def round(self, bus: Bus, publisher: BulkPublisher) -> bool:
        """Publish the oldest rows that nobody else is at.

        Returns:
            Whether there may be more.

        Raises:
            nats.errors.Error, OSError, TimeoutError: The bus did not take them; they stay.
            AbortedError, ResourceExhaustedError, UnavailableError: The database said so.
        """
        async with self._database.connection() as connection:
            marked = sorted(_Marked(*row) for row in await connection.fetch(_MARK, ROUND_ROWS))
            for share in _shares(marked):
                async with connection.transaction():
                    rows = [OutboxRow(*row) for row in await connection.fetch(_HOLD, list(share))]
                    with tracing.span("ttp.bus.publish", self._origin, announcements=len(rows)):
                        await self._publish(bus, publisher, rows, share)
                    await connection.execute(_DELETE, [row.id for row in rows])
        return len(marked) == ROUND_ROWS

    async def _publish(
        self,
        bus: Bus,
        publisher: BulkPublisher,
        rows: Sequence[OutboxRow],
        ages: dict[int, float | None],
    ) -> None:
        oldest = max((ages[row.id] or 0.0 for row in rows), default=0.0)
        done: frozenset[str] = frozenset()
        if oldest > DOUBTFUL_AFTER_S:
            done = await published_ids(bus.js, stream=TTP_STREAM, subject="ttp.>", since_s=oldest)
        sent = 0
        # Rows that were tried before come before the others, so the order stays.
        for new, those in groupby(rows, lambda row: ages[row.id] is None):
            sent += await publisher.publish(
                (each for row in those for each in envelopes(row) if each.id not in done),
                patience_s=ACK_PATIENCE_S,
                new=new,
            )
        self._tally.count_published(messages=sent, announcements=min(sent, len(rows)))


def _shares(marked: Sequence[_Marked]) -> Iterator[dict[int, float | None]]:
    """Yield rows that are published together, as their ids with how long ago they were tried."""
    share: dict[int, float | None] = {}
    size = 0
    for row in marked:
        share[row.id] = row.attempted_s_ago
        size += row.size
        if size >= SHARE_BYTES:
            yield share
            share, size = {}, 0
    if share:
        yield share
