# SPDX-License-Identifier: AGPL-3.0-or-later
"""The consuming loop: every message ends acknowledged, delivered again, or as a dead letter."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import nats.errors

from decnet_ttp.core.errors import (
    AbortedError,
    DeadlineExceededError,
    DecnetError,
    InvalidArgumentError,
    ResourceExhaustedError,
    UnavailableError,
)
from decnet_ttp.ingest.batch import Upstream
from decnet_ttp.ingest.dead_letters import Reason, bury
from decnet_ttp.ingest.delivery import Delivery, HeaderError
from decnet_ttp.ingest.feed import Feed
from decnet_ttp.ingest.inputs.catalogue import input_for
from decnet_ttp.ingest.parking import Parking
from decnet_ttp.ingest.pipeline import Outcome, Pipeline
from decnet_ttp.runtime.bus import Bus, Envelope, EnvelopeError
from decnet_ttp.runtime.streams import PARKED_STREAM
from decnet_ttp.runtime.tracing import span

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from nats.aio.msg import Msg

#: Errors that say nothing about the messages: a stage is away, and the same batch may pass later.
_PASSING = (UnavailableError, AbortedError, DeadlineExceededError, ResourceExhaustedError)

#: Longest identifier of a message, in bytes (the bound in event.proto).
_MAX_ORIGIN_BYTES = 512

#: How long a tagger that is away holds up what the other taggers found, in seconds.
_TAGGER_ATTEMPTS_S = 1.0

#: Longest delay of a redelivery, in seconds.
_MAX_DELAY_S = 60.0

#: Deliveries after which a message that a tagger has not seen waits outside the window.
_DELIVERIES_IN_WINDOW = 5

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Counters:
    """What this process did since it started."""

    handled: int = 0
    inserted: int = 0
    known: int = 0
    redelivered: int = 0
    dead_letters: int = 0
    buried: Counter[str] = field(default_factory=Counter)
    parked: int = 0
    unread: int = 0
    unread_for_good: int = 0
    failures: int = 0
    wrong_fields: int = 0
    last_handled_s: float = 0.0

    def add(self, outcome: Outcome) -> None:
        """Count what a batch gave."""
        self.inserted += outcome.inserted
        self.known += outcome.known
        self.failures += outcome.failures
        self.wrong_fields += outcome.wrong_fields


@dataclass(slots=True)
class _Item:
    delivery: Delivery
    upstream: Upstream

    @property
    def message(self) -> Msg:
        return self.delivery.message


def origin_of(envelope: Envelope, place: str) -> str:
    """Return the id of a message: its envelope's where that can be kept, else its place."""
    ident = envelope.id
    usable = ident and "\0" not in ident and len(ident.encode()) <= _MAX_ORIGIN_BYTES
    return ident if usable else place


