# SPDX-License-Identifier: AGPL-3.0-or-later
"""Holding an import back while the bus keeps more unread than it should.

The input stream is bounded, and when it is full its oldest messages make room: those would be
lost if nobody had read them yet. What comes live cannot wait, but a log can.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Final

import nats.errors
from nats.js import JetStreamContext
from nats.js.errors import Error as JetStreamError
from nats.js.errors import NotFoundError

#: Share of the stream's bound that may be unread before an import waits.
MOST_UNREAD: Final = 0.5
#: Looked at again after that share of the bound was published.
_LOOK_AFTER: Final = 1 / 32
_UNSEEN: Final = 64.0 * 1024 * 1024
_POLL_S: Final = 0.2


class BacklogStuckError(Exception):
    """What is unread on the bus does not become less; the rest of the input was not sent."""

    def __init__(self, unread: int, stream: str, patience_s: float) -> None:
        super().__init__(
            f"{unread} messages lie unread in {stream}, half of what it holds, and none was taken "
            f"for {patience_s:g} s; see that ingest runs, then import the same input again: what "
            "arrived is not doubled"
        )


class Backlog:
    """Knows how much of a stream its consumer has not read yet.

    Args:
        js: The bus.
        stream: Stream that is published to.
        durable: The consumer; one that is not there yet has read nothing.
        patience_s: How long it may read nothing while its backlog is waited for, in seconds.
        clock: Seconds of a monotonic clock.
    """

    def __init__(
        self,
        js: JetStreamContext,
        stream: str,
        durable: str,
        *,
        patience_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._js = js
        self._stream = stream
        self._durable = durable
        self._patience_s = patience_s
        self._clock = clock
        self._free = 0.0
        self._unseen = _UNSEEN
        self._turn = asyncio.Lock()

    async def wait_for_room(self, size: int) -> None:
        """Return once so many bytes may be published.

        Raises:
            BacklogStuckError: Nothing was read for too long.
        """
        async with self._turn:
            self._free -= size
            if self._free > 0:
                return
            least, since = -1, self._clock()
            while True:
                try:
                    unread, share, bound = await self._look()
                except (nats.errors.Error, JetStreamError, TimeoutError, OSError):
                    # Publishing finds out by itself that the bus is away, and waits. One that does
                    # not let us look is not asked all the time.
                    self._free = self._unseen
                    return
                # Of a stream that was seen before, no more goes unseen than between two looks.
                self._unseen = min(_UNSEEN, bound * _LOOK_AFTER)
                if share <= MOST_UNREAD:
                    self._free = bound * _LOOK_AFTER
                    return
                now = self._clock()
                if unread < least or least < 0:
                    least, since = unread, now
                elif now - since > self._patience_s:
                    raise BacklogStuckError(unread, self._stream, self._patience_s)
                await asyncio.sleep(_POLL_S)

    async def _look(self) -> tuple[int, float, float]:
        """Return the messages unread, their share of the bound, and the bound in bytes."""
        info = await self._js.stream_info(self._stream)
        bound = info.config.max_bytes or 0
        if bound <= 0:
            return 0, 0.0, float("inf")
        held = info.state.messages
        try:
            consumer = await self._js.consumer_info(self._stream, self._durable)
        except NotFoundError:
            unread = held
        else:
            unread = (consumer.num_pending or 0) + (consumer.num_ack_pending or 0)
        return unread, info.state.bytes / bound * min(1.0, unread / max(held, 1)), float(bound)
