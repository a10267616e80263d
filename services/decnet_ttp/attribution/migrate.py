# SPDX-License-Identifier: AGPL-3.0-or-later
"""The schema `attribution`, brought up to date before the first query."""

from __future__ import annotations

import asyncpg

from decnet_ttp.runtime.database import asyncpg_dsn

SCHEMA = "attribution"
#: The newest migration in the package.
HEAD = "0003"


async def schema_version(database_url: str) -> str:
    """Return the migration a database stands at, empty when it has no schema yet.

    Raises:
        OSError: The server is away.
        asyncpg.PostgresError: The server refuses.
    """
    connection = await asyncpg.connect(asyncpg_dsn(database_url), timeout=10.0)
    try:
        if not await connection.fetchval("SELECT to_regclass($1)", f"{SCHEMA}.alembic_version"):
            return ""
        version = await connection.fetchval("SELECT version_num FROM attribution.alembic_version")
        return str(version or "")
    finally:
        await connection.close()


async def migrate(database_url: str) -> None:
    """Run the migrations that a database lacks; one that is ahead of us is left alone.

    Raises:
        OSError: The server is away.
        asyncpg.PostgresError: The server refuses.
    """
    if await schema_version(database_url) >= HEAD:
        return
    # Alembic costs memory that a running service has no use for.
    from decnet_ttp.attribution.migrations.runner import upgrade  # noqa: PLC0415 - see above

    await upgrade(database_url, schema=SCHEMA, revision=HEAD)
