# SPDX-License-Identifier: AGPL-3.0-or-later
"""Deleting what is older than it may grow, once an hour."""

from __future__ import annotations

import asyncio
import logging
import time

from decnet_ttp.core.errors import AbortedError, ResourceExhaustedError, UnavailableError
from decnet_ttp.runtime.pacing import pause
from decnet_ttp.tag_store.database import Database
from decnet_ttp.tag_store.life_cycle import LifeCycle
from decnet_ttp.tag_store.ticks import TICKS_PER_DAY, from_epoch_seconds

_PERIOD_S = 3_600.0

_log = logging.getLogger(__name__)


class Retention:
    """Vacuums by age.

    Args:
        database: Where the tags are.
        days: How old tags and sessions may grow, from their storage on; 0: as old as they like.
    """

    def __init__(self, database: Database, days: float) -> None:
        self._database = database
        self._days = days

    async def run(self, stop: asyncio.Event) -> None:
        """Delete what is too old until `stop`; what is left then waits for the next start."""
        if not self._days:
            await stop.wait()
            return
        life_cycle = LifeCycle(self._database)
        reason = f"older than {self._days:g} days"
        stopping = asyncio.ensure_future(stop.wait())
        while not stop.is_set():
            before = from_epoch_seconds(time.time()) - round(self._days * TICKS_PER_DAY)
            work = asyncio.ensure_future(
                life_cycle.vacuum(before, requested_by="retention", reason=reason)
            )
            await asyncio.wait((work, stopping), return_when=asyncio.FIRST_COMPLETED)
            work.cancel()
            try:
                await work
            except asyncio.CancelledError:
                if not stop.is_set():
                    raise
            except (AbortedError, ResourceExhaustedError, UnavailableError) as error:
                _log.warning("retention waits", extra={"error": type(error).__name__})
            await pause(stop, _PERIOD_S)
