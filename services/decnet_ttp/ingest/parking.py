# SPDX-License-Identifier: AGPL-3.0-or-later
"""Messages that have to wait: outside the consumer's window, and back on a growing schedule.

A waiting message is scheduled by NATS itself, so nothing of ours has to run, or to remember, for
it to come back. Each has its own subject, so putting it off again, or letting it go at once,
replaces what was scheduled before.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

import nats.errors
import nats.js.errors

from decnet_ttp.core.errors import DecnetError
from decnet_ttp.ingest.delivery import WAITS, Delivery

#: What a message waits for, as a token of its subject.
FOR_TAGGER = "tagger"
FOR_ARTIFACT = "artifact"
_FOR_ADDRESS = "address"
_NO_ADDRESS = "none"
#: A decoy's name that can stand in a subject, and what stands for any other.
_DECKY = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_NO_DECKY = "_"

#: Messages let go in one turn: the consumer is not to be flooded.
_RELEASED_AT_ONCE = 2_000
#: Addresses asked for in one turn; with more, turns become rarer in proportion.
_ADDRESSES_PER_TURN = 10_000

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Schedule:
    """When a message that waits is tried again.

    Attributes:
        first_s: First delay, in seconds; it doubles from then on.
        longest_s: Longest delay, in seconds.
        limit_s: Age at which waiting ends, in seconds since the first attempt.
    """

    first_s: float
    longest_s: float
    limit_s: float

    def delay_s(self, waits: int, age_s: float) -> float | None:
        """Return the next delay, None when waiting has ended.

        Args:
            waits: How often the message has waited.
            age_s: Seconds since the first attempt.
        """
        if age_s >= self.limit_s:
            return None
        delay = min(self.first_s * 2.0 ** min(waits, 40), self.longest_s)
        # The last try is at the limit, not after it.
        return min(delay, max(self.limit_s - age_s, 1.0))


class Shelf(Protocol):
    """Where messages wait."""

    async def put(self, key: str, content: bytes, headers: dict[str, str], due: datetime) -> None:
        """Keep a message until it is due; one under the same key is replaced.

        Raises:
            nats.errors.Error: It was not kept.
        """

    async def keys(self, what: str) -> list[str]:
        """Return the keys of messages that wait, those below one token.

        Raises:
            nats.errors.Error: The shelf is away.
        """

    async def release(self, keys: Iterable[str]) -> int:
        """Make messages due at once; returns how many.

        Raises:
            nats.errors.Error: The shelf is away.
        """


def address_token(ip: str) -> str:
    """Return an address as a token of a subject."""
    return ip.replace(".", "-").replace(":", "_")


def people_address(token: str) -> str:
    """Return the address that a token stands for."""
    return token.replace("-", ".").replace("_", ":")


class Parking:
    """Parks messages, and lets them go when what they wait for has come.

    Args:
        shelf: Where they wait.
        schedule: For messages whose attacker is unknown, and for mails whose stored message nobody
            could read.
        tagger_schedule: For messages that a tagger has not seen yet.
        appeared: Returns those of some addresses that are known by now.
        taggers_back: How many messages the taggers may get that they have not seen; 0 while one is
            away.
        came_into_reach: Returns the decoys whose stored mails can be read since it was asked last.
        poll_s: How often all this is looked at, in seconds.
        clock: The time.
    """

    def __init__(
        self,
        *,
        shelf: Shelf,
        schedule: Schedule,
        tagger_schedule: Schedule,
        appeared: Callable[[Sequence[str]], Awaitable[list[str]]],
        taggers_back: Callable[[], int],
        poll_s: float,
        came_into_reach: Callable[[], set[str]] = set,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._shelf = shelf
        self._schedule = schedule
        self._tagger_schedule = tagger_schedule
        self._appeared = appeared
        self._taggers_back = taggers_back
        self._poll_s = poll_s
        self._came_into_reach = came_into_reach
        self._reached: set[str] = set()
        self._clock = clock

    async def park_unknown(self, delivery: Delivery, ips: Sequence[str]) -> bool:
        """Park a message until its attacker appears.

        Args:
            delivery: The message.
            ips: The addresses it names; the first is the one that is watched.

        Returns:
            Whether it waits; False at the end of its time.

        Raises:
            nats.errors.Error: It was not kept.
        """
        address = address_token(ips[0]) if ips else _NO_ADDRESS
        return await self._park(delivery, f"{_FOR_ADDRESS}.{address}", self._schedule)

    async def park_for_tagger(self, delivery: Delivery) -> bool:
        """Park a message until the taggers that have not seen it are back.

        Raises:
            nats.errors.Error: It was not kept.
        """
        return await self._park(delivery, f"{FOR_TAGGER}.any", self._tagger_schedule)

    async def park_for_artifact(self, delivery: Delivery, decky: str) -> bool:
        """Park a mail until its stored message can be read.

        Args:
            delivery: The message.
            decky: The decoy that stored it.

        Returns:
            Whether it waits; False at the end of its time.

        Raises:
            nats.errors.Error: It was not kept.
        """
        name = decky if _DECKY.fullmatch(decky) else _NO_DECKY
        return await self._park(delivery, f"{FOR_ARTIFACT}.{name}", self._schedule)

    async def _park(self, delivery: Delivery, token: str, schedule: Schedule) -> bool:
        now = self._clock()
        age_s = (now - delivery.first_attempt).total_seconds()
        delay_s = schedule.delay_s(delivery.waits, age_s)
        if delay_s is None:
            return False
        headers = {**delivery.headers(), WAITS: str(delivery.waits + 1)}
        key = f"{token}.{delivery.sequence}"
        due = now + timedelta(seconds=delay_s)
        await self._shelf.put(key, delivery.message.data, headers, due)
        return True

    async def watch(self, stop: asyncio.Event) -> None:
        """Let messages go when what they wait for has come, until the stop."""
        wait_s = self._poll_s
        while not stop.is_set():
            try:
                await asyncio.wait_for(stop.wait(), wait_s)
            except TimeoutError:
                wait_s = await self._look()

    async def _look(self) -> float:
        """Look once; returns after how many seconds to look again."""
        try:
            waiting = await self.look()
        except (DecnetError, nats.errors.Error, nats.js.errors.Error, OSError) as error:
            _log.debug("parking not looked at", extra={"error": type(error).__name__})
            waiting = 0
        return self._poll_s * max(1.0, waiting / _ADDRESSES_PER_TURN)

    async def look(self) -> int:
        """Let go whatever may; returns how many addresses are still waited for.

        Raises:
            DecnetError: The directory is away.
            nats.errors.Error: The bus is away.
        """
        if room := self._taggers_back():
            keys = await self._shelf.keys(FOR_TAGGER)
            await self._shelf.release(keys[: min(room, _RELEASED_AT_ONCE)])
        # They are told once, so they are kept until all that waits for them was let go.
        self._reached |= self._came_into_reach()
        if self._reached:
            keys = await self._shelf.keys(FOR_ARTIFACT)
            keys = [key for key in keys if key.split(".")[1] in self._reached]
            await self._shelf.release(keys[:_RELEASED_AT_ONCE])
            if len(keys) <= _RELEASED_AT_ONCE:
                self._reached.clear()
        by_address: dict[str, list[str]] = {}
        for key in await self._shelf.keys(_FOR_ADDRESS):
            address = key.split(".")[1]
            if address != _NO_ADDRESS:
                by_address.setdefault(people_address(address), []).append(key)
        if not by_address:
            return 0
        appeared = await self._appeared(list(by_address))
        keys = [key for address in appeared for key in by_address.pop(address, ())]
        if keys:
            released = await self._shelf.release(keys[:_RELEASED_AT_ONCE])
            _log.info(
                "attackers appeared", extra={"addresses": len(appeared), "messages": released}
            )
        return len(by_address)
