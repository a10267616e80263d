# SPDX-License-Identifier: AGPL-3.0-or-later
"""The end of tags: purges of somebody, and deletion by age."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from decnet_ttp.core.errors import InvalidArgumentError, NotFoundError
from decnet_ttp.tag_store import scope_fold
from decnet_ttp.tag_store.aged_records import Deleted, delete_facts, delete_sessions
from decnet_ttp.tag_store.attacker_locks import hold_to_change
from decnet_ttp.tag_store.database import Database
from decnet_ttp.tag_store.deletion import BATCH_TAGS, delete_tags, settle_anchors
from decnet_ttp.tag_store.fleet_settling import settle
from decnet_ttp.tag_store.scope_folder import fold_all
from decnet_ttp.tag_store.scopes import Scope, ScopeKind

_log = logging.getLogger(__name__)

_IDENTITY_TREE = """
    WITH RECURSIVE below AS (
        SELECT uuid FROM identities WHERE uuid = $1
        UNION SELECT c.uuid FROM identities c JOIN below b ON c.merged_into_uuid = b.uuid
    )
    SELECT uuid FROM below
"""
_ATTACKER = "SELECT uuid FROM attackers WHERE uuid = $1"
_MEMBERS = "SELECT uuid FROM attackers WHERE identity_uuid = ANY($1::uuid[])"
_TAGS_OF_ATTACKER = """
    SELECT uuid, seq FROM tags WHERE attacker_uuid = $1 AND seq > $2 ORDER BY seq LIMIT $3
"""
_TAGS_OF_IDENTITY = """
    SELECT uuid, seq FROM tags WHERE attacker_uuid IS NULL AND identity_uuid = $1 AND seq > $2
    ORDER BY seq LIMIT $3
"""
_SESSIONS_OF_ATTACKER = """
    WITH gone AS (
        DELETE FROM sessions WHERE ctid = ANY(ARRAY(
            SELECT ctid FROM sessions WHERE attacker_uuid = $1 LIMIT $2
        )) RETURNING 1
    )
    SELECT count(*) FROM gone
"""
_RECORD = """
    INSERT INTO purges (scope, scope_uuid, requested_by, reason, tags) VALUES ($1, $2, $3, $4, 0)
    RETURNING uuid
"""
_RECORD_COUNT = "UPDATE purges SET tags = $2 WHERE uuid = $1"
# A deletion by age is of nobody in particular.
_RECORD_AGE = """
    INSERT INTO purges (scope, scope_uuid, requested_by, reason, tags, sessions, facts)
    VALUES ('age', '00000000-0000-0000-0000-000000000000', $1, $2, $3, $4, $5)
"""
_FORGET = (
    "DELETE FROM attacker_facts WHERE attacker_uuid = ANY($1::uuid[])",
    "DELETE FROM attacker_adjustments WHERE attacker_uuid = ANY($1::uuid[])",
    "DELETE FROM attacker_intel WHERE attacker_uuid = ANY($1::uuid[])",
    "DELETE FROM sessions WHERE attacker_uuid = ANY($1::uuid[])",
    "DELETE FROM decky_attackers WHERE attacker_uuid = ANY($1::uuid[])",
    "DELETE FROM attackers WHERE uuid = ANY($1::uuid[])",
)
_FORGET_IDENTITIES = "DELETE FROM identities WHERE uuid = ANY($1::uuid[])"

_OLD = """
    FROM tags WHERE created_at < $1::timestamptz AND ($2::text = '' OR source_kind = $2)
"""
_COUNT_OLD = f"SELECT count(*) {_OLD}"
# In the order of storage, through the index; those of other kinds are passed over once.
_NEXT_OLD = """
    SELECT uuid, seq, created_at < $1::timestamptz AS old, $2::text IN ('', source_kind) AS wanted
    FROM tags WHERE seq > $3 ORDER BY seq LIMIT $4
