# SPDX-License-Identifier: AGPL-3.0-or-later
"""What ingest counts, for its heart-beats and its metrics page."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from decnet_ttp.ingest.consumer import Counters
from decnet_ttp.ingest.dispatch import Dispatcher
from decnet_ttp.ingest.lag import read_lag, read_waiting_letters
from decnet_ttp.runtime.bus import Bus
from decnet_ttp.runtime.figures import Family, Figure, by_label, counter, gauge


class Figures:
    """Tells them.

    Args:
        bus: Connection to NATS.
        durable: Consumer whose lag is told.
        counters: What this process did.
        dispatcher: The taggers.
    """

    def __init__(
        self, bus: Bus, *, durable: str, counters: Counters, dispatcher: Dispatcher
    ) -> None:
        self._bus = bus
        self._durable = durable
        self._counters = counters
        self._dispatcher = dispatcher

    async def progress(self) -> Mapping[str, Figure]:
        """Return what a heart-beat carries.

        Raises:
            UnavailableError: The bus is away.
        """
        lag = await read_lag(self._bus, self._durable)
        counters = self._counters
        return {
            "last_event_ts": counters.last_handled_s or None,
            "pending": lag.pending + lag.unacknowledged,
            "lag_s": lag.age_s(datetime.now(UTC)),
            "parked": lag.parked,
            "handled": counters.handled,
            "redelivered": counters.redelivered,
            "dead_letters": counters.dead_letters,
        }

    async def counted(self) -> list[Family]:
        """Return what needs no bus."""
        counters = self._counters
        taggers = {item.target: float(item.reachable) for item in self._dispatcher.taggers}
        return [
            counter("messages_handled", "Messages settled for good.", counters.handled),
            counter("messages_redelivered", "Messages sent back to the bus.", counters.redelivered),
            counter("messages_parked", "Messages put aside.", counters.parked),
            counter("mails_unread", "Mails tagged without their bodies.", counters.unread),
            counter(
                "mails_unread_for_good", "Those no longer tried again.", counters.unread_for_good
            ),
            by_label(
                "counter", "dead_letters", "Messages buried.", "reason", dict(counters.buried)
            ),
            counter("tags_inserted", "New tags of handled messages.", counters.inserted),
            counter("tags_repeated", "Their tags that were stored before.", counters.known),
            counter("evaluation_failures", "Rules that failed on an event.", counters.failures),
            counter("wrong_fields", "Fields of producers of a wrong type.", counters.wrong_fields),
            by_label("gauge", "tagger_reachable", "1 while a tagger answers.", "target", taggers),
        ]

    async def behind(self) -> list[Family]:
        """Return what is not done yet, over all replicas.

        Raises:
            UnavailableError: The bus is away.
        """
        now = datetime.now(UTC)
        lag = await read_lag(self._bus, self._durable)
        letters, oldest = await read_waiting_letters(self._bus)
        age_s = 0.0 if oldest is None else max(0.0, (now - oldest).total_seconds())
        return [
            gauge("lag_messages", "Messages not yet handled.", lag.pending + lag.unacknowledged),
            gauge("lag_seconds", "Age of the oldest of them.", lag.age_s(now)),
            gauge("parked_messages", "Messages that wait for attacker or tagger.", lag.parked),
            gauge("dead_letters_waiting", "Dead letters that nobody replayed or dropped.", letters),
            gauge("dead_letters_oldest_seconds", "Age of the oldest of them.", age_s),
        ]
