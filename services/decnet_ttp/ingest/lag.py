# SPDX-License-Identifier: AGPL-3.0-or-later
"""How far ingest is behind the bus."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import nats.errors
from nats.js.errors import Error as JetStreamError
from nats.js.errors import NotFoundError

from decnet_ttp.core.errors import UnavailableError
from decnet_ttp.runtime.bus import DLQ_STREAM, EVENTS_STREAM, PARKED_STREAM, Bus


@dataclass(frozen=True, slots=True)
class Lag:
    """What is not done yet.

    Attributes:
        pending: Messages that were not delivered yet.
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
            try:
                # Messages of other subjects may lie in between, so this is the oldest it can be.
                message = await bus.js.get_msg(EVENTS_STREAM, done + 1, subject=">", next=True)
            except NotFoundError:
                message = None
            if message is not None and message.time is not None:
                oldest = message.time.astimezone(UTC)
    except (nats.errors.Error, JetStreamError, TimeoutError, OSError) as error:
        raise UnavailableError("the bus is away; try again") from error
    return Lag(pending, unacknowledged, parked, oldest)


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