"""


class UnknownScopeError(NotFoundError):
    """Nobody of that uuid."""

    reason = "SCOPE_NOT_FOUND"


class Purged(NamedTuple):
    """What a purge deleted, and its record."""

    tags: int
    record: UUID


class LifeCycle:
    """Deletes tags.

    Every call raises AbortedError, ResourceExhaustedError or UnavailableError when the database
    says so; it may be sent again and goes on where it was.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def purge(self, scope: Scope, *, requested_by: str, reason: str) -> Purged:
        """Delete everything stored of an attacker, or of an identity with its members.

        What waits in the outbox stays: it tells of what was stored.

        Args:
            scope: An attacker by uuid, or an identity.
            requested_by: Who asks, for the record.
            reason: Why, for the record.

        Raises:
            InvalidArgumentError: The scope is another one.
            UnknownScopeError: There is no such attacker or identity.
        """
        if scope.kind not in {ScopeKind.ATTACKER, ScopeKind.IDENTITY}:
            raise InvalidArgumentError(
                f"scope is a {scope.kind}; purge an attacker or an identity", field="scope"
            )
        attackers, identities = await self._members(scope)
        if not attackers and not identities:
            raise UnknownScopeError(
                f"no such {scope.kind} is known; nothing was deleted", uuid=scope.key
            )
        (record,) = (
            await self._database.fetch(_RECORD, scope.kind, scope.key, requested_by, reason)
        )[0]
        deleted = 0
        for attacker in attackers:
            deleted += await self._delete_all(_TAGS_OF_ATTACKER, attacker)
            await self._delete_sessions(attacker)
        for identity in identities:
            deleted += await self._delete_all(_TAGS_OF_IDENTITY, identity)
        async with self._database.connection() as connection, connection.transaction():
            await hold_to_change(connection, attackers)
            await scope_fold.hold(connection)
            for statement in _FORGET:
                await connection.execute(statement, attackers)
            await connection.execute(_FORGET_IDENTITIES, identities)
            await scope_fold.fold_own(connection)
            await connection.execute(_RECORD_COUNT, record, deleted)
        await settle_anchors(self._database)
        await fold_all(self._database)
        await settle(self._database)
        _log.info("purged", extra={"purge": str(record), "scope": scope.kind, "tags": deleted})
        return Purged(deleted, record)

    async def _members(self, scope: Scope) -> tuple[Sequence[UUID], Sequence[UUID]]:
        if scope.kind is ScopeKind.ATTACKER:
            return [row[0] for row in await self._database.fetch(_ATTACKER, scope.key)], []
        tree = [row[0] for row in await self._database.fetch(_IDENTITY_TREE, scope.key)]
        return [row[0] for row in await self._database.fetch(_MEMBERS, tree)], tree

    async def _delete_all(self, sql: str, anchor: UUID) -> int:
        """Delete the tags of an anchor, and again whatever came in meanwhile."""
        deleted, past = 0, -1
        while True:
            rows = await self._database.fetch(sql, anchor, past, BATCH_TAGS)
            if not rows and past == -1:
                return deleted
            if rows:
                deleted += await self._delete([row["uuid"] for row in rows])
            # Onwards, so that the places of those that went are not passed over again.
            past = rows[-1]["seq"] if rows else -1

    async def _delete_sessions(self, attacker: UUID) -> None:
        while (await self._database.fetch(_SESSIONS_OF_ATTACKER, attacker, BATCH_TAGS))[0][0]:
            continue

    async def _delete(self, uuids: Sequence[UUID]) -> int:
        async with self._database.connection() as connection, connection.transaction():
            return await delete_tags(connection, uuids)

    async def vacuum(
        self,
        before: int,
        *,
        source_kind: str = "",
        dry_run: bool = False,
        requested_by: str = "",
        reason: str = "",
    ) -> Deleted:
        """Delete what was stored before a time, oldest first: tags, then sessions and facts.

        Args:
            before: The time, in ticks.
            source_kind: Kind of event; empty for all. Only tags have one, and only they go then.
            dry_run: Whether to count only.
            requested_by: Who asks, for the record.
            reason: Why, for the record.

        Returns:
            How much was deleted, or would be.
        """
        tags = sessions = facts = 0
        try:
            if dry_run:
                tags = (await self._database.fetch(_COUNT_OLD, before, source_kind))[0][0]
            else:
                tags = await self._vacuum_tags(before, source_kind)
            if not source_kind:
                sessions = await delete_sessions(self._database, before, dry_run=dry_run)
                facts = await delete_facts(self._database, before, dry_run=dry_run)
        finally:
            deleted = Deleted(tags, sessions, facts)
            if any(deleted) and not dry_run:
                await self._database.fetch(_RECORD_AGE, requested_by, reason, *deleted)
                _log.info("vacuumed", extra=deleted._asdict())
        return deleted

    async def _vacuum_tags(self, before: int, source_kind: str) -> int:
        deleted = past = 0
        while rows := await self._database.fetch(_NEXT_OLD, before, source_kind, past, BATCH_TAGS):
            past = rows[-1]["seq"]
            uuids = [row["uuid"] for row in rows if row["old"] and row["wanted"]]
            if uuids:
                deleted += await self._delete(uuids)
            if not any(row["old"] for row in rows):
                # Tags are numbered in the order of storage, but for batches at one time.
                break
        await settle_anchors(self._database)
        await fold_all(self._database)
        await settle(self._database)
        return deleted
