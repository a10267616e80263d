# SPDX-License-Identifier: AGPL-3.0-or-later
"""Publishing many messages to JetStream and knowing that every one was taken.

The client library's own asynchronous publish makes a future, a token and a semaphore wait of each
message, which costs twice what the rest of the way does. Here one inbox takes the acknowledgements
of a round, each told apart by its place.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.js.errors import Error as JetStreamError

from decnet_ttp.runtime.bus import Envelope

#: Messages on their way at once; JetStream takes them in this order.
_WINDOW = 4_000
#: Messages sent before other tasks get their turn.
_BURST = 250


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


class BulkPublisher:
    """Publishes over one connection, one round at a time."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._inbox = client.new_inbox()
        self._subscription: Subscription | None = None
        self._round = _Round()
        self._number = 0

    async def _on_answer(self, message: Msg) -> None:
        number, place = message.subject[len(self._inbox) + 1 :].split(".")
        # An answer to a round that was given up says nothing of this one.
        if int(number) == self._number:
            self._round.take(place, message)

    async def publish(self, envelopes: Iterable[Envelope], *, patience_s: float) -> int:
        """Publish messages in order and return how many there were, all of them taken.

        Raises:
            RefusedError: JetStream did not take one; others may have been.
            nats.errors.Error: The connection does not carry them.
            TimeoutError: No acknowledgement came for `patience_s`; a slow disk is not a dead one.
        """
        if self._subscription is None:
            self._subscription = await self._client.subscribe(
                f"{self._inbox}.*.*", cb=self._on_answer
            )
        # JetStream flushes what arrives together at once: made ready first and sent in one go,
        # messages cost it a quarter of what they do when they trickle in.
        ready: list[tuple[str, bytes, dict[str, str]]] = []
        for envelope in envelopes:
            ready.append((envelope.topic, envelope.encode(), envelope.headers))
            if len(ready) % _BURST == 0:
                await asyncio.sleep(0)
        self._number += 1
        current = self._round = _Round()
        for topic, data, headers in ready:
            await self._client.publish(
                topic, data, reply=f"{self._inbox}.{self._number}.{current.sent}", headers=headers
            )
            current.sent += 1
            if current.sent % _BURST == 0:
                # A publish into the buffer does not yield; answers must be read meanwhile.
                await asyncio.sleep(0)
                await current.until_open(_WINDOW, patience_s)
        await current.until_open(0, patience_s)
        return current.sent
