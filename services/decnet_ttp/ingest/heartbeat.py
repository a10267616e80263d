# SPDX-License-Identifier: AGPL-3.0-or-later
"""Signs of life that carry progress, and requests to stop."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import nats.errors
import orjson

from decnet_ttp.core.errors import DecnetError
from decnet_ttp.ingest.consumer import Counters
from decnet_ttp.ingest.lag import read_lag
from decnet_ttp.runtime.bus import Bus, Envelope, EnvelopeError

if TYPE_CHECKING:
    from nats.aio.msg import Msg

WORKER = "ingest"
HEALTH_SUBJECT = f"system.{WORKER}.health"
CONTROL_SUBJECT = f"system.{WORKER}.control"

#: Time between two heart-beats, in seconds; monitors take thrice that for silence.
INTERVAL_S = 30.0

_log = logging.getLogger(__name__)


class Heartbeat:
    """Publishes heart-beats, and asks for the end when the bus says so.

    Args:
        bus: Connection to NATS.
        durable: Consumer whose lag is told.
        counters: What this process did.
        request_stop: Begins the orderly end of the process.
        interval_s: Time between two heart-beats, in seconds.
    """

    def __init__(
        self,
        bus: Bus,
        *,
        durable: str,
        counters: Counters,
        request_stop: Callable[[], None],
        interval_s: float = INTERVAL_S,
    ) -> None:
        self._bus = bus
        self._durable = durable
        self._counters = counters
        self._request_stop = request_stop
        self._interval_s = interval_s

    async def run(self, stop: asyncio.Event) -> None:
        """Beat until the stop."""
        control = await self._bus.nc.subscribe(CONTROL_SUBJECT, cb=self._on_control)
        try:
            while not stop.is_set():
                await self._beat()
                try:
                    await asyncio.wait_for(stop.wait(), self._interval_s)
                except TimeoutError:
                    continue
        finally:
            if self._bus.nc.is_connected:
                await control.unsubscribe()

    async def _beat(self) -> None:
        try:
            payload = await self._payload()
            envelope = Envelope(topic=HEALTH_SUBJECT, type="health", payload=payload)
            # Nobody keeps these: a beat that nobody hears is not sent later.
            await self._bus.nc.publish(HEALTH_SUBJECT, envelope.encode())
        except (DecnetError, nats.errors.Error, OSError) as error:
            _log.debug("no heart-beat", extra={"error": type(error).__name__})

    async def _payload(self) -> dict[str, Any]:
        now = time.time()
        lag = await read_lag(self._bus, self._durable)
        counters = self._counters
        return {
            "worker": WORKER,
            "ts": now,
            "last_event_ts": counters.last_handled_s or None,
            "lag": lag.pending + lag.unacknowledged,
            "lag_s": lag.age_s(datetime.now(UTC)),
            "parked": lag.parked,
            "handled": counters.handled,
            "dead_letters": counters.dead_letters,
        }

    async def _on_control(self, message: Msg) -> None:
        """Stop on {"action": "stop"}, as an envelope or by itself; ignore anything else."""
        try:
            body: Any = Envelope.decode(message.data, subject=message.subject).payload
        except EnvelopeError:
            try:
                body = orjson.loads(message.data)
            except orjson.JSONDecodeError:
                return
        if isinstance(body, dict) and body.get("action") == "stop":
            _log.info("stop requested over the bus")
            self._request_stop()
