# SPDX-License-Identifier: AGPL-3.0-or-later
"""What providers of intel say of attackers: their last word each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID

from decnet_ttp.tag_store.database import Database
from decnet_ttp.tag_store.identities import AttackerUnknownError

_KNOWN = "SELECT FROM attackers WHERE uuid = $1"
_COLUMNS = "attacker_uuid, provider, verdict, score, signals, observed_at"
_PUT = f"""
    INSERT INTO attacker_intel AS k ({_COLUMNS})
    VALUES ($1, $2, $3, $4, $5, coalesce($6::timestamptz, now()))
    ON CONFLICT (attacker_uuid, provider) DO UPDATE SET verdict = excluded.verdict,
        score = excluded.score, signals = excluded.signals, observed_at = excluded.observed_at
    WHERE k.observed_at <= excluded.observed_at
"""  # noqa: S608 - constants of ours
_LIST = f"""
    SELECT {_COLUMNS} FROM attacker_intel
    WHERE attacker_uuid = $1 AND provider > $2 ORDER BY provider LIMIT $3
"""  # noqa: S608 - constants of ours
_ONE = f"SELECT {_COLUMNS} FROM attacker_intel WHERE attacker_uuid = $1 AND provider = $2"  # noqa: S608 - texts of ours; values are parameters


class IntelRow(NamedTuple):
    """A provider's last word; time in ticks, None when unknown."""

    attacker_uuid: UUID
    provider: str
    verdict: str
    score: float | None
    signals: Sequence[str]
    observed_at: int | None


async def put_intel(connection: Any, rows: Sequence[IntelRow]) -> None:
    """Keep the newest record of each provider, in the caller's transaction."""
    newest: dict[tuple[UUID, str], IntelRow] = {}
    for row in sorted(rows, key=lambda row: row.observed_at or 0):
        newest[row.attacker_uuid, row.provider] = row
    for _, row in sorted(newest.items()):
        await connection.execute(_PUT, *row)


class Intel:
    """Keeps one record of each provider for each attacker.

    Every call raises AbortedError, ResourceExhaustedError or UnavailableError when the database
    says so.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, row: IntelRow) -> IntelRow:
        """Keep a record unless a newer one is kept; returns what is kept then.

        Raises:
            AttackerUnknownError: The attacker has no row.
        """
        async with self._database.connection() as connection, connection.transaction():
            if await connection.fetchrow(_KNOWN, row.attacker_uuid) is None:
                raise AttackerUnknownError(
                    "no such attacker is known; resolve its address first",
                    attacker_uuid=row.attacker_uuid,
                )
            await put_intel(connection, [row])
            return IntelRow(*await connection.fetchrow(_ONE, row.attacker_uuid, row.provider))

    async def page(self, attacker: UUID, limit: int, past: str) -> list[IntelRow]:
        """Return records of an attacker by provider, from the one after `past` on."""
        return [IntelRow(*row) for row in await self._database.fetch(_LIST, attacker, past, limit)]
