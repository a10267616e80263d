# SPDX-License-Identifier: AGPL-3.0-or-later
"""The pass that finds identities that look like several people."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any
from uuid import UUID

from decnet_ttp.attribution.announcements import multi_actor_suspected
from decnet_ttp.attribution.database import Database
from decnet_ttp.attribution.mergers import WINDOW
from decnet_ttp.attribution.store import WRITER_LOCK, announce
from decnet_ttp.attribution.turns import suspicion_confidence
from decnet_ttp.core.errors import DecnetError
from decnet_ttp.runtime.pacing import pause

#: Primitives in state multi-actor from which an identity is suspected.
MIN_PRIMITIVES = 2
#: Seconds between two passes.
PERIOD_S = 60.0

_CHANGED = """
WITH flagged AS (
    SELECT identity_uuid, array_agg(primitive ORDER BY primitive) AS primitives
    FROM states WHERE state = 'multi_actor'
    GROUP BY identity_uuid HAVING count(*) >= $1
)
SELECT coalesce(f.identity_uuid, s.identity_uuid) AS identity_uuid, f.primitives
FROM flagged AS f FULL JOIN suspects AS s USING (identity_uuid)
WHERE f.primitives::text[] IS DISTINCT FROM s.primitives
ORDER BY 1
"""
_REMEMBER = """
INSERT INTO suspects (identity_uuid, primitives, confidence, suspected_at)
VALUES ($1, $2, $3, now())
ON CONFLICT (identity_uuid) DO UPDATE
SET primitives = excluded.primitives, confidence = excluded.confidence
"""
_WINDOWS = """
SELECT s.identity_uuid, s.primitive, array_agg(o.evidence_ref) AS recordings,
       array_agg(o.value) AS values
FROM states AS s
CROSS JOIN LATERAL (
    SELECT evidence_ref, value FROM observations
    WHERE identity_uuid = s.identity_uuid AND primitive = s.primitive
    ORDER BY observed_at DESC, key DESC LIMIT $2
) AS o
WHERE s.identity_uuid = ANY($1::uuid[]) AND s.state = 'multi_actor'
GROUP BY s.identity_uuid, s.primitive
"""
_FORGET = "DELETE FROM suspects WHERE identity_uuid = ANY($1::uuid[])"

_log = logging.getLogger(__name__)


class Suspicion:
    """Announces a suspicion when the set of primitives behind it is another than announced before.

    What was announced is stored, so a restart repeats nothing; an identity that is suspected no
    longer is forgotten, so that it is announced again should it come back.

    Args:
        database: Where the states are.
        period_s: Seconds between two passes.
    """

    def __init__(self, database: Database, *, period_s: float = PERIOD_S) -> None:
        self._database = database
        self._period_s = period_s

    async def run(self, stop: asyncio.Event) -> None:
        """Pass again and again until `stop`."""
        while not stop.is_set():
            try:
                await self.look()
            except DecnetError as error:
                _log.info("pass skipped", extra={"error": type(error).__name__})
            await pause(stop, self._period_s)

    async def look(self) -> int:
        """Make one pass; return how many suspicions it announced.

        Raises:
            UnavailableError: The database is away.
            AbortedError: Another writer won.
        """
        async with self._database.connection() as connection, connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock($1)", WRITER_LOCK)
            changed = await connection.fetch(_CHANGED, MIN_PRIMITIVES)
            return await self._announce(connection, changed)

    @staticmethod
    async def _announce(connection: Any, changed: list[Any]) -> int:
        suspected = [row for row in changed if row["primitives"] is not None]
        cleared = [row["identity_uuid"] for row in changed if row["primitives"] is None]
        if suspected:
            confidences = await _confidences(connection, [row[0] for row in suspected])
            told = [(row[0], row[1], confidences[row[0]]) for row in suspected]
            await connection.executemany(_REMEMBER, told)
            now_s = time.time()
            await announce(connection, [multi_actor_suspected(*item, now_s) for item in told])
        if cleared:
            await connection.execute(_FORGET, cleared)
        return len(suspected)


async def _confidences(connection: Any, identities: list[UUID]) -> dict[UUID, float]:
    windows: dict[UUID, list[dict[str, str]]] = {identity: [] for identity in identities}
    for row in await connection.fetch(_WINDOWS, identities, WINDOW):
        windows[row["identity_uuid"]].append(
            dict(zip(row["recordings"], row["values"], strict=True))
        )
    return {identity: suspicion_confidence(found) for identity, found in windows.items()}
