# SPDX-License-Identifier: AGPL-3.0-or-later
"""The durable consumer of observations, read by one process at a time, in order."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

import nats.errors
from nats.aio.msg import Msg
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from nats.js.client import JetStreamContext
from nats.js.errors import NotFoundError

from decnet_ttp.attribution.batch import Place
from decnet_ttp.attribution.intake import Incoming, Intake
from decnet_ttp.attribution.observations import SUBJECT_PREFIX, to_micros
from decnet_ttp.core.errors import DecnetError
from decnet_ttp.runtime.bus import Bus
from decnet_ttp.runtime.pacing import pause
from decnet_ttp.runtime.streams import EVENTS_STREAM
from decnet_ttp.runtime.tracing import span

DURABLE = "attribution"

_FETCH_TIMEOUT_S = 0.5
_RETRY_S = 0.5

_log = logging.getLogger(__name__)


class Consumer:
    """Pulls batches and acknowledges each once it is committed.

    Only the leader reads, so an acknowledgement covers all that came before it. Messages that a
    process took and did not acknowledge before it died would come back only after `ack_wait`,
    behind newer ones; so a new leader makes the consumer anew behind the last message that the
    database recorded, and a crash changes neither states, nor the order in which their changes are
    announced, nor buries a message twice.

    Args:
        bus: Connection to NATS.
        intake: What takes the messages.
        batch_messages: Messages of one batch at most.
        ack_wait_s: Seconds after which an unacknowledged message is delivered again.
    """

    def __init__(self, bus: Bus, intake: Intake, *, batch_messages: int, ack_wait_s: float) -> None:
        self._js = bus.js
        self._intake = intake
        self._batch_messages = batch_messages
        self._ack_wait_s = ack_wait_s
        self._stream_created = 0

    async def _open(self) -> JetStreamContext.PullSubscription:
        start = await self._first_unrecorded()
        await self._js.add_consumer(
            EVENTS_STREAM,
            ConsumerConfig(
                durable_name=DURABLE,
                filter_subject=f"{SUBJECT_PREFIX}>",
                ack_policy=AckPolicy.ALL,
                ack_wait=self._ack_wait_s,
                max_deliver=-1,
                max_ack_pending=4 * self._batch_messages,
                deliver_policy=(
                    DeliverPolicy.ALL if start is None else DeliverPolicy.BY_START_SEQUENCE
                ),
                opt_start_seq=start,
            ),
        )
        return await self._js.pull_subscribe_bind(consumer=DURABLE, stream=EVENTS_STREAM)

    async def _first_unrecorded(self) -> int | None:
        """Remove the consumer of a leader that is gone; return where to begin, None: at all."""
        created = (await self._js.stream_info(EVENTS_STREAM)).created
        self._stream_created = 0 if created is None else to_micros(created)
        recorded = await self._intake.place(self._stream_created)
        try:
            info = await self._js.consumer_info(EVENTS_STREAM, DURABLE)
        except NotFoundError:
            return None if recorded is None else recorded + 1
        if recorded is None:
            recorded = info.ack_floor.stream_seq if info.ack_floor else 0
        await self._js.delete_consumer(EVENTS_STREAM, DURABLE)
        return recorded + 1

    async def run(self, stop: asyncio.Event) -> None:
        """Consume until `stop`; a batch that was begun is finished unless its storage is away."""
        subscription: JetStreamContext.PullSubscription | None = None
        while not stop.is_set():
            try:
                if subscription is None:
                    subscription = await self._open()
                messages = await subscription.fetch(self._batch_messages, _FETCH_TIMEOUT_S)
            except TimeoutError:
                continue
            except (nats.errors.Error, DecnetError, OSError) as error:
                _log.info("not consuming yet", extra={"error": type(error).__name__})
                await self._close(subscription)
                subscription = None
                await pause(stop, _RETRY_S)
                continue
            if messages and await self._take(messages, stop):
                await self._acknowledge(messages[-1])
        await self._close(subscription)

    async def _take(self, messages: Sequence[Msg], stop: asyncio.Event) -> bool:
        """Take a batch, again and again while what it needs is away."""
        incoming = [_incoming(message) for message in messages]
        place = Place(self._stream_created, incoming[-1].sequence)
        while True:
            try:
                with span("ttp.attribution.receive", messages=len(messages)):
                    await self._intake.take(incoming, place)
            except (DecnetError, nats.errors.Error) as error:
                _log.warning(
                    "batch waits", extra={"error": type(error).__name__, "messages": len(messages)}
                )
                if stop.is_set():
                    return False
                await pause(stop, _RETRY_S)
            else:
                return True

    @staticmethod
    async def _acknowledge(message: Msg) -> None:
        try:
            await message.ack()
        except nats.errors.Error as error:
            # It comes again and changes nothing.
            _log.info("acknowledgement lost", extra={"error": type(error).__name__})

    @staticmethod
    async def _close(subscription: JetStreamContext.PullSubscription | None) -> None:
        if subscription is None:
            return
        try:
            await subscription.unsubscribe()
        except nats.errors.Error as error:
            _log.debug("unsubscribe failed", extra={"error": type(error).__name__})


def _incoming(message: Msg) -> Incoming:
    metadata = message.metadata
    return Incoming(
        sequence=metadata.sequence.stream,
        subject=message.subject,
        body=message.data,
        published=to_micros(metadata.timestamp),
    )
