# SPDX-License-Identifier: AGPL-3.0-or-later
"""Carries an adapter's messages to JetStream, each until the server has acknowledged it."""

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

import nats.errors
import nats.js.errors
from nats.js import JetStreamContext
from nats.js.api import Header, PubAck
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_delay, wait_exponential

from decnet_ttp.sources.backlog import Backlog, BacklogStuckError
from decnet_ttp.sources.protocol import Upstream

CHUNK_MESSAGES: Final = 500
CHUNK_BYTES: Final = 4 * 1024 * 1024
CHUNKS_IN_FLIGHT: Final = 3
ACK_WAIT_S: Final = 5.0
DEADLINE_S: Final = 60.0


class PublishUnacknowledgedError(Exception):
    """Messages that the bus did not acknowledge in time; the rest of the input was not sent."""

    def __init__(self, count: int, deadline_s: float, cause: str) -> None:
        super().__init__(
            f"{count} messages were not acknowledged within {deadline_s:g} s ({cause}); "
            "see that NATS runs, then import the same input again: what arrived is not doubled"
        )
        self.count = count


class _Unacknowledged(Exception):  # noqa: N818 - a signal to the retry loop, no error of ours
    def __init__(self, waiting: list["_Outgoing"], cause: str) -> None:
        super().__init__(cause)
        self.waiting = waiting
        self.cause = cause


@dataclass(slots=True)
class Published:
    """What became of the messages, and of the happenings they stand for (see `Upstream.weight`).

    A message that had to be sent again within one run counts as published, whatever the server says
    of the second copy. `refused` holds, per reason, those that no retry would help.
    """

    published: int = 0
    duplicates: int = 0
    happenings_published: int = 0
    happenings_duplicate: int = 0
    bytes_sent: int = 0
    refused: dict[str, int] = field(default_factory=dict)

    @property
    def failed(self) -> int:
        """Messages that the bus will not take."""
        return sum(self.refused.values())


@dataclass(slots=True)
class _Outgoing:
    message: Upstream
    envelope: bytes
    tried: bool = False


class Publisher:
    """Publishes chunks of messages, several chunks at once, and waits for every acknowledgement.

    A message keeps its id as `Nats-Msg-Id` through all attempts, so a server that stored it and
    died before saying so drops the second copy. Memory is bounded by the chunks in flight.
    """

    def __init__(
        self,
        js: JetStreamContext,
        *,
        deadline_s: float = DEADLINE_S,
        ack_wait_s: float = ACK_WAIT_S,
        counts: Published | None = None,
        backlog: Backlog | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Takes a context whose connection reconnects by itself.

        Args:
            js: where to publish; its `publish_async_max_pending` is at least three chunks.
            deadline_s: how long one chunk is tried, across the server's restarts.
            ack_wait_s: how long one attempt waits for acknowledgements, at most `deadline_s`.
            counts: added to, so that the caller has them even when publishing fails.
            backlog: waited for while too much of the stream is unread; None waits for nothing.
            clock: epoch seconds, for messages whose log tells no time.
        """
        self.counts = Published() if counts is None else counts
        self._js = js
        self._deadline_s = deadline_s
        self._ack_wait_s = min(ack_wait_s, deadline_s)
        self._clock = clock
        self._backlog = backlog
        self._slots = asyncio.Semaphore(CHUNKS_IN_FLIGHT)

    async def publish_all(
        self, messages: Iterator[Upstream], on_chunk: Callable[[], None] = lambda: None
    ) -> None:
        """Publishes until the iterator ends; returns once each message was acknowledged or refused.

        Reading happens in a thread, so that a long stretch of input without a message does not keep
        the connection from answering the server.

        Args:
            messages: read lazily, chunk by chunk.
            on_chunk: called on the event loop whenever a chunk was read or acknowledged.

        Raises:
            PublishUnacknowledgedError: the deadline passed for some message.
            BacklogStuckError: nobody reads what is on the bus.
        """
        try:
            async with asyncio.TaskGroup() as tasks:
                while True:
                    await self._slots.acquire()
                    chunk = await asyncio.to_thread(self._next_chunk, messages)
                    if not chunk:
                        return
                    on_chunk()
                    if self._backlog is not None:
                        await self._backlog.wait_for_room(sum(len(out.envelope) for out in chunk))
                    tasks.create_task(self._publish_chunk(chunk, on_chunk))
        except BaseExceptionGroup as group:
            # Not `except*`: what is raised in one is wrapped in a group before Python 3.11.4.
            given_up, rest = group.split((PublishUnacknowledgedError, BacklogStuckError))
            if rest is not None or given_up is None:
                raise
            raise given_up.exceptions[0] from None

    def _next_chunk(self, messages: Iterator[Upstream]) -> list[_Outgoing]:
        chunk: list[_Outgoing] = []
        size = 0
        for message in islice(messages, CHUNK_MESSAGES):
            envelope = message.envelope(self._clock())
            chunk.append(_Outgoing(message, envelope))
            size += len(envelope)
            if size >= CHUNK_BYTES:
                break
        return chunk

    async def _publish_chunk(self, chunk: list[_Outgoing], on_chunk: Callable[[], None]) -> None:
        waiting = chunk
        try:
            async for attempt in AsyncRetrying(
                stop=stop_after_delay(self._deadline_s),
                wait=wait_exponential(multiplier=0.1, max=2.0),
                retry=retry_if_exception_type(_Unacknowledged),
                reraise=True,
            ):
                with attempt:
                    try:
                        await self._attempt(waiting)
                    except _Unacknowledged as error:
                        waiting = error.waiting
                        raise
        except _Unacknowledged as error:
            raise PublishUnacknowledgedError(
                len(error.waiting), self._deadline_s, error.cause
            ) from None
        finally:
            self._slots.release()
        on_chunk()

    async def _attempt(self, chunk: list[_Outgoing]) -> None:
        """Sends each message once.

        Raises:
            _Unacknowledged: some got no answer.
        """
        waiting: list[_Outgoing] = []
        sent: list[tuple[_Outgoing, asyncio.Future[PubAck]]] = []
        cause = "no answer"
        for out in chunk:
            try:
                sent.append((out, await self._send(out)))
            except nats.errors.MaxPayloadError:
                self._refuse("larger than the bus takes")
            except nats.errors.Error as error:
                waiting.append(out)
                cause = type(error).__name__
        if sent:
            await asyncio.wait([future for _, future in sent], timeout=self._ack_wait_s)
        for out, future in sent:
            if future.done():
                failure = future.exception()
                if failure is None:
                    self._count(out, future.result())
                    continue
                if isinstance(failure, nats.js.errors.BadRequestError):
                    self._refuse(failure.description or "bad request")
                    continue
                cause = type(failure).__name__
            future.cancel()
            out.tried = True
            waiting.append(out)
        if waiting:
            raise _Unacknowledged(waiting, cause)

    async def _send(self, out: _Outgoing) -> asyncio.Future[PubAck]:
        return await self._js.publish_async(
            out.message.topic,
            out.envelope,
            wait_stall=self._ack_wait_s,
            headers={Header.MSG_ID.value: out.message.id},
        )

    def _count(self, out: _Outgoing, ack: PubAck) -> None:
        self.counts.bytes_sent += len(out.envelope)
        if ack.duplicate and not out.tried:
            self.counts.duplicates += 1
            self.counts.happenings_duplicate += out.message.weight
        else:
            self.counts.published += 1
            self.counts.happenings_published += out.message.weight

    def _refuse(self, reason: str) -> None:
        self.counts.refused[reason] = self.counts.refused.get(reason, 0) + 1
