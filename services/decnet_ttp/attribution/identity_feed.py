# SPDX-License-Identifier: AGPL-3.0-or-later
"""Word from the bus that identities formed, merged or parted."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Self
from uuid import UUID

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from decnet_ttp.runtime.bus import Envelope, EnvelopeError

SUBJECT = "identity.>"
#: Topic of an identity that stands by itself again; nobody here may have known it so far.
UNMERGED = "identity.unmerged"

#: Identities and attackers that are kept in mind at once; a comparison with all finds the others.
MAX_NAMED = 10_000
_TEXT_CHARS = 36
#: What comes within this time is looked at together, in seconds.
_GATHER_S = 0.05


def named(payload: dict[str, Any]) -> set[UUID]:
    """Return all UUIDs that stand in a payload, by itself or in a list.

    Producers name identities and attackers by various fields (`identity_uuid`, `winner_uuid`,
    `loser_uuid`, `observation_uuids`), and a UUID tells nobody which of the two it is of.
    """
    found: set[UUID] = set()
    for value in payload.values():
        texts: Iterable[Any] = value[:MAX_NAMED] if isinstance(value, list) else (value,)
        for text in texts:
            if isinstance(text, str) and len(text) <= _TEXT_CHARS:
                with suppress(ValueError):
                    found.add(UUID(text))
    return found


@dataclass(slots=True)
class Word:
    """What was said.

    Attributes:
        named: Identities and attackers that were named, in any way.
        parted: Those of them that were named as parted.
    """

    named: set[UUID] = field(default_factory=set)
    parted: set[UUID] = field(default_factory=set)


class IdentityFeed:
    """Listens from the moment it is opened; what is said while the bus is away is not heard.

    Args:
        client: Connection to NATS.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._subscription: Subscription | None = None
        self._word = Word()
        self._arrived = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._subscription = await self._client.subscribe(SUBJECT, cb=self._hear)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._subscription is not None and self._client.is_connected:
            await self._subscription.unsubscribe()

    async def _hear(self, message: Msg) -> None:
        try:
            envelope = Envelope.decode(message.data, subject=message.subject)
        except EnvelopeError:
            return
        if len(self._word.named) >= MAX_NAMED:
            return
        uuids = named(envelope.payload)
        self._word.named |= uuids
        if message.subject == UNMERGED:
            self._word.parted |= uuids
        self._arrived.set()

    async def next(self) -> Word:
        """Wait for something to be said, and return what was."""
        await self._arrived.wait()
        await asyncio.sleep(_GATHER_S)
        self._arrived.clear()
        word, self._word = self._word, Word()
        return word
