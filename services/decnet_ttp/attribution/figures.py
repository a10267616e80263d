# SPDX-License-Identifier: AGPL-3.0-or-later
"""What attribution counts, for its heart-beats and its metrics page."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import nats.errors
from nats.js.errors import NotFoundError

from decnet_ttp.attribution.consumer import DURABLE
from decnet_ttp.attribution.database import Database
from decnet_ttp.attribution.intake import Tally
from decnet_ttp.core.errors import UnavailableError
from decnet_ttp.runtime.bus import Bus
from decnet_ttp.runtime.figures import Family, Figure, by_label, counter, gauge
from decnet_ttp.runtime.streams import EVENTS_STREAM

_PARKED = "SELECT count(*) FROM parked"
_OUTBOX = "SELECT count(*) FROM outbox"


class Figures:
    """Tells them.

    Args:
        tally: What this process did while it was the leader.
        database: Where observations wait.
        bus: Returns the connection, None before there is one.
    """

    def __init__(self, tally: Tally, database: Database, bus: Callable[[], Bus | None]) -> None:
        self._tally = tally
        self._database = database
        self._bus = bus

    async def _pending(self) -> int:
        """Return how many observations the bus has that nobody took.

        Raises:
            UnavailableError: The bus is away.
        """
        bus = self._bus()
        if bus is None:
            raise UnavailableError("the bus is away; try again")
        try:
            info = await bus.js.consumer_info(EVENTS_STREAM, DURABLE)
        except NotFoundError:
            # No leader has read anything yet.
            return 0
        except (nats.errors.Error, TimeoutError, OSError) as error:
            raise UnavailableError("the bus is away; try again") from error
        return (info.num_pending or 0) + (info.num_ack_pending or 0)

    async def _count(self, query: str) -> int:
        async with self._database.connection() as connection:
            found: int = await connection.fetchval(query)
        return found

    async def progress(self) -> Mapping[str, Figure]:
        """Return what a heart-beat carries.

        Raises:
            UnavailableError: The bus or the database is away.
        """
        tally = self._tally
        return {
            "last_event_ts": tally.last_batch_s or None,
            "pending": await self._pending(),
            "parked": await self._count(_PARKED),
            "observations": tally.stored,
            "refused": tally.refused.total(),
            "transitions": tally.transitions,
        }

    async def counted(self) -> list[Family]:
        """Return what needs neither bus nor database."""
        tally = self._tally
        return [
            counter("observations_accepted", "Observations new or replaced.", tally.stored),
            by_label(
                "counter",
                "observations_refused",
                "Observations buried.",
                "reason",
                dict(tally.refused),
            ),
            counter("observations_parked", "Observations put aside.", tally.parked),
            counter("state_transitions", "States of identities that changed.", tally.transitions),
        ]

    async def stored(self) -> list[Family]:
        """Return what waits in the database.

        Raises:
            UnavailableError: The database is away.
        """
        return [
            gauge(
                "parked_messages",
                "Observations that wait for their attacker.",
                await self._count(_PARKED),
            ),
            gauge(
                "outbox_messages",
                "Announcements that wait for the bus.",
                await self._count(_OUTBOX),
            ),
        ]

    async def behind(self) -> list[Family]:
        """Return what waits on the bus.

        Raises:
            UnavailableError: The bus is away.
        """
        return [gauge("lag_messages", "Observations not yet taken.", await self._pending())]
