# SPDX-License-Identifier: AGPL-3.0-or-later
"""Identities: attackers that belong together, and identities that turned out to be one.

A merge only notes which identity joins which. Tags and members stay with the identity they came
to, so a merge can be undone; the roll-ups of the one that stands follow in the same transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID

from decnet_ttp.core.errors import FailedPreconditionError, InvalidArgumentError, NotFoundError
from decnet_ttp.tag_store import scope_fold
from decnet_ttp.tag_store.database import Database

#: Members and merged identities that one row names at most; all are counted.
MAX_NAMED = 1_000

_IDENTITIES = f"""
    SELECT i.uuid, i.campaign_uuid, i.merged_into_uuid, m.attackers, m.attacker_count, j.merged
    FROM (SELECT * FROM identities x WHERE {{condition}} ORDER BY x.uuid LIMIT $1) i
    CROSS JOIN LATERAL (
        WITH RECURSIVE below AS (
            SELECT i.uuid
            UNION SELECT c.uuid FROM identities c JOIN below b ON c.merged_into_uuid = b.uuid
        )
        SELECT array(SELECT uuid FROM below WHERE uuid <> i.uuid ORDER BY uuid LIMIT {MAX_NAMED})
                AS merged,
            array(SELECT uuid FROM below) AS tree
    ) j
    CROSS JOIN LATERAL (
        SELECT array(
                SELECT a.uuid FROM attackers a WHERE a.identity_uuid = ANY(j.tree)
                ORDER BY a.uuid LIMIT {MAX_NAMED}
            ) AS attackers,
            (SELECT count(*) FROM attackers a WHERE a.identity_uuid = ANY(j.tree)) AS attacker_count
    ) m
    ORDER BY i.uuid
"""  # noqa: S608 - constants of ours
_FIRST_PAGE = _IDENTITIES.format(condition="true")
_NEXT_PAGE = _IDENTITIES.format(condition="x.uuid > $2::uuid")
_ONE = _IDENTITIES.format(condition="x.uuid = $2::uuid")

_MAKE = "INSERT INTO identities (uuid) VALUES ($1) ON CONFLICT DO NOTHING"
_HOLD_ATTACKERS = """
    SELECT a.uuid FROM attackers a WHERE a.uuid = ANY($1::uuid[])
    ORDER BY a.uuid FOR NO KEY UPDATE
"""
_LINK = """
    UPDATE attackers SET identity_uuid = $2, linked_at = now() WHERE uuid = ANY($1::uuid[])
"""
# By the way only: whatever is said of the attackers later, or was said, counts for more.
_LINK_FREE = "UPDATE attackers SET identity_uuid = $2 WHERE uuid = ANY($1::uuid[])"
_UNLINKED = "SELECT uuid FROM attackers WHERE uuid = ANY($1::uuid[]) AND identity_uuid IS NULL"
_UNLINK = """
    UPDATE attackers SET identity_uuid = NULL, linked_at = now()
    WHERE uuid = ANY($1::uuid[]) AND identity_uuid IS NOT NULL
    RETURNING uuid
"""
_STANDING = """
    SELECT uuid, merged_into_uuid, coalesce(root_uuid, uuid) AS root FROM identities
    WHERE uuid = ANY($1::uuid[]) ORDER BY uuid FOR NO KEY UPDATE
"""
_MERGE = "UPDATE identities SET merged_into_uuid = $2, merge_stated_at = now() WHERE uuid = $1"
_SET_ROOT = """
    WITH RECURSIVE below AS (
        SELECT $1::uuid AS uuid
        UNION SELECT c.uuid FROM identities c JOIN below b ON c.merged_into_uuid = b.uuid
    )
    UPDATE identities i SET root_uuid = nullif($2::uuid, i.uuid)
    FROM below b WHERE i.uuid = b.uuid
