# SPDX-License-Identifier: AGPL-3.0-or-later
"""Keeping roll-ups quick to read in the background: scopes folded, slots of old days added up."""

from __future__ import annotations

import asyncio
import logging
import time

from decnet_ttp.core.errors import AbortedError, ResourceExhaustedError, UnavailableError
from decnet_ttp.runtime.pacing import pause, unless_stopped
from decnet_ttp.tag_store import scope_fold
from decnet_ttp.tag_store.database import Database
from decnet_ttp.tag_store.fleet_slots import add_up_slots

#: Marks folded in one transaction; a batch of tags leaves one or two.
_ROUND_MARKS = 50
#: Pause when nothing is left, time between looks at old days, and back-off while the database is
#: away, in seconds.
_PERIOD_S = 0.25
_SLOTS_PERIOD_S = 300.0
_BACK_OFF_S = 2.0

_LAST_MARK = "SELECT max(id) FROM scope_changes"
_LEFT = "SELECT EXISTS (SELECT FROM scope_changes WHERE id <= $1)"

_log = logging.getLogger(__name__)


async def fold_all(database: Database) -> None:
    """Fold in everything that is marked now.

    Raises:
        AbortedError, ResourceExhaustedError, UnavailableError: The database said so; what is not
        folded in stays marked.
    """
    ((last,),) = await database.fetch(_LAST_MARK)
    # What writers mark meanwhile is left to others: it may never end.
    while last is not None and (await database.fetch(_LEFT, last))[0][0]:
        async with database.connection() as connection, connection.transaction():
            await scope_fold.hold(connection)
            await scope_fold.fold_some(connection, _ROUND_MARKS)


class ScopeFolder:
    """Folds and adds up, a round at a time; replicas take turns.

    Args:
        database: Where the marks are.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def run(self, stop: asyncio.Event) -> None:
        """Fold until `stop`; what is left then waits for the next start."""
        await unless_stopped(stop, self._database.wait_opened())
        slots_at_s = time.monotonic()
        while not stop.is_set():
            try:
                if time.monotonic() >= slots_at_s:
                    await add_up_slots(self._database)
                    slots_at_s = time.monotonic() + _SLOTS_PERIOD_S
                async with self._database.connection() as connection, connection.transaction():
                    more = await scope_fold.fold_some(connection, _ROUND_MARKS)
            except (AbortedError, ResourceExhaustedError, UnavailableError) as error:
                _log.warning("folding waits", extra={"error": type(error).__name__})
                await pause(stop, _BACK_OFF_S)
                continue
            if not more:
                await pause(stop, _PERIOD_S)
