# SPDX-License-Identifier: AGPL-3.0-or-later
"""Bringing the schema up to date before the first query."""

from __future__ import annotations

import logging

import asyncpg

from decnet_ttp.runtime.database import asyncpg_dsn

#: The newest migration in the package.
HEAD = "0012"

_log = logging.getLogger(__name__)


async def schema_version(database_url: str, *, schema: str) -> str:
    """Return the migration a database stands at, empty when it has no schema yet.

    Raises:
        OSError: The server is away.
        asyncpg.PostgresError: The server refuses.
    """
    connection = await asyncpg.connect(asyncpg_dsn(database_url), timeout=10.0)
    try:
        if not await connection.fetchval("SELECT to_regclass($1)", f"{schema}.alembic_version"):
            return ""
        version = await connection.fetchval(f'SELECT version_num FROM "{schema}".alembic_version')  # noqa: S608 - the schema is a constant of ours
        return str(version or "")
    finally:
        await connection.close()


async def migrate(database_url: str, *, schema: str) -> None:
    """Run the migrations that a database lacks, one process at a time.

    A database ahead of this program is left alone: during a rolling upgrade the new release
    migrates first, and a schema serves the release before its own.

    Raises:
        OSError: The server is away.
        asyncpg.PostgresError: The server refuses.
    """
    version = await schema_version(database_url, schema=schema)
    if version == HEAD:
        return
    if version > HEAD:
        _log.warning("the schema is newer than this program", extra={"version": version})
        return
    # Alembic and what it draws in cost some 25 MB that a running service has no use for.
    from decnet_ttp.tag_store.migrations.runner import upgrade  # noqa: PLC0415 - see above

    await upgrade(database_url, schema=schema, revision=HEAD)
    _log.info("schema migrated", extra={"was": version or "empty", "version": HEAD})
