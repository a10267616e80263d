# SPDX-License-Identifier: AGPL-3.0-or-later
"""Messages of a stream in order, from a moment on, through restarts of NATS, leaving no trace.

The client library's own ordered consumer starts again at the stream's first message when it is
reset before anything arrived, and stops following when NATS is away at that moment; following
"from now on" for hours needs neither to happen.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from datetime import datetime
from typing import TYPE_CHECKING

import nats.errors
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from nats.js.errors import NotFoundError, ServiceUnavailableError

if TYPE_CHECKING:
    from nats.aio.msg import Msg
    from nats.aio.subscription import Subscription

    from decnet_ttp.runtime.bus import Bus

# An idle server says every so often that it is there; twice missed, the consumer is made anew.
_HEARTBEAT_S = 2.0
_SILENCE_S = 2.5 * _HEARTBEAT_S
# A consumer nobody reads is removed by the server after this time.
_INACTIVE_S = 30.0
_RETRY_S = 0.2

_LAST_CONSUMER = "Nats-Last-Consumer"


class Tail:
    """Messages on one subject of a stream, each once, in the order of the stream.

    Args:
        bus: A connection that comes back.
        stream: Name of the stream.
        subject: Subject, with wildcards or without.
        report: Told, for people, that NATS fell silent and that it is back.
    """

    def __init__(
        self, bus: Bus, *, stream: str, subject: str, report: Callable[[str], None]
    ) -> None:
        self._bus = bus
        self._stream = stream
        self._subject = subject
        self._report = report
        self._next = 1
        self._since: datetime | None = None

    async def open(self, since: datetime | None = None) -> None:
        """Fix where it starts: at the messages stored since a moment, or at the next one.

        Raises:
            nats.js.errors.NotFoundError: There is no such stream.
            nats.errors.Error: NATS is away or has no JetStream.
        """
        info = await self._bus.js.stream_info(self._stream)
        self._next = info.state.last_seq + 1
        self._since = since

    async def __aiter__(self) -> AsyncGenerator[Msg, None]:
        """Yield messages for ever.

        Raises:
            nats.js.errors.NotFoundError: The stream is gone.
        """
        silent = False
        while True:
            inbox = self._bus.nc.new_inbox()
            subscription = await self._bus.nc.subscribe(inbox)
            try:
                if await self._deliver_to(inbox):
                    if silent:
                        self._report("NATS is back; going on where it stopped")
                        silent = False
                    async with aclosing(self._in_order(subscription)) as messages:
                        async for message in messages:
                            yield message
            except nats.errors.TimeoutError:
                self._report("NATS is silent; waiting for it")
                silent = True
            finally:
                if not self._bus.nc.is_closed:
                    await subscription.unsubscribe()

    async def _deliver_to(self, inbox: str) -> bool:
        """Have the server send from the next message on; False when it cannot be asked now."""
        try:
            await self._bus.js.add_consumer(self._stream, self._config(inbox))
        except NotFoundError:
            raise
        except (nats.errors.Error, ServiceUnavailableError, TimeoutError):
            await asyncio.sleep(_RETRY_S)
            return False
        return True

    async def _in_order(self, subscription: Subscription) -> AsyncGenerator[Msg, None]:
        """Yield messages until one is missing.

        Raises:
            nats.errors.TimeoutError: Neither messages nor signs of life come any more.
        """
        expected = 1
        while True:
            message = await subscription.next_msg(timeout=_SILENCE_S)
            if not message.reply.startswith("$JS.ACK."):
                last = (message.headers or {}).get(_LAST_CONSUMER)
                if last is not None and int(last) != expected - 1:
                    return
                continue
            sequence = message.metadata.sequence
            if sequence.consumer != expected:
                return
            expected += 1
            self._next, self._since = sequence.stream + 1, None
            yield message

    def _config(self, inbox: str) -> ConsumerConfig:
        config = ConsumerConfig(
            deliver_subject=inbox,
            filter_subject=self._subject,
            ack_policy=AckPolicy.NONE,
            max_deliver=1,
            idle_heartbeat=_HEARTBEAT_S,
            inactive_threshold=_INACTIVE_S,
            num_replicas=1,
            mem_storage=True,
        )
        if self._since is not None:
            config.deliver_policy = DeliverPolicy.BY_START_TIME
            config.opt_start_time = self._since
        else:
            config.deliver_policy = DeliverPolicy.BY_START_SEQUENCE
            config.opt_start_seq = self._next
        return config
