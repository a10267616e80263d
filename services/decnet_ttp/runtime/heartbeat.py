# SPDX-License-Identifier: AGPL-3.0-or-later
"""Heart-beats of a service, and requests to stop it, on plain subjects of NATS.

Nobody needs an old beat, and an old request to stop would be harmful: both are at most once, and
`system.>` is in no stream.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

import nats.errors
import orjson
from nats.aio.msg import Msg

from decnet_ttp.core.errors import DecnetError
from decnet_ttp.runtime.bus import Bus, Envelope, connect_bus
from decnet_ttp.runtime.config import Settings
from decnet_ttp.runtime.figures import Figure, Progress
from decnet_ttp.runtime.pacing import pause, unless_stopped

#: Whoever asks for a stop is logged, if the name is one.
_NAME = re.compile(r"[\w.@:-]{1,64}", re.ASCII)

_ASK_S = 5.0
_PUBLISH_S = 5.0
_CLOSE_S = 2.0
_RETRY_S = 5.0

_log = logging.getLogger(__name__)


def health_subject(service: str) -> str:
    """Return where a service tells that it lives."""
    return f"system.{service}.health"


def control_subject(service: str) -> str:
    """Return where a service listens for requests."""
    return f"system.{service}.control"


def stop_request(service: str, *, requested_by: str) -> Envelope:
    """Return what asks every replica of a service to stop in good order."""
    payload = {"action": "stop", "requested_by": requested_by, "ts": time.time()}
    return Envelope(topic=control_subject(service), type="control", payload=payload)


class Heartbeat:
    """Beats of one process of a service, and its ear for requests to stop.

    NATS may be away at any time: beats are left out meanwhile, and nothing waits for them.

    Args:
        settings: URL of the bus and the interval.
        service: Name of the service, one token of a subject.
        request_stop: Begins the orderly end.
        progress: What is added to the beat. Left out when it takes too long, or raises
            DecnetError, nats.errors.Error or OSError.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        service: str,
        request_stop: Callable[[], None],
        progress: Progress,
    ) -> None:
        self._settings = settings
        self._service = service
        self._request_stop = request_stop
        self._progress = progress
        self._instance = f"{socket.gethostname()}-{os.getpid()}"

    async def run(self, stop: asyncio.Event) -> None:
        """Beat at once and then at every interval, until `stop`."""
        bus = await self._connected(stop)
        if bus is None:
            return
        try:
            while not stop.is_set():
                await self._beat(bus)
                await pause(stop, self._settings.heartbeat_s)
        finally:
            with suppress(TimeoutError):
                await asyncio.wait_for(bus.close(), _CLOSE_S)

    async def _connected(self, stop: asyncio.Event) -> Bus | None:
        """Return a connection that listens for requests; None when `stop` came first."""
        while not stop.is_set():
            bus = None
            try:
                bus = await unless_stopped(
                    stop, connect_bus(self._settings, name=f"{self._service} heart-beat")
                )
                if bus is not None:
                    await bus.nc.subscribe(control_subject(self._service), cb=self._obey)
            except (nats.errors.Error, OSError, ValueError) as error:
                _log.warning(
                    "no heart-beats yet",
                    extra={"service": self._service, "error": type(error).__name__},
                )
                if bus is not None:
                    await bus.close()
                await pause(stop, _RETRY_S)
            else:
                return bus
        return None

    async def _beat(self, bus: Bus) -> None:
        # While disconnected the client would keep the beat and deliver it late.
        if not bus.nc.is_connected:
            return
        subject = health_subject(self._service)
        told = await self._ask()
        now = time.time()
        payload = {
            **told,
            "worker": self._service,
            "instance": self._instance,
            "ts": now,
        }
        beat = Envelope(topic=subject, type="health", payload=payload, ts=now)
        try:
            async with asyncio.timeout(_PUBLISH_S):
                await bus.nc.publish(subject, beat.encode())
        except (nats.errors.Error, OSError, TimeoutError) as error:
            _log.debug(
                "heart-beat left out",
                extra={"service": self._service, "error": type(error).__name__},
            )

    async def _ask(self) -> Mapping[str, Figure]:
        try:
            async with asyncio.timeout(_ASK_S):
                return await self._progress()
        except (DecnetError, nats.errors.Error, OSError, TimeoutError) as error:
            # What it asks is away; that the process lives is told all the same.
            _log.debug(
                "progress left out",
                extra={"service": self._service, "error": type(error).__name__},
            )
            return {}

    async def _obey(self, message: Msg) -> None:
        """Stop when asked to; everything else is only logged."""
        request = _request(message.data)
        requester = request.get("requested_by")
        extra = {
            "service": self._service,
            "requested_by": requester
            if isinstance(requester, str) and _NAME.fullmatch(requester)
            else "",
        }
        if request.get("action") == "stop":
            _log.warning("stop requested over the bus", extra=extra)
            self._request_stop()
        else:
            _log.warning("request over the bus ignored: only stop is known", extra=extra)


def _request(data: bytes) -> Mapping[str, object]:
    """Return the payload of an envelope, or a bare payload; empty when the bytes are neither."""
    try:
        body = orjson.loads(data)
    except orjson.JSONDecodeError:
        return {}
    if isinstance(body, dict) and isinstance(body.get("payload"), dict):
        body = body["payload"]
    return body if isinstance(body, dict) else {}
