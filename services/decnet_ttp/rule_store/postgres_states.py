# SPDX-License-Identifier: AGPL-3.0-or-later
"""States of rules in PostgreSQL, schema `rules`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Final

import asyncpg

from decnet_ttp.rule_store.state_store import StateChange, StateStoreAwayError
from decnet_ttp.v1 import rule_pb2

SCHEMA: Final = "rules"

#: Key of the advisory lock that lets one process migrate at a time.
_MIGRATION_LOCK: Final = 0x64_74_72_75

#: Statements that lead from each version of the schema to the next. Never edit one that was
#: released; append another.
_MIGRATIONS: Final = (
    """
    CREATE TABLE rule_state (
        rule_id text PRIMARY KEY,
        mode text NOT NULL CHECK (mode IN ('ENABLED', 'DISABLED', 'CLIPPED')),
        confidence_max double precision NOT NULL,
        expire_time timestamptz,
        reason text NOT NULL,
        set_by text NOT NULL,
        set_time timestamptz NOT NULL
    );
    CREATE INDEX rule_state_expiry ON rule_state (expire_time) WHERE expire_time IS NOT NULL;
    CREATE TABLE rule_state_change (
        change_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        rule_id text NOT NULL,
        mode text NOT NULL,
        confidence_max double precision NOT NULL,
        expire_time timestamptz,
        reason text NOT NULL,
        set_by text NOT NULL,
        change_time timestamptz NOT NULL,
        expired boolean NOT NULL
    );
    CREATE INDEX rule_state_change_rule ON rule_state_change (rule_id, change_id DESC);
    """,
)

_PREFIX: Final = "RULE_MODE_"

_NOTE: Final = """
    INSERT INTO rule_state_change
        (rule_id, mode, confidence_max, expire_time, reason, set_by, change_time, expired)
    VALUES ($1, $2, $3, $4, $5, $6, $7, false)
"""


async def migrate(pool: asyncpg.Pool[Any]) -> None:
    """Bring the schema to the version this program knows; safe to run in several processes."""
    async with _reachable(pool) as connection, connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _MIGRATION_LOCK)
        await connection.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
        await connection.execute(
            "CREATE TABLE IF NOT EXISTS schema_version (version integer NOT NULL)"
        )
        version = await connection.fetchval("SELECT version FROM schema_version")
        if version is None:
            version = 0
            await connection.execute("INSERT INTO schema_version VALUES (0)")
        for statements in _MIGRATIONS[version:]:
            await connection.execute(statements)
        if version < len(_MIGRATIONS):
            await connection.execute("UPDATE schema_version SET version = $1", len(_MIGRATIONS))


@asynccontextmanager
async def _reachable(pool: asyncpg.Pool[Any]) -> AsyncIterator[Any]:
    """Lend a connection; whatever goes wrong with it becomes one error of ours."""
    try:
        async with pool.acquire() as connection:
            yield connection
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        # The driver's own words may quote values and never leave.
        raise StateStoreAwayError(
            "the database that holds rule states does not answer; try again",
            cause=type(error).__name__,
        ) from error


def _state(row: Any, set_time: datetime) -> rule_pb2.RuleState:
    state = rule_pb2.RuleState(
        mode=_PREFIX + row["mode"],
        confidence_max=row["confidence_max"],
        reason=row["reason"],
        set_by=row["set_by"],
    )
    state.set_time.FromDatetime(set_time)
    if row["expire_time"] is not None:
        state.expire_time.FromDatetime(row["expire_time"])
    return state


def _columns(rule_id: str, state: rule_pb2.RuleState) -> tuple[Any, ...]:
    expire = state.expire_time.ToDatetime(UTC) if state.HasField("expire_time") else None
    return (
        rule_id,
        rule_pb2.RuleMode.Name(state.mode).removeprefix(_PREFIX),
        state.confidence_max,
        expire,
        state.reason,
        state.set_by,
        state.set_time.ToDatetime(UTC),
    )


class PostgresStates:
    """The StateStore over a pool whose connections see the schema `rules`."""

    def __init__(self, pool: asyncpg.Pool[Any]) -> None:
        self._pool = pool

    async def load(self) -> Mapping[str, rule_pb2.RuleState]:
        """See `StateStore.load`."""
        async with _reachable(self._pool) as connection:
            rows = await connection.fetch("SELECT * FROM rule_state")
        return {row["rule_id"]: _state(row, row["set_time"]) for row in rows}

    async def put(self, rule_id: str, state: rule_pb2.RuleState) -> None:
        """See `StateStore.put`."""
        columns = _columns(rule_id, state)
        async with _reachable(self._pool) as connection, connection.transaction():
            await connection.execute(
                """
                INSERT INTO rule_state
                    (rule_id, mode, confidence_max, expire_time, reason, set_by, set_time)
                VALUES ($1, $2, $3, $4, $5, $6, $7)
                ON CONFLICT (rule_id) DO UPDATE SET
                    mode = excluded.mode, confidence_max = excluded.confidence_max,
                    expire_time = excluded.expire_time, reason = excluded.reason,
                    set_by = excluded.set_by, set_time = excluded.set_time
                """,
                *columns,
            )
            await connection.execute(_NOTE, *columns)

    async def clear(self, rule_id: str, *, set_by: str, reason: str, now: datetime) -> None:
        """See `StateStore.clear`."""
        async with _reachable(self._pool) as connection, connection.transaction():
            await connection.execute("DELETE FROM rule_state WHERE rule_id = $1", rule_id)
            await connection.execute(_NOTE, rule_id, "ENABLED", 0.0, None, reason, set_by, now)

    async def expire(self, now: datetime) -> Sequence[str]:
        """See `StateStore.expire`."""
        async with _reachable(self._pool) as connection:
            # Noted at the moment it was due, which may lie in a time when no process ran.
            rows = await connection.fetch(
                """
                WITH over AS (
                    DELETE FROM rule_state WHERE expire_time <= $1 RETURNING rule_id, expire_time
                ), noted AS (
                    INSERT INTO rule_state_change
                        (rule_id, mode, confidence_max, reason, set_by, change_time, expired)
                    SELECT rule_id, 'ENABLED', 0, '', '', expire_time, true FROM over
                    ORDER BY expire_time
                )
                SELECT rule_id FROM over ORDER BY rule_id
                """,
                now,
            )
        return [row["rule_id"] for row in rows]

    async def next_expiry(self) -> datetime | None:
        """See `StateStore.next_expiry`."""
        async with _reachable(self._pool) as connection:
            found: datetime | None = await connection.fetchval(
                "SELECT min(expire_time) FROM rule_state"
            )
        return found

    async def list_changes(
        self, rule_id: str, *, before: int | None, limit: int
    ) -> Sequence[StateChange]:
        """See `StateStore.list_changes`."""
        async with _reachable(self._pool) as connection:
            rows = await connection.fetch(
                """
                SELECT * FROM rule_state_change
                WHERE ($1 = '' OR rule_id = $1) AND ($2::bigint IS NULL OR change_id < $2)
                ORDER BY change_id DESC LIMIT $3
                """,
                rule_id,
                before,
                limit,
            )
        return [
            StateChange(
                number=row["change_id"],
                rule_id=row["rule_id"],
                state=_state(row, row["change_time"]),
                time=row["change_time"],
                expired=row["expired"],
            )
            for row in rows
        ]
