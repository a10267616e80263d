# SPDX-License-Identifier: AGPL-3.0-or-later
"""How far ingest is behind the bus."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime

import nats.errors
from nats.js.api import ConsumerInfo
from nats.js.errors import Error as JetStreamError
from nats.js.errors import NotFoundError

from decnet_ttp.core.errors import UnavailableError
from decnet_ttp.runtime.bus import Bus
from decnet_ttp.runtime.streams import DLQ_STREAM, EVENTS_STREAM, PARKED_STREAM


@dataclass(frozen=True, slots=True)
class Lag:
    """What is not done yet.

    Attributes:
        pending: Messages that were not delivered yet; 0 only when there is none.
        unacknowledged: Messages delivered and not done.
        parked: Messages that wait for an attacker or a tagger.
        oldest: When the oldest of the first two came in; None when there is none.
    """

    pending: int
    unacknowledged: int
    parked: int
    oldest: datetime | None

    def age_s(self, now: datetime) -> float:
        """Return the age of the oldest message, in seconds."""
        return 0.0 if self.oldest is None else max(0.0, (now - self.oldest).total_seconds())


async def read_lag(bus: Bus, durable: str) -> Lag:
    """Read the lag of a durable consumer over all its replicas.

    Raises:
        UnavailableError: The bus is away.
    """
    try:
        info = await bus.js.consumer_info(EVENTS_STREAM, durable)
        parked = (await bus.js.stream_info(PARKED_STREAM)).state.messages
        pending, unacknowledged = info.num_pending or 0, info.num_ack_pending or 0
        oldest = None
        if pending or unacknowledged:
            done = info.ack_floor.stream_seq if info.ack_floor else 0
            # Messages of other subjects may lie in between, so this is the oldest it can be.
            oldest = await _stored_next(bus, done + 1, ">")
        else:
            uncounted = await _uncounted(bus, info)
            pending = len(uncounted)
            oldest = min(uncounted, default=None)
    except (nats.errors.Error, JetStreamError, TimeoutError, OSError) as error:
        raise UnavailableError("the bus is away; try again") from error
    return Lag(pending, unacknowledged, parked, oldest)


async def _uncounted(bus: Bus, info: ConsumerInfo) -> list[datetime]:
    """Return when messages came in that the server does not count as pending yet, one per subject.

    NATS counts a message as pending a moment after it has acknowledged the publish, so nothing
    pending does not yet mean that nothing is left to do. What is stored is certain at once.
    """
    delivered = info.delivered.stream_seq if info.delivered else 0
    if (await bus.js.stream_info(EVENTS_STREAM)).state.last_seq <= delivered:
        return []
    found = await asyncio.gather(
        *(
            _stored_next(bus, delivered + 1, subject)
            for subject in info.config.filter_subjects or (">",)
        )
    )
    return [stored for stored in found if stored is not None]


async def _stored_next(bus: Bus, sequence: int, subject: str) -> datetime | None:
    """Return when the first message of a subject from a sequence on came in."""
    try:
        message = await bus.js.get_msg(EVENTS_STREAM, sequence, subject=subject, next=True)
    except NotFoundError:
        return None
    return None if message.time is None else message.time.astimezone(UTC)


async def read_waiting_letters(bus: Bus) -> tuple[int, datetime | None]:
    """Return how many dead letters there are, and when the oldest was buried.

    Raises:
        UnavailableError: The bus is away.
    """
    try:
        state = (await bus.js.stream_info(DLQ_STREAM)).state
        if not state.messages:
            return 0, None
        oldest = await bus.js.get_msg(DLQ_STREAM, state.first_seq)
    except NotFoundError:
        # No stream yet, or somebody dropped the letter in between.
        return 0, None
    except (nats.errors.Error, JetStreamError, TimeoutError, OSError) as error:
        raise UnavailableError("the bus is away; try again") from error
    return state.messages, None if oldest.time is None else oldest.time.astimezone(UTC)
