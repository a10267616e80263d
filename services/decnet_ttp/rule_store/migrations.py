# SPDX-License-Identifier: AGPL-3.0-or-later
"""The schema `rules` of the database and how it came about."""

from __future__ import annotations

from typing import Any, Final

import asyncpg

from decnet_ttp.runtime.database import asyncpg_dsn

SCHEMA: Final = "rules"

#: Channel on which the database tells that something changed.
CHANNEL: Final = "decnet_ttp_rules"

#: Key of the advisory lock that lets one process migrate at a time ("dtru" in ASCII).
_MIGRATION_LOCK: Final = 0x64_74_72_75

#: Statements that lead from each version of the schema to the next. Never edit one that was
#: released; append another.
MIGRATIONS: Final = (
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
    # Both columns of a scope are empty for a state that holds for every event. Every writer
    # raises a counter of the one row of `generation`, whose lock makes the order of the numbers
    # that of the commits: a reader that saw a number misses nothing below it. A definition that
    # is NULL is that of a rule which is gone.
    """
    ALTER TABLE rule_state
        ADD scope_kind text NOT NULL DEFAULT '', ADD scope_value text NOT NULL DEFAULT '',
        DROP CONSTRAINT rule_state_pkey, ADD PRIMARY KEY (rule_id, scope_kind, scope_value);
    ALTER TABLE rule_state_change
        ADD scope_kind text NOT NULL DEFAULT '', ADD scope_value text NOT NULL DEFAULT '';
    CREATE TABLE generation (
        singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
        life uuid NOT NULL,
        definitions bigint NOT NULL DEFAULT 0,
        states bigint NOT NULL DEFAULT 0,
        problems bytea NOT NULL DEFAULT '[]'
    );
    INSERT INTO generation (life) VALUES (gen_random_uuid());
    CREATE TABLE rule_definition (
        rule_id text PRIMARY KEY,
        definition bytea,
        generation bigint NOT NULL
    );
    CREATE INDEX rule_definition_generation ON rule_definition (generation);
    CREATE TABLE rule_announced (rule_id text PRIMARY KEY, digest text NOT NULL);
    CREATE TABLE outbox (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        message_id uuid NOT NULL,
        subject text NOT NULL,
        body bytea NOT NULL,
        first_attempt_at timestamptz
    );
    """,
)


async def migrate(connection: Any) -> None:
    """Bring the schema to the version this program knows; safe to run in several processes.

    A database ahead of this program is left alone.

    Raises:
        OSError: The server is away.
        asyncpg.PostgresError: The server refuses.
    """
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _MIGRATION_LOCK)
        await connection.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
        await connection.execute(
            "CREATE TABLE IF NOT EXISTS schema_version (version integer NOT NULL)"
        )
        version = await connection.fetchval("SELECT version FROM schema_version")
        if version is None:
            version = 0
            await connection.execute("INSERT INTO schema_version VALUES (0)")
        for statements in MIGRATIONS[version:]:
            await connection.execute(statements)
        if version < len(MIGRATIONS):
            await connection.execute("UPDATE schema_version SET version = $1", len(MIGRATIONS))


async def connect(database_url: str, *, name: str, command_timeout_s: float) -> Any:
    """Return a connection of its own that sees the schema.

    Args:
        database_url: As in the settings.
        name: Name shown in pg_stat_activity.
        command_timeout_s: After how long a silent server counts as away, in seconds.

    Raises:
        OSError, TimeoutError: The server is away.
        asyncpg.PostgresError: The server refuses.
    """
    return await asyncpg.connect(
        asyncpg_dsn(database_url),
        timeout=5.0,
        command_timeout=command_timeout_s,
        server_settings={"search_path": SCHEMA, "application_name": name},
    )