"""


class IdentityNotFoundError(NotFoundError):
    """No identity of that uuid."""

    reason = "IDENTITY_NOT_FOUND"


class AttackerUnknownError(NotFoundError):
    """Attackers of a call are not in the directory."""

    reason = "ATTACKER_NOT_FOUND"


class MergeConflictError(FailedPreconditionError):
    """Identities do not stand so that they could be merged or parted."""

    reason = "MERGE_CONFLICT"


class IdentityRow(NamedTuple):
    """An identity; attackers and merged identities by uuid, MAX_NAMED at most."""

    uuid: UUID
    campaign_uuid: UUID | None
    merged_into_uuid: UUID | None
    attackers: Sequence[UUID]
    attacker_count: int
    merged: Sequence[UUID]


class Identities:
    """Reads and changes who belongs to whom.

    Every call raises AbortedError, ResourceExhaustedError or UnavailableError when the database
    says so.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(self, limit: int, past: UUID | None) -> list[IdentityRow]:
        """Return identities by uuid, from the one after `past` on."""
        if past is None:
            rows = await self._database.fetch(_FIRST_PAGE, limit)
        else:
            rows = await self._database.fetch(_NEXT_PAGE, limit, past)
        return [IdentityRow(*row) for row in rows]

    async def get(self, identity: UUID) -> IdentityRow:
        """Return one identity.

        Raises:
            IdentityNotFoundError: There is none.
        """
        rows = await self._database.fetch(_ONE, 1, identity)
        if not rows:
            raise _not_found(identity)
        return IdentityRow(*rows[0])

    async def link(self, identity: UUID, attackers: Sequence[UUID]) -> IdentityRow:
        """Make attackers members of an identity, wherever they belonged before.

        Raises:
            AttackerUnknownError: One of them has no row; none is linked.
        """
        async with self._database.connection() as connection, connection.transaction():
            await hold_merges(connection)
            await _hold(connection, attackers)
            await connection.execute(_MAKE, identity)
            await connection.execute(_LINK, attackers, identity)
            await scope_fold.fold_own(connection)
        return await self.get(identity)

    async def link_unlinked(self, identity: UUID, attackers: Sequence[UUID]) -> IdentityRow | None:
        """Make those attackers members of an identity that belong to none.

        Returns the identity, or None when nobody was left to link and it does not exist.

        Raises:
            AttackerUnknownError: One of them has no row; none is linked.
        """
        async with self._database.connection() as connection, connection.transaction():
            await hold_merges(connection)
            await _hold(connection, attackers)
            free = [row["uuid"] for row in await connection.fetch(_UNLINKED, attackers)]
            if free:
                await connection.execute(_MAKE, identity)
                await connection.execute(_LINK_FREE, free, identity)
                await scope_fold.fold_own(connection)
        try:
            return await self.get(identity)
        except IdentityNotFoundError:
            return None

    async def unlink(self, attackers: Sequence[UUID]) -> int:
        """Take attackers out of their identities; returns how many had one.

        Raises:
            AttackerUnknownError: One of them has no row; none is unlinked.
        """
        async with self._database.connection() as connection, connection.transaction():
            await hold_merges(connection)
            await _hold(connection, attackers)
            unlinked = len(await connection.fetch(_UNLINK, attackers))
            await scope_fold.fold_own(connection)
            return unlinked

    async def merge(self, winner: UUID, loser: UUID) -> IdentityRow:
        """Let one identity join another.

        Raises:
            IdentityNotFoundError: There is no such identity.
            InvalidArgumentError: The two are one.
            MergeConflictError: The loser joined another one before, or the winner the loser.
        """
        if winner == loser:
            raise InvalidArgumentError(
                "loser_uuid is the winner's; name two identities", field="loser_uuid"
            )
        async with self._database.connection() as connection, connection.transaction():
            await hold_merges(connection)
            found = {row["uuid"]: row for row in await connection.fetch(_STANDING, [winner, loser])}
            for uuid in (winner, loser):
                if uuid not in found:
                    raise _not_found(uuid)
            into = found[loser]["merged_into_uuid"]
            if into not in (None, winner):
                raise MergeConflictError(
                    "the loser is merged into another identity already; unmerge it first",
                    merged_into_uuid=into,
                )
            if found[winner]["root"] == loser:
                raise MergeConflictError(
                    "the winner is merged into the loser; unmerge it first, or merge the other way"
                )
            if into is None:
                await connection.execute(_MERGE, loser, winner)
                await set_root(connection, loser, found[winner]["root"])
                await scope_fold.fold_own(connection)
        return await self.get(winner)

    async def unmerge(self, loser: UUID) -> IdentityRow:
        """Let an identity stand by itself again, with its members and what was merged into it.

        Raises:
            IdentityNotFoundError: There is no such identity.
            MergeConflictError: It is not merged.
        """
        async with self._database.connection() as connection, connection.transaction():
            await hold_merges(connection)
            found = await connection.fetch(_STANDING, [loser])
            if not found:
                raise _not_found(loser)
            if found[0]["merged_into_uuid"] is None:
                raise MergeConflictError(
                    "the identity is not merged; nothing is to be undone, see GetIdentity"
                )
            await connection.execute(_MERGE, loser, None)
            await set_root(connection, loser, loser)
            await scope_fold.fold_own(connection)
        return await self.get(loser)


async def hold_merges(connection: Any) -> None:
    """Wait until nobody else merges identities or campaigns, and hold that to the end."""
    await scope_fold.hold(connection)


async def set_root(connection: Any, identity: UUID, root: UUID) -> None:
    """Note which identity stands for another one, and for all that were merged into it."""
    await connection.execute(_SET_ROOT, identity, root)


async def _hold(connection: Any, attackers: Sequence[UUID]) -> None:
    known = {row["uuid"] for row in await connection.fetch(_HOLD_ATTACKERS, attackers)}
    missing = [uuid for uuid in attackers if uuid not in known]
    if missing:
        raise AttackerUnknownError(
            f"{len(missing)} of the attackers are not known; resolve their addresses first",
            attacker_uuid=missing[0],
        )


def _not_found(identity: UUID) -> IdentityNotFoundError:
    return IdentityNotFoundError(
        "no such identity is known; ListIdentities shows those that are", identity_uuid=identity
    )
