# SPDX-License-Identifier: AGPL-3.0-or-later
"""The reading side: pages in one index scan each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from decnet_ttp.attribution.database import Database

_PROFILE = """
SELECT primitive, value, state, confidence, observation_count, changed_at, observed_at
FROM states WHERE identity_uuid = $1 ORDER BY primitive
"""
_CHANGES = """
SELECT primitive, old_state, new_state, changed_at, id
FROM transitions
WHERE identity_uuid = $1 AND ($2::timestamptz IS NULL OR (changed_at, id) < ($2, $3::bigint))
ORDER BY changed_at DESC, id DESC LIMIT $4
"""
_SUSPECTS = """
SELECT identity_uuid, primitives, confidence, suspected_at
FROM suspects
WHERE $1::timestamptz IS NULL OR (suspected_at, identity_uuid) < ($1, $2::uuid)
ORDER BY suspected_at DESC, identity_uuid DESC LIMIT $3
"""
# An identity has few primitives, and the newest of each come from the index of the series.
_OBSERVATIONS = """
SELECT o.*
FROM states AS s
CROSS JOIN LATERAL (
    SELECT observation_id, primitive, value, confidence, attacker_uuid, evidence_ref, observed_at,
           key
    FROM observations
    WHERE identity_uuid = s.identity_uuid AND primitive = s.primitive
      AND ($3::timestamptz IS NULL OR (observed_at, key) < ($3, $4::uuid))
    ORDER BY observed_at DESC, key DESC LIMIT $5
) AS o
WHERE s.identity_uuid = $1 AND ($2::text = '' OR s.primitive = $2)
ORDER BY o.observed_at DESC, o.key DESC LIMIT $5
"""


class Queries:
    """Questions about identities.

    Args:
        database: Where the states are.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def _fetch(self, sql: str, *arguments: object) -> Sequence[Any]:
        async with self._database.connection() as connection:
            rows: Sequence[Any] = await connection.fetch(sql, *arguments)
            return rows

    async def profile(self, identity: UUID) -> Sequence[Any]:
        """Return the states of an identity by name of the primitive."""
        return await self._fetch(_PROFILE, identity)

    async def changes(
        self, identity: UUID, after: tuple[int, int] | None, limit: int
    ) -> Sequence[Any]:
        """Return changes of state, newest first.

        Args:
            identity: Whose.
            after: Time and id of the last row of the page before.
            limit: Rows at most.
        """
        return await self._fetch(_CHANGES, identity, *(after or (None, None)), limit)

    async def suspects(self, after: tuple[int, UUID] | None, limit: int) -> Sequence[Any]:
        """Return suspects, newest first.

        Args:
            after: Time and identity of the last row of the page before.
            limit: Rows at most.
        """
        return await self._fetch(_SUSPECTS, *(after or (None, None)), limit)

    async def observations(
        self, identity: UUID, primitive: str, after: tuple[int, UUID] | None, limit: int
    ) -> Sequence[Any]:
        """Return observations, newest first.

        Args:
            identity: Whose.
            primitive: Of which; empty for all.
            after: Time and key of the last row of the page before.
            limit: Rows at most.
        """
        return await self._fetch(
            _OBSERVATIONS, identity, primitive, *(after or (None, None)), limit
        )
