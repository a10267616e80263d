# SPDX-License-Identifier: AGPL-3.0-or-later
"""From messages to a recorded batch: read, look up identities, refuse, park, store."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from nats.js import JetStreamContext

from decnet_ttp.attribution.batch import Batch, Parked, Place, Recorded
from decnet_ttp.attribution.dead_letters import bury
from decnet_ttp.attribution.directory import Directory
from decnet_ttp.attribution.observations import Observation, RefusedError, read_observation
from decnet_ttp.attribution.primitives import Registry
from decnet_ttp.attribution.store import Store
from decnet_ttp.runtime.tracing import span

#: Seconds until an unknown attacker is asked for again: doubled each time, up to the longest.
_FIRST_RETRY_S = 1.0
_LONGEST_RETRY_S = 300.0
_MICROS = 1_000_000

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Incoming:
    """A message of the input stream.

    Attributes:
        sequence: Its place in the stream.
        subject: Subject it came on.
        body: Its bytes.
        published: When the bus took it, microseconds since the epoch.
        attempts: How often it was parked before.
    """

    sequence: int
    subject: str
    body: bytes
    published: int
    attempts: int = 0


@dataclass(slots=True)
class Tally:
    """What this process has done since it started."""

    stored: int = 0
    transitions: int = 0
    parked: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    last_batch_s: float = 0.0


class Intake:
    """Takes messages in, in the order of the stream.

    Args:
        store: Where observations go.
        directory: Who is who.
        registry: Which values primitives may have.
        js: Where refused messages are buried.
        max_attempts: How often an unknown attacker is asked for before its message is buried.
        tally: What is done is counted here.
        announced: Called when there is something new in the outbox.
        clock: Seconds since the epoch.
    """

    def __init__(
        self,
        store: Store,
        directory: Directory,
        registry: Registry,
        js: JetStreamContext,
        *,
        max_attempts: int,
        tally: Tally | None = None,
        announced: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._directory = directory
        self._registry = registry
        self._js = js
        self._max_attempts = max_attempts
        self._clock = clock
        self._announced = announced
        self.tally = tally or Tally()

    async def place(self, stream_created: int) -> int | None:
        """Return the last message of a stream that was taken; see Store.place."""
        return await self._store.place(stream_created)

    async def take(self, messages: Sequence[Incoming], place: Place | None = None) -> Recorded:
        """Record a batch; afterwards its messages may be acknowledged.

        Args:
            messages: In the order of the stream.
            place: How far the stream is read with them; None for messages that were put aside.

        Raises:
            DecnetError: The database or the directory is away; the batch may be taken again.
            nats.errors.Error: The bus did not take a dead letter; likewise.
        """
        batch = Batch(unparked=[item.sequence for item in messages if item.attempts], place=place)
        read: list[tuple[Incoming, Observation]] = []
        for item in messages:
            try:
                read.append((item, self._read(item)))
            except RefusedError as error:
                batch.refusals[error.reason] += 1
                await self._bury(item, "REFUSED", f"{error.reason}: {error}")
        unknown = await self._store.unknown_attackers(one.attacker for _, one in read)
        if unknown:
            batch.memberships = await self._directory.resolve(unknown)
        absent = set(unknown).difference(one.attacker for one in batch.memberships)
        for item, observation in read:
            if observation.attacker not in absent:
                batch.observations.append(observation)
            elif item.attempts < self._max_attempts:
                batch.parked.append(self._park(item, observation))
            else:
                batch.refusals["attacker_unknown"] += 1
                await self._bury(item, "NO_ANCHOR", "the directory does not know the attacker")
        parked = {item.sequence for item in batch.parked}
        batch.unparked = [sequence for sequence in batch.unparked if sequence not in parked]
        with span("ttp.attribution.write", observations=len(batch.observations)):
            recorded = await self._store.record(batch)
            if recorded.transitions:
                self._announced()
        self._count(batch, recorded)
        return recorded

    def _read(self, item: Incoming) -> Observation:
        return read_observation(
            item.body,
            subject=item.subject,
            published_s=item.published / _MICROS,
            registry=self._registry,
        )

    def _park(self, item: Incoming, observation: Observation) -> Parked:
        delay_s = min(_FIRST_RETRY_S * 2.0**item.attempts, _LONGEST_RETRY_S)
        return Parked(
            sequence=item.sequence,
            subject=item.subject,
            body=item.body,
            attacker=observation.attacker,
            published=item.published,
            attempts=item.attempts + 1,
            retry=int((self._clock() + delay_s) * _MICROS),
        )

    async def _bury(self, item: Incoming, reason: str, detail: str) -> None:
        await bury(
            self._js,
            item.body,
            subject=item.subject,
            sequence=item.sequence,
            published=item.published,
            attempts=item.attempts + 1,
            reason=reason,
            detail=detail,
        )

    def _count(self, batch: Batch, recorded: Recorded) -> None:
        self.tally.stored += recorded.stored
        self.tally.transitions += recorded.transitions
        self.tally.parked += len(batch.parked)
        self.tally.refused += batch.refusals
        self.tally.last_batch_s = self._clock()
        if batch.refusals:
            _log.warning("observations refused", extra={"reasons": dict(batch.refusals)})
