# SPDX-License-Identifier: AGPL-3.0-or-later
"""Following the directory: identities merge and split, and their states with them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

from decnet_ttp.attribution.database import Database
from decnet_ttp.attribution.directory import Directory, Membership
from decnet_ttp.attribution.mergers import depth
from decnet_ttp.attribution.primitives import Registry
from decnet_ttp.attribution.series import SeriesKey, Transition
from decnet_ttp.attribution.store import WRITER_LOCK, Store, count_observations
from decnet_ttp.core.errors import DecnetError
from decnet_ttp.runtime.pacing import pause

#: Seconds between two comparisons with the directory.
PERIOD_S = 60.0

_MOVED = """
SELECT m.attacker_uuid, m.identity_uuid AS old, d.identity_uuid AS new
FROM unnest($1::uuid[], $2::uuid[]) AS d (attacker_uuid, identity_uuid)
JOIN members AS m USING (attacker_uuid)
WHERE m.identity_uuid <> d.identity_uuid
"""
_MOVE_MEMBER = "UPDATE members SET identity_uuid = $2, stub = $3 WHERE attacker_uuid = $1"
_MOVE_OBSERVATIONS = """
WITH moved AS (
    UPDATE observations SET identity_uuid = $3
    WHERE identity_uuid = $2 AND attacker_uuid = $1 RETURNING primitive
)
SELECT DISTINCT primitive FROM moved
"""

_log = logging.getLogger(__name__)


class MembershipFollower:
    """Compares what was recorded with what the directory says, and moves what differs.

    Args:
        database: Where the observations are.
        store: Reads and writes series.
        directory: Who is who.
        registry: Kinds of the primitives.
        period_s: Seconds between two comparisons.
    """

    def __init__(
        self,
        database: Database,
        store: Store,
        directory: Directory,
        registry: Registry,
        *,
        period_s: float = PERIOD_S,
    ) -> None:
        self._database = database
        self._store = store
        self._directory = directory
        self._registry = registry
        self._period_s = period_s

    async def run(self, stop: asyncio.Event) -> None:
        """Compare again and again until `stop`."""
        while not stop.is_set():
            try:
                await self.compare()
            except DecnetError as error:
                _log.info("directory not followed", extra={"error": type(error).__name__})
            await pause(stop, self._period_s)

    async def compare(self) -> int:
        """Move the observations of every attacker whose identity changed; return how many did.

        Raises:
            DecnetError: The directory or the database is away; those that moved stay moved.
        """
        moved = 0
        async for page in self._directory.memberships():
            moved += await self._move_all(page)
        return moved

    async def _move_all(self, memberships: Sequence[Membership]) -> int:
        stubs = {item.attacker: item.stub for item in memberships}
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                _MOVED,
                [item.attacker for item in memberships],
                [item.identity for item in memberships],
            )
            for row in rows:
                async with connection.transaction():
                    await connection.execute("SELECT pg_advisory_xact_lock($1)", WRITER_LOCK)
                    await self._move(connection, row, stub=stubs[row["attacker_uuid"]])
        if rows:
            _log.info("identities changed", extra={"attackers": len(rows)})
        return len(rows)

    async def _move(self, connection: Any, row: Any, *, stub: bool) -> None:
        attacker, old, new = row["attacker_uuid"], row["old"], row["new"]
        await connection.execute(_MOVE_MEMBER, attacker, new, stub)
        moved = await connection.fetch(_MOVE_OBSERVATIONS, attacker, old, new)
        primitives = sorted(item[0] for item in moved)
        if not primitives:
            return
        keys = [SeriesKey(identity, name) for identity in (old, new) for name in primitives]
        needed = {key: depth(self._registry[key.primitive].kind) for key in keys}
        series = await self._store.load(connection, needed)
        counts = {
            identity: await count_observations(connection, identity, primitives)
            for identity in (old, new)
        }
        transitions: list[Transition] = []
        for key in keys:
            series[key].count = counts[key.identity].get(key.primitive, 0)
            transition = series[key].settle(key)
            if transition is not None:
                transitions.append(transition)
        await self._store.save(connection, series, keys, transitions)
