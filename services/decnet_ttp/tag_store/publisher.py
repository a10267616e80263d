# SPDX-License-Identifier: AGPL-3.0-or-later
"""Publishing many messages to JetStream and knowing that every one was taken.

Many messages that cannot be in the stream yet go as batches that JetStream stores whole or not at
all, and acknowledges once: one flush to disk for a thousand messages. Batches with a message that
the stream has are refused, and so are all where a stream does not allow them; what was refused goes
one by one.

One by one, the client library's own asynchronous publish makes a future, a token and a semaphore
wait of each message, which costs twice what the rest of the way does. Here one inbox takes the
acknowledgements of a round, each told apart by its place.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple
from uuid import uuid4

import nats.errors
import orjson
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.js.errors import Error as JetStreamError

from decnet_ttp.runtime.bus import Envelope

#: Messages on their way at once; JetStream takes them in this order.
_WINDOW = 4_000
#: Messages sent before other tasks get their turn.
_BURST = 250
#: Bytes held ready at once; the client's buffer takes several times as much.
_MOST_BYTES = 8 * 1024 * 1024

#: Messages from which on a batch costs JetStream less than they do one by one: it keeps each batch
#: in files of its own until it is whole.
FEWEST_OF_A_BATCH = 32
#: Most that JetStream takes in one.
_MOST_OF_A_BATCH = 1_000
#: Most that the headers of a message of a batch take, in bytes.
_MOST_HEADER_BYTES = 512
#: What JetStream says of a batch with a message that the stream has.
_HOLDS_DUPLICATE = 10201
#: How long no batch is tried after one was refused for another reason, in seconds: the stream or
#: its server takes none, until its operator changes that.
_WITHOUT_BATCHES_S = 60.0

_log = logging.getLogger(__name__)


class RefusedError(JetStreamError):
    """JetStream did not take a message, or no stream takes its subject."""


class _Round:
    """The acknowledgements of one round."""

    def __init__(self) -> None:
        self.sent = 0
        self._acknowledged: set[str] = set()
        self._refused = False
        self._moved = asyncio.Event()

    def take(self, place: str, message: Msg) -> None:
        """Note an answer. One that says "duplicate" is an acknowledgement, too."""
        if not message.data or b'"error":' in message.data:
            self._refused = True
        else:
            self._acknowledged.add(place)
        self._moved.set()

    async def until_open(self, limit: int, patience_s: float) -> None:
        """Wait until at most `limit` messages lack their acknowledgement.

        Raises:
            RefusedError: One was refused.
            TimeoutError: None came for `patience_s`.
        """
        while self.sent - len(self._acknowledged) > limit:
            if self._refused:
                raise RefusedError("JetStream refused a message")
            self._moved.clear()
            await asyncio.wait_for(self._moved.wait(), patience_s)


class _Ready(NamedTuple):
    """A message as it is sent."""

    topic: str
    data: bytes
    headers: dict[str, str]


def _shares(envelopes: Iterable[Envelope], most: int) -> Iterator[list[_Ready]]:
    """Yield messages made ready, as many as are sent at once."""
    share: list[_Ready] = []
    size = 0
    for envelope in envelopes:
        share.append(_Ready(envelope.topic, envelope.encode(), envelope.headers))
        size += len(share[-1].data)
        if len(share) >= most or size >= _MOST_BYTES:
            yield share
            share, size = [], 0
    if share:
        yield share


class BulkPublisher:
    """Publishes over one connection, one round at a time."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._inbox = client.new_inbox()
        self._subscription: Subscription | None = None
        self._round = _Round()
        self._number = 0
        self._batches_from_s = 0.0

    async def _on_answer(self, message: Msg) -> None:
        number, place = message.subject[len(self._inbox) + 1 :].split(".")
        # An answer to a round that was given up says nothing of this one.
        if int(number) == self._number:
            self._round.take(place, message)

    async def publish(
        self, envelopes: Iterable[Envelope], *, patience_s: float, new: bool = False
    ) -> int:
        """Publish messages in order and return how many there were, all of them taken.

        Args:
            envelopes: The messages.
            patience_s: How long the next acknowledgement is waited for, in seconds.
            new: Whether nobody has tried to publish them before, which makes batches worth trying.

        Raises:
            RefusedError: JetStream did not take one; others may have been.
            nats.errors.Error: The connection does not carry them.
            TimeoutError: No acknowledgement came for `patience_s`; a slow disk is not a dead one.
        """
        sent = 0
        batches = new and asyncio.get_running_loop().time() >= self._batches_from_s
        for share in _shares(envelopes, _MOST_OF_A_BATCH if batches else _WINDOW):
            in_one = batches and len(share) >= FEWEST_OF_A_BATCH
            if not (in_one and await self._publish_batch(share, patience_s)):
                await self._publish_each(share, patience_s)
            sent += len(share)
        return sent

    async def _publish_batch(self, share: Sequence[_Ready], patience_s: float) -> bool:
        """Publish messages as one batch; returns whether it was taken, otherwise none of it was."""
        most = max(len(ready.data) for ready in share) + _MOST_HEADER_BYTES
        if not self._client.is_connected:
            raise nats.errors.ConnectionReconnectingError
        if most > self._client.max_payload:
            return False
        batch = f"Nats-Batch-Id: {uuid4().hex}"
        frames: list[bytes] = []
        for number, ready in enumerate(share[:-1], 1):
            frames.append(_frame(ready, f"{batch}\r\nNats-Batch-Sequence: {number}\r\n"))
            if number % _BURST == 0:
                await self._send(frames)
                frames = []
                await asyncio.sleep(0)
        await self._send(frames)
        topic, data, headers = share[-1]
        name, _, ident = batch.partition(": ")
        commit = {name: ident, "Nats-Batch-Sequence": str(len(share)), "Nats-Batch-Commit": "1"}
        answer = await self._client.request(
            topic, data, timeout=patience_s, headers={**headers, **commit}
        )
        refusal = _refusal(answer)
        if refusal is None:
            return True
        if refusal != _HOLDS_DUPLICATE:
            self._batches_from_s = asyncio.get_running_loop().time() + _WITHOUT_BATCHES_S
            _log.info("announcements go one by one", extra={"err_code": refusal})
        return False

    async def _send(self, frames: Sequence[bytes]) -> None:
        """Send messages of a batch as they go over the wire.

        The client library checks and puts together each message for itself, which cost the relay
        half of its time; those of a batch have no reply, and subjects and ids of ours.
        """
        if frames:
            await self._client._send_command(b"".join(frames))  # noqa: SLF001 - as above
            await self._client._flush_pending()  # noqa: SLF001 - as above

    async def _publish_each(self, share: Sequence[_Ready], patience_s: float) -> None:
        """Publish messages one by one, all in one go.

        JetStream flushes at once what arrives together: messages made ready before cost it a
        quarter of what they do when they trickle in.
        """
        if self._subscription is None:
            self._subscription = await self._client.subscribe(
                f"{self._inbox}.*.*", cb=self._on_answer
            )
        self._number += 1
        current = self._round = _Round()
        for topic, data, headers in share:
            await self._client.publish(
                topic, data, reply=f"{self._inbox}.{self._number}.{current.sent}", headers=headers
            )
            current.sent += 1
            if current.sent % _BURST == 0:
                # A publish into the buffer does not yield; answers must be read meanwhile.
                await asyncio.sleep(0)
                await current.until_open(_WINDOW, patience_s)
        await current.until_open(0, patience_s)


def _frame(ready: _Ready, batch: str) -> bytes:
    """Return a message as NATS takes it, with the headers of its batch."""
    own = "".join([f"{name}: {value}\r\n" for name, value in ready.headers.items()])
    headers = f"NATS/1.0\r\n{own}{batch}\r\n".encode()
    size = len(headers) + len(ready.data)
    start = f"HPUB {ready.topic} {len(headers)} {size}\r\n".encode()
    return b"".join((start, headers, ready.data, b"\r\n"))


def _refusal(answer: Msg) -> int | None:
    """Return JetStream's code of why it took nothing of a batch; None where it took all of it."""
    try:
        body: Any = orjson.loads(answer.data)
    except orjson.JSONDecodeError:
        return 0
    error = body.get("error")
    if error is None and "batch" in body:
        return None
    return int(error["err_code"]) if error else 0
