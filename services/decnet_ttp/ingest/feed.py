# SPDX-License-Identifier: AGPL-3.0-or-later
"""A durable JetStream consumer as batches that form by themselves.

The client library's own fetch waits until a batch is full or its time is up, which costs latency
when messages trickle. Here one pull request stays open, what has arrived is taken at once, and
under load batches grow while the ones before them are being worked on.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Sequence

import nats.errors
import orjson
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from decnet_ttp.runtime.bus import Bus

#: How long a pull request stays open, in seconds.
_EXPIRES_S = 30
#: The server shows within this time that it still holds the request, in seconds.
_HEARTBEAT_S = 2
#: Silence after which the request is taken for lost (the server was restarted), in seconds.
_LOST_S = 3 * _HEARTBEAT_S
#: How long the end waits for what is on its way, in seconds.
_DRAIN_S = 2.0
#: Bytes one pull request asks for at most.
_MAX_BYTES = 32 * 1024 * 1024
#: Bytes after which a batch is full: read and fanned out they take some twenty times as much.
_MAX_BATCH_BYTES = 768 * 1024
#: Wait for more after a first message, in seconds: well below what anyone notices.
_LINGER_S = 0.002

_NANOS = 1_000_000_000

_log = logging.getLogger(__name__)


class Feed:
    """Batches of messages of one durable consumer, which any number of replicas may share.

    Args:
        bus: Connection to NATS.
        stream: Stream to read.
        durable: Name of the consumer.
        subjects: Subjects of the stream that are read.
        ack_wait_s: Seconds after which an unacknowledged message is delivered again.
        max_ack_pending: Unacknowledged messages at most, over all replicas.

    Attributes:
        stream: The stream.
    """

    def __init__(
        self,
        bus: Bus,
        *,
        stream: str,
        durable: str,
        subjects: Sequence[str],
        ack_wait_s: float,
        max_ack_pending: int = 20_000,
    ) -> None:
        self._bus = bus
        self.stream = stream
        self._durable = durable
        self._config = ConsumerConfig(
            durable_name=durable,
            ack_policy=AckPolicy.EXPLICIT,
            deliver_policy=DeliverPolicy.ALL,
            ack_wait=ack_wait_s,
            max_deliver=-1,
            max_ack_pending=max_ack_pending,
            filter_subjects=list(subjects),
        )
        self._arrived: deque[Msg] = deque()
        self._wake = asyncio.Event()
        self._outstanding = 0
        self._reconnects = 0
        self._last_sign_s = 0.0
        self._subscription: Subscription | None = None
        self._stopping = False
        self._deleted = False

    async def open(self) -> None:
        """Create the consumer where it is missing, and listen.

        Raises:
            nats.errors.Error: NATS is away or refuses.
        """
        await self._bus.js.add_consumer(self.stream, self._config)
        self._inbox = self._bus.nc.new_inbox()
        self._subscription = await self._bus.nc.subscribe(
            self._inbox,
            cb=self._on_message,
            pending_msgs_limit=-1,
            pending_bytes_limit=-1,
        )

    def stop_waiting(self) -> None:
        """Let `next_batch` return at once when nothing is there, from now on."""
        self._stopping = True
        self._wake.set()

    async def close(self) -> None:
        """Stop listening; what was not handed out is delivered again to whoever reads next.

        What the server had sent already is waited for, since it can only be handed back then.
        """
        if self._subscription is not None and self._bus.nc.is_connected:
            try:
                async with asyncio.timeout(_DRAIN_S):
                    await self._subscription.drain()  # type: ignore[no-untyped-call]  # nats-py
            except (nats.errors.Error, TimeoutError) as error:
                _log.debug("drain failed", extra={"error": type(error).__name__})
        for message in self._arrived:
            if self._bus.nc.is_connected:
                await message.nak()
        self._arrived.clear()

    async def _on_message(self, message: Msg) -> None:
        self._last_sign_s = asyncio.get_running_loop().time()
        status = message.headers.get("Status") if message.headers else None
        if status is None or message.reply:
            if status is None:
                self._outstanding -= 1
                self._arrived.append(message)
                self._wake.set()
            return
        if status == "100":  # heart-beat: the request is still held
            return
        # 404, 408, 409, 503: the request is over, whatever was left of it.
        if status not in {"404", "408"}:
            _log.info("pull ended", extra={"status": status, "consumer": self._durable})
        # Nobody answers for a consumer that is gone, if its end was not told.
        why = (message.headers or {}).get("Description", "")
        self._deleted |= status == "503" or "consumer deleted" in why.lower()
        self._outstanding = 0
        self._wake.set()

    async def _request(self, count: int) -> None:
        loop = asyncio.get_running_loop()
        reconnects = self._bus.nc.stats["reconnects"]
        lost = loop.time() - self._last_sign_s > _LOST_S
        if self._outstanding > 0 and reconnects == self._reconnects and not lost:
            return
        self._reconnects = reconnects
        self._outstanding = count
        self._last_sign_s = loop.time()
        await self._bus.nc.publish(
            f"$JS.API.CONSUMER.MSG.NEXT.{self.stream}.{self._durable}",
            orjson.dumps(
                {
                    "batch": count,
                    "max_bytes": _MAX_BYTES,
                    "expires": _EXPIRES_S * _NANOS,
                    "idle_heartbeat": _HEARTBEAT_S * _NANOS,
                }
            ),
            reply=self._inbox,
        )

    async def next_batch(self, limit: int, timeout_s: float = 1.0) -> list[Msg]:
        """Return what has arrived, bounded by messages and bytes; nothing after the timeout."""
        if not self._arrived and self._stopping:
            return []
        if self._deleted:
            # What it had handed out comes again from the begin of the stream, and adds nothing.
            await self._bus.js.add_consumer(self.stream, self._config)
            self._deleted = False
            _log.warning("consumer made again", extra={"consumer": self._durable})
        if not self._arrived:
            await self._request(limit)
            self._wake.clear()
            try:
                await asyncio.wait_for(self._wake.wait(), timeout_s)
            except TimeoutError:
                return []
        if 0 < len(self._arrived) < limit:
            await asyncio.sleep(_LINGER_S)
        batch = self._take(limit)
        if not self._arrived:
            # Ask ahead, so that the next batch gathers while this one is worked on.
            await self._request(limit)
        return batch

    def _take(self, limit: int) -> list[Msg]:
        """Take messages up to either bound, at least one of those that are there."""
        batch: list[Msg] = []
        size = 0
        while self._arrived and len(batch) < limit and size < _MAX_BATCH_BYTES:
            message = self._arrived.popleft()
            size += len(message.data)
            batch.append(message)
        return batch
