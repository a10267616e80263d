# SPDX-License-Identifier: AGPL-3.0-or-later
"""Following the directory: identities merge and split, and their states with them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

from nats.aio.client import Client

from decnet_ttp.attribution.database import Database
from decnet_ttp.attribution.directory import Directory, Membership
from decnet_ttp.attribution.identity_feed import IdentityFeed, Word
from decnet_ttp.attribution.mergers import depth
from decnet_ttp.attribution.primitives import Registry
from decnet_ttp.attribution.revisits import Revisits
from decnet_ttp.attribution.rows import columns
from decnet_ttp.attribution.series import SeriesKey, Transition
from decnet_ttp.attribution.store import WRITER_LOCK, Store, count_observations
from decnet_ttp.core.errors import DecnetError
from decnet_ttp.runtime.pacing import pause, unless_stopped

#: Seconds between two comparisons of everybody with the directory.
PERIOD_S = 60.0

_RETRY_S = 1.0
_PAGE = 1_000
#: Attackers that move in one transaction, during which nothing else is written.
_MOVES = 50
#: Identities whose attackers are asked for when word comes that they parted.
_PARTED = 100

_PAGE_OF_MEMBERS = """
SELECT attacker_uuid FROM members
WHERE $1::uuid IS NULL OR attacker_uuid > $1 ORDER BY attacker_uuid LIMIT $2
"""
_CONCERNED = """
SELECT attacker_uuid FROM members WHERE attacker_uuid = ANY($1::uuid[])
UNION SELECT attacker_uuid FROM members WHERE identity_uuid = ANY($1::uuid[])
"""
_MOVED = """
SELECT m.attacker_uuid, m.identity_uuid AS old, d.identity_uuid AS new
FROM unnest($1::uuid[], $2::uuid[]) AS d (attacker_uuid, identity_uuid)
JOIN members AS m USING (attacker_uuid)
WHERE m.identity_uuid <> d.identity_uuid
"""
_MOVE_MEMBERS = """
UPDATE members AS m SET identity_uuid = d.new
FROM unnest($1::uuid[], $2::uuid[], $3::uuid[]) AS d (attacker_uuid, old, new)
WHERE m.attacker_uuid = d.attacker_uuid
"""
_MOVE_OBSERVATIONS = """
WITH moved AS (
    UPDATE observations AS o SET identity_uuid = d.new
    FROM unnest($1::uuid[], $2::uuid[], $3::uuid[]) AS d (attacker_uuid, old, new)
    WHERE o.identity_uuid = d.old AND o.attacker_uuid = d.attacker_uuid
    RETURNING d.old, d.new, o.primitive
)
SELECT DISTINCT identity, primitive
FROM moved CROSS JOIN LATERAL (VALUES (old), (new)) AS side (identity)
"""

_log = logging.getLogger(__name__)


class MembershipFollower:
    """Compares what was recorded with what the directory says, and moves what differs.

    Whom the bus names is compared at once and again some seconds later, since the directory may be
    written by who reads the same word; everybody is compared now and then, since the bus may have
    been away and the directory may be written by hand.

    Args:
        database: Where the observations are.
        store: Reads and writes series.
        directory: Who is who.
        registry: Kinds of the primitives.
        period_s: Seconds between two comparisons of everybody.
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
        self._revisits = Revisits()

    async def run(self, client: Client, stop: asyncio.Event) -> None:
        """Follow until `stop`.

        Args:
            client: Connection to NATS.
            stop: Ends it.
        """
        async with IdentityFeed(client) as feed:
            while not stop.is_set():
                try:
                    await self.compare()
                    await self._listen(feed, stop)
                except DecnetError as error:
                    _log.info("directory not followed", extra={"error": type(error).__name__})
                    await pause(stop, _RETRY_S)

    async def _listen(self, feed: IdentityFeed, stop: asyncio.Event) -> None:
        """Do what the bus says until the next comparison of everybody is due."""
        loop = asyncio.get_running_loop()
        due = loop.time() + self._period_s
        while not stop.is_set() and loop.time() < due:
            left = min(due, self._revisits.next_s() or due) - loop.time()
            try:
                word = await unless_stopped(stop, asyncio.wait_for(feed.next(), left))
            except TimeoutError:
                word = None
            if word is not None:
                self._revisits.add(word, loop.time())
            word = self._revisits.take(loop.time())
            if word.named:
                await self.follow(word)

    async def follow(self, word: Word) -> int:
        """Compare those who were named; return how many moved.

        Raises:
            DecnetError: The directory or the database is away; those that moved stay moved.
        """
        asked = set(word.named)
        for identity in sorted(word.parted)[:_PARTED]:
            asked.update(await self._directory.attackers_of(identity))
        async with self._database.connection() as connection:
            rows = await connection.fetch(_CONCERNED, list(asked))
        return await self._compare([row[0] for row in rows])

    async def compare(self) -> int:
        """Compare everybody; return how many moved.

        Raises:
            DecnetError: The directory or the database is away; those that moved stay moved.
        """
        moved, last = 0, None
        while True:
            async with self._database.connection() as connection:
                rows = await connection.fetch(_PAGE_OF_MEMBERS, last, _PAGE)
            page = [row[0] for row in rows]
            moved += await self._compare(page)
            if len(page) < _PAGE:
                return moved
            last = page[-1]

    async def _compare(self, attackers: Collection[UUID]) -> int:
        memberships = await self._directory.known(attackers) if attackers else []
        async with self._database.connection() as connection:
            rows = await connection.fetch(_MOVED, *_pairs(memberships))
        away = {row[0] for row in rows}
        left = [item for item in memberships if item.attacker in away]
        for first in range(0, len(left), _MOVES):
            await self._move(left[first : first + _MOVES])
        if left:
            _log.info("identities changed", extra={"attackers": len(left)})
        return len(left)

    async def _move(self, memberships: Sequence[Membership]) -> None:
        """Move some attackers with their observations, and merge the states on both sides anew."""
        async with self._database.connection() as connection, connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock($1)", WRITER_LOCK)
            moves = columns(await connection.fetch(_MOVED, *_pairs(memberships)))
            if not moves:
                return
            await connection.execute(_MOVE_MEMBERS, *moves)
            rows = await connection.fetch(_MOVE_OBSERVATIONS, *moves)
            await self._settle(connection, sorted(SeriesKey(*row) for row in rows))

    async def _settle(self, connection: Any, keys: Sequence[SeriesKey]) -> None:
        needed = {key: depth(self._registry[key.primitive].kind) for key in keys}
        series = await self._store.load(connection, needed)
        counts = await count_observations(connection, keys)
        transitions: list[Transition] = []
        for key in keys:
            series[key].count = counts.get(key, 0)
            transition = series[key].settle(key)
            if transition is not None:
                transitions.append(transition)
        await self._store.save(connection, series, keys, transitions)


def _pairs(memberships: Sequence[Membership]) -> tuple[list[UUID], list[UUID]]:
    return [item.attacker for item in memberships], [item.identity for item in memberships]
