# SPDX-License-Identifier: AGPL-3.0-or-later
"""NATS: the envelope, and a connection that comes back."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import ssl
import time
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import nats.errors
import orjson
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.api import Header

from decnet_ttp.runtime.certificates import bus_trust
from decnet_ttp.runtime.config import Settings, SettingsError

ENVELOPE_VERSION = 1

#: What the server says to a wrong user or password, in lower case.
_REFUSED = "authorization violation"
_REFUSED_TEXT = (
    "refuses the user or the password; correct them in its URL (DECNET_TTP_NATS_URL or --nats-url)"
)
_UNTRUSTED_TEXT = (
    "shows a certificate that is not trusted ({}); name the certificate of its authority with "
    "DECNET_TTP_TLS_CA, and use tls:// and a name that it carries"
)

_PLAIN_USER = re.compile(r"[A-Za-z0-9_-]+")

_log = logging.getLogger(__name__)


class EnvelopeError(ValueError):
    """The bytes are no envelope; the text says why, without content."""


class BusRefusedError(Exception):
    """NATS refuses us, or we its certificate; the text says which server, never the password.

    Args:
        nats_url: URL of the server.
        why: What is wrong, and the cure.
    """

    def __init__(self, nats_url: str, why: str) -> None:
        place = urlsplit(nats_url)
        super().__init__(f"NATS at {place.hostname}:{place.port} {why}")


def _read_json(data: bytes) -> Any:
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        if b"\\u" not in data:
            raise EnvelopeError(f"not JSON: {error.msg} at byte {error.pos}") from error
    # Python producers escape bytes they could not decode as lone surrogates, which are no Unicode
    # text: the standard library reads them, and each becomes a question mark here.
    try:
        loose = json.loads(data)
        return orjson.loads(json.dumps(loose, ensure_ascii=False).encode("utf-8", "replace"))
    except (ValueError, RecursionError) as error:
        raise EnvelopeError(f"not JSON: {type(error).__name__}") from error


@dataclass(frozen=True, slots=True)
class Envelope:
    """What travels on the bus.

    Attributes:
        topic: Subject it is published on.
        type: Kind of the message within its topic.
        payload: JSON object.
        id: Identifier; also the deduplication id of the publish.
        ts: Time of publication, seconds since the epoch.
    """

    topic: str
    type: str
    payload: dict[str, Any]
    id: str = field(default_factory=lambda: uuid4().hex)
    ts: float = field(default_factory=time.time)

    def encode(self) -> bytes:
        """Return the envelope as JSON."""
        return orjson.dumps(
            {
                "v": ENVELOPE_VERSION,
                "id": self.id,
                "topic": self.topic,
                "type": self.type,
                "ts": self.ts,
                "payload": self.payload,
            }
        )

    @property
    def headers(self) -> dict[str, str]:
        """Headers of the publish."""
        return {Header.MSG_ID.value: self.id}

    @classmethod
    def decode(cls, data: bytes, *, subject: str) -> Envelope:
        """Read an envelope; its topic is the subject it came on, whatever it says itself.

        Raises:
            EnvelopeError: The bytes are no envelope of a version we know.
        """
        body = _read_json(data)
        if not isinstance(body, dict):
            raise EnvelopeError(f"a JSON {type(body).__name__} instead of an object")
        payload = body.get("payload")
        if not isinstance(payload, dict):
            raise EnvelopeError("no object under payload")
        version = body.get("v", ENVELOPE_VERSION)
        if version != ENVELOPE_VERSION:
            raise EnvelopeError(f"envelope version is not {ENVELOPE_VERSION}")
        kind, ident, stamp = body.get("type"), body.get("id"), body.get("ts")
        return cls(
            topic=subject,
            type=kind if isinstance(kind, str) else "",
            payload=payload,
            id=ident if isinstance(ident, str) else "",
            ts=float(stamp) if isinstance(stamp, int | float) else 0.0,
        )


@dataclass(frozen=True, slots=True)
class Bus:
    """A connection to NATS and its JetStream context."""

    nc: Client
    js: JetStreamContext

    async def close(self) -> None:
        """Flush what was published and close."""
        if self.nc.is_connected:
            # What the server no longer takes is not acknowledged either.
            with suppress(nats.errors.Error):
                await _ended(self.nc.drain())
        await self.leave()

    async def leave(self) -> None:
        """Close at once, where nothing was published or all of it was acknowledged."""
        if not self.nc.is_closed:
            await _ended(self.nc.close())


async def _ended(closing: Coroutine[Any, Any, None]) -> None:
    """Close a connection, which the server may be ending at the same moment.

    What was acknowledged is safe with the server. The client gives up its reconnecting by a
    cancellation, which may come out of what it waits for itself; it is none of the caller.
    """
    task = asyncio.ensure_future(closing)
    try:
        await asyncio.wait((task,))
    finally:
        task.cancel()
    error = None if task.cancelled() else task.exception()
    if error is not None and not isinstance(error, OSError):
        raise error
    if error is not None or task.cancelled():
        _log.debug("bus closed while away", extra={"error": type(error).__name__})


def _inbox_prefix(nats_url: str) -> str:
    """Return where answers go: apart for each user, so that NATS can keep others from reading."""
    user = urlsplit(nats_url).username or ""
    return f"_INBOX.{user}" if _PLAIN_USER.fullmatch(user) else "_INBOX"


async def _connect(
    client: Client, nats_url: str, refused: asyncio.Future[str], **options: Any
) -> None:
    """Connect, and end when cancelled or refused.

    The client swallows a cancellation that meets it while it closes a connection that the server
    refused, and then tries for ever; so it is cancelled until it ends.
    """
    connecting = asyncio.ensure_future(client.connect(nats_url, **options))
    try:
        await asyncio.wait((connecting, refused), return_when=asyncio.FIRST_COMPLETED)
    finally:
        if not connecting.done():
            while not connecting.done():
                connecting.cancel()
                await asyncio.wait((connecting,), timeout=0.05)
            await client.close()
    if connecting.cancelled():
        raise BusRefusedError(nats_url, refused.result())
    connecting.result()


async def connect_bus(
    settings: Settings, *, name: str, pending: int = 8_000, once_refused_give_up: bool = False
) -> Bus:
    """Connect to NATS, waiting until it answers; a connection that is lost is made again for ever.

    Args:
        settings: The URL.
        name: Name of the connection, as NATS shows it.
        pending: Publishes that may wait for their acknowledgement at once.
        once_refused_give_up: A server that refuses the user or the password, or whose certificate
            is not trusted, ends the waiting. A service waits on, since its operator may be about
            to correct either side.

    Raises:
        SettingsError: No URL is set, or the authority's certificate cannot be used.
        BusRefusedError: The server refused, and that was to end the waiting.
    """
    if not settings.nats_url:
        raise SettingsError("DECNET_TTP_NATS_URL is not set; name a NATS server")

    told: set[str] = set()
    refused: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def on_error(error: Exception) -> None:
        kind, why = type(error).__name__, ""
        if _REFUSED in str(error).lower():
            # The client has no type of its own for it.
            kind, why = "AuthorizationViolation", _REFUSED_TEXT
        elif isinstance(error, ssl.SSLCertVerificationError):
            why = _UNTRUSTED_TEXT.format(error.verify_message)
        if why and once_refused_give_up and not client.is_connected and not refused.done():
            refused.set_result(why)
        if refused.done() and not client.is_connected:
            return
        # Once per kind and outage: the client tries ten times a second.
        level = logging.DEBUG if kind in told else logging.WARNING
        told.add(kind)
        _log.log(level, "bus error", extra={"connection": name, "error": kind})

    client = Client()

    async def on_disconnect() -> None:
        if not client.is_closed:
            _log.warning("bus disconnected", extra={"connection": name})

    async def on_reconnect() -> None:
        told.clear()
        _log.info("bus connected again", extra={"connection": name})

    await _connect(
        client,
        settings.nats_url,
        refused,
        name=name,
        inbox_prefix=_inbox_prefix(settings.nats_url),
        connect_timeout=2,
        allow_reconnect=True,
        max_reconnect_attempts=-1,
        reconnect_time_wait=0.1,
        ping_interval=5,
        max_outstanding_pings=2,
        pending_size=64 * 1024 * 1024,
        tls=bus_trust(settings),
        error_cb=on_error,
        disconnected_cb=on_disconnect,
        reconnected_cb=on_reconnect,
    )
    return Bus(client, client.jetstream(publish_async_max_pending=pending))
