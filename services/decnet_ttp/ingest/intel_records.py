# SPDX-License-Identifier: AGPL-3.0-or-later
"""The last intel record of each attacker, looked at again whenever a session of theirs ends.

The records live in a stream with one message for each attacker, which every replica reads into
bounded memory; looking one up costs a batch nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import nats.errors
import orjson
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from decnet_ttp.core.errors import UnavailableError
from decnet_ttp.ingest.batch import Upstream
from decnet_ttp.ingest.fan_out import Sink
from decnet_ttp.ingest.fields import uuid_text
from decnet_ttp.ingest.inputs.intel import INTEL_ENRICHED, timed, write_verdict
from decnet_ttp.runtime.bus import Bus
from decnet_ttp.runtime.streams import INTEL_PREFIX, INTEL_STREAM

if TYPE_CHECKING:
    from nats.aio.msg import Msg

#: Most that is held, in bytes; the records used last stay.
_MAX_BYTES = 24 * 1024 * 1024
#: A record larger than this is not kept, in bytes: no provider says so much.
_MAX_RECORD_BYTES = 64 * 1024
_PUBLISH_TIMEOUT_S = 5.0
_FETCH = 1_000
_FETCH_WAIT_S = 1.0
_FORGET_S = 30.0

_log = logging.getLogger(__name__)


class IntelRecords:
    """Keeps and finds intel records.

    Args:
        bus: Connection to NATS.
    """

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._records: OrderedDict[str, bytes] = OrderedDict()
        self._bytes = 0
        self._next_sequence = 1
        self._stream_made: datetime | None = None

    def write(self, upstream: Upstream, sink: Sink) -> None:
        """Add the intel event of the attacker behind a session, where there is a record."""
        record = self._records.get(upstream.attacker_uuid)
        if record is not None:
            self._records.move_to_end(upstream.attacker_uuid)
            write_verdict(upstream, orjson.loads(record), sink)

    async def keep(self, upstreams: Sequence[Upstream], unanchored: set[str]) -> None:
        """Keep the records among some messages.

        Raises:
            UnavailableError: The bus is away; the batch has to come again.
        """
        for upstream in upstreams:
            if (
                upstream.source is not INTEL_ENRICHED
                or upstream.origin_id in unanchored
                or not (attacker := uuid_text(upstream.attacker_uuid))
            ):
                continue
            record = orjson.dumps(timed(upstream))
            if len(record) > _MAX_RECORD_BYTES:
                continue
            self._hold(attacker, record)
            try:
                await self._bus.js.publish(
                    f"{INTEL_PREFIX}{attacker}", record, timeout=_PUBLISH_TIMEOUT_S
                )
            except (nats.errors.Error, TimeoutError) as error:
                raise UnavailableError("the bus did not take an intel record; try again") from error

    def _hold(self, attacker: str, record: bytes) -> None:
        self._bytes += len(record) - len(self._records.pop(attacker, b""))
        self._records[attacker] = record
        while self._bytes > _MAX_BYTES:
            _, dropped = self._records.popitem(last=False)
            self._bytes -= len(dropped)

    async def load(self, stop: asyncio.Event) -> None:
        """Read what is there now, waiting for a bus that is away."""
        while not stop.is_set():
            try:
                if await self._read(stop, until_end=True):
                    return
            except (nats.errors.Error, OSError) as error:
                _log.debug("intel records away", extra={"error": type(error).__name__})
                await asyncio.sleep(1.0)

    async def follow(self, stop: asyncio.Event) -> None:
        """Read what other replicas keep, until the stop."""
        async with asyncio.TaskGroup() as group:
            following = group.create_task(self._follow(stop))
            await stop.wait()
            following.cancel()

    async def _follow(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                await self._read(stop, until_end=False)
            except (nats.errors.Error, OSError) as error:
                _log.debug("intel records away", extra={"error": type(error).__name__})
                await asyncio.sleep(1.0)

    async def _read(self, stop: asyncio.Event, *, until_end: bool) -> bool:
        """Read on; returns whether all was read that was there when it began.

        Less comes when the bus is slow, and when a record is replaced after it was counted.
        """
        made = (await self._bus.js.stream_info(INTEL_STREAM)).created
        if made != self._stream_made:
            # Another one than before has the same name, and counts from the start.
            self._stream_made, self._next_sequence = made, 1
        info = await self._bus.js.add_consumer(
            INTEL_STREAM,
            ConsumerConfig(
                ack_policy=AckPolicy.NONE,
                deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
                opt_start_seq=self._next_sequence,
                inactive_threshold=_FORGET_S,
                mem_storage=True,
            ),
        )
        feed = await self._bus.js.pull_subscribe_bind(info.name, stream=INTEL_STREAM)
        left = info.num_pending or 0
        try:
            while not stop.is_set() and (left > 0 or not until_end):
                try:
                    messages: list[Any] = await feed.fetch(_FETCH, timeout=_FETCH_WAIT_S)
                except TimeoutError:
                    if until_end:
                        return False
                    continue
                left -= len(messages)
                for message in messages:
                    self._take(message)
            return left <= 0
        finally:
            if self._bus.nc.is_connected:
                await feed.unsubscribe()

    def _take(self, message: Msg) -> None:
        self._next_sequence = message.metadata.sequence.stream + 1
        self._hold(message.subject.removeprefix(INTEL_PREFIX), message.data)