class Consumer:
    """Pulls batches, has them processed, and settles each message last.

    Args:
        bus: Connection to NATS, for dead letters.
        feed: Where messages come from.
        pipeline: What they go through.
        batch_messages: Messages of a batch at most.
        max_in_flight: Batches worked on at once; when all are busy nothing more is pulled.
        ack_wait_s: The consumer's acknowledgement deadline; half of it is how long a stage that
            is away is waited for before the messages go back to the bus.
        max_deliveries: Deliveries after which a message that is refused becomes a dead letter.
        parking: Where messages wait whose attacker is unknown; None: they become dead letters.
        counters: Shared with another consumer of this process.
        clock: Seconds since the epoch.

    Attributes:
        counters: What was done so far.
        opened: Whether the durable consumer stands, so that its lag can be asked for.
    """

    def __init__(
        self,
        *,
        bus: Bus,
        feed: Feed,
        pipeline: Pipeline,
        batch_messages: int,
        max_in_flight: int,
        ack_wait_s: float,
        max_deliveries: int,
        parking: Parking | None = None,
        counters: Counters | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._bus = bus
        self._feed = feed
        self._pipeline = pipeline
        self._batch_messages = batch_messages
        self._max_in_flight = max_in_flight
        self._ack_wait_s = ack_wait_s
        self._max_deliveries = max_deliveries
        self._parking = parking
        self._clock = clock
        self._returned = feed.stream == PARKED_STREAM
        self.counters = counters or Counters()
        self.opened = False

    async def run(self, stop: asyncio.Event) -> None:
        """Consume until the stop, then finish and acknowledge what is held."""
        await self._open(stop)
        slots = asyncio.Semaphore(self._max_in_flight)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._stop_waiting(stop))
            while not stop.is_set():
                await slots.acquire()
                batch = await self._next_batch()
                if not batch:
                    slots.release()
                    continue
                task = group.create_task(self.handle(batch))
                task.add_done_callback(lambda _: slots.release())
            await self._feed.close()

    async def _stop_waiting(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._feed.stop_waiting()

    async def _open(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                await self._feed.open()
            except (nats.errors.Error, OSError) as error:
                _log.info("consumer not ready yet", extra={"error": type(error).__name__})
                await asyncio.sleep(0.2)
            else:
                self.opened = True
                return

    async def _next_batch(self) -> list[Msg]:
        try:
            return await self._feed.next_batch(self._batch_messages)
        except (nats.errors.Error, OSError) as error:
            _log.info("bus away", extra={"error": type(error).__name__})
            await asyncio.sleep(0.2)
            return []

    async def handle(self, messages: Sequence[Msg]) -> None:
        """Process the messages of one batch, and settle each."""
        async with self._kept_alive(messages):
            with span("ttp.worker.receive", messages=len(messages)):
                items = await self._read(messages)
                if items:
                    await self._settle(items)

    @asynccontextmanager
    async def _kept_alive(self, messages: Sequence[Msg]) -> AsyncIterator[None]:
        """Tell the server that the messages are being worked on, while they are."""

        async def beat() -> None:
            while True:
                await asyncio.sleep(self._ack_wait_s / 3)
                for message in messages:
                    if not message._ackd and self._bus.nc.is_connected:  # noqa: SLF001 - no public reading
                        await message.in_progress()

        task = asyncio.create_task(beat())
        try:
            yield
        finally:
            task.cancel()

    async def _read(self, messages: Sequence[Msg]) -> list[_Item]:
        """Read the messages; those that cannot be read are buried."""
        items = []
        for message in messages:
            delivery = Delivery.fresh(message)
            try:
                if self._returned:
                    delivery = Delivery.returned(message)
                envelope = Envelope.decode(message.data, subject=delivery.subject)
            except (EnvelopeError, HeaderError) as error:
                await self._bury(delivery, Reason.UNDECODABLE, str(error))
                continue
            source = input_for(envelope.topic)
            if source is None:
                await self._done(message)
                continue
            upstream = Upstream(
                origin_id=origin_of(envelope, delivery.place),
                topic=envelope.topic,
                payload=envelope.payload,
                size_bytes=len(message.data),
                kind=envelope.type,
                source=source,
                insist=self._returned,
                sent_s=envelope.ts,
            )
            if not source.read_anchor(upstream):
                await self._bury(delivery, Reason.NO_ANCHOR, "no attacker, identity or address")
                continue
            items.append(_Item(delivery, upstream))
        return items

    async def _settle(self, items: Sequence[_Item]) -> None:
        """Process a batch and settle its messages; what is refused is halved until it is found."""
        # The same message twice in a batch is one happening: process it once, settle both.
        distinct = {item.upstream.origin_id: item.upstream for item in items}
        try:
            outcome = await self._pipeline.process(
                list(distinct.values()),
                attempts_s=self._ack_wait_s / 2,
                tagger_attempts_s=_TAGGER_ATTEMPTS_S,
            )
        except _PASSING as error:
            _log.warning(
                "batch goes back to the bus",
                extra={"messages": len(items), "reason": error.reason},
            )
            for item in items:
                await self._later(item.message)
            return
        except DecnetError as error:
            if len(distinct) > 1:
                middle = len(items) // 2
                await self._settle(items[:middle])
                await self._settle(items[middle:])
                return
            await self._refused(items, error)
            return
        self.counters.add(outcome)
        for item in items:
            origin = item.upstream.origin_id
            if origin in outcome.unanchored:
                await self._unknown(item)
            elif origin in outcome.delayed:
                await self._incomplete(item)
            elif origin in outcome.unread:
                await self._unread(item)
            else:
                await self._done(item.message)

    async def _unknown(self, item: _Item) -> None:
        """Park a message whose attacker nobody knows; bury it at the end of its time."""
        if self._parking is None:
            await self._bury(item.delivery, Reason.NO_ANCHOR, "address is not in the directory")
            return
        upstream = item.upstream
        addresses = [one.ip for one in (upstream, *upstream.members) if one.ip]
        unknown = [one.ip for one in upstream.members if one.ip and not one.anchored]
        try:
            waits = await self._parking.park_unknown(item.delivery, unknown or addresses)
        except nats.errors.MaxPayloadError:
            await self._bury(item.delivery, Reason.OVERSIZE, "too large to wait for its attacker")
            return
        except (nats.errors.Error, TimeoutError) as error:
            _log.warning("message not parked", extra={"error": type(error).__name__})
            await self._later(item.message)
            return
        if waits:
            self.counters.parked += 1
            await self._done(item.message)
        else:
            await self._bury(
                item.delivery, Reason.NEVER_APPEARED, "the attacker did not appear in time"
            )

    async def _incomplete(self, item: _Item) -> None:
        """Have a message that a tagger has not seen delivered again.

        After a while it waits outside the window, so that it leaves room for others.
        """
        deliveries = item.message.metadata.num_delivered
        if self._parking is None or (deliveries < _DELIVERIES_IN_WINDOW and not self._returned):
            await self._later(item.message)
            return
        try:
            waits = await self._parking.park_for_tagger(item.delivery)
        except (nats.errors.Error, TimeoutError) as error:
            _log.warning("message not parked", extra={"error": type(error).__name__})
            waits = False
        if waits:
            self.counters.parked += 1
            await self._done(item.message)
        else:
            await self._later(item.message)

    async def _unread(self, item: _Item) -> None:
        """Have a mail tried again later whose stored message nobody could read.

        Its other tags are stored. At the end of its time it stays at these, quietly.
        """
        self.counters.unread += 1
        waits = False
        if self._parking is not None:
            try:
                waits = await self._parking.park_for_artifact(item.delivery, item.upstream.decky_id)
            except nats.errors.MaxPayloadError:
                _log.warning("mail too large to wait for its artifact")
            except (nats.errors.Error, TimeoutError) as error:
                _log.warning("message not parked", extra={"error": type(error).__name__})
                await self._later(item.message)
                return
        if waits:
            self.counters.parked += 1
        else:
            self.counters.unread_for_good += 1
        await self._done(item.message)

    async def _refused(self, items: Sequence[_Item], error: DecnetError) -> None:
        for item in items:
            deliveries = item.message.metadata.num_delivered
            if isinstance(error, InvalidArgumentError):
                await self._bury(item.delivery, Reason.REFUSED, error.reason)
            elif deliveries >= self._max_deliveries:
                await self._bury(item.delivery, Reason.RETRIES_USED_UP, error.reason)
            else:
                await self._later(item.message)

    async def _done(self, message: Msg) -> None:
        try:
            await message.ack()
        except nats.errors.Error as error:
            # It is delivered again, and then it adds nothing.
            _log.debug("acknowledgement lost", extra={"error": type(error).__name__})
            return
        self.counters.handled += 1
        self.counters.last_handled_s = self._clock()

    async def _later(self, message: Msg) -> None:
        delay_s = min(0.5 * 2 ** min(message.metadata.num_delivered, 10), _MAX_DELAY_S)
        self.counters.redelivered += 1
        try:
            await message.nak(delay=delay_s)
        except nats.errors.Error as error:
            _log.debug("delay lost", extra={"error": type(error).__name__})

    async def _bury(self, delivery: Delivery, reason: Reason, detail: str) -> None:
        message = delivery.message
        try:
            await bury(self._bus, delivery, reason, detail)
        except (nats.errors.Error, TimeoutError) as error:
            _log.warning("dead letter not stored", extra={"error": type(error).__name__})
            await self._later(message)
            return
        self.counters.dead_letters += 1
        self.counters.buried[reason.value] += 1
        _log.warning(
            "dead letter",
            extra={
                "reason": reason.value,
                "subject": delivery.subject,
                "sequence": delivery.sequence,
            },
        )
        await self._done(message)
