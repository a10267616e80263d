# SPDX-License-Identifier: AGPL-3.0-or-later
"""Indexes of large tables, built before the transaction that migrates, beside writers.

Within a transaction an index keeps writers off its table for as long as it is built. Built
concurrently it does not, but a build that is cut off leaves an index that is not valid: such a one
is dropped and begun anew. The migration makes what is not there, on an empty table at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import asyncpg

from decnet_ttp.runtime.database import asyncpg_dsn

#: Indexes by name, and what they are on, by the migration that makes them.
INDEXES: Mapping[str, Mapping[str, str]] = {
    "0007": {
        "tags_attacker_technique": "tags (attacker_uuid, technique_id, seq)",
        "tags_identity_technique": (
            "tags (identity_uuid, technique_id, seq) WHERE attacker_uuid IS NULL"
        ),
    }
}

#: Key of the lock that lets one process build at a time ("dttp" and "indx" in ASCII).
_LOCK_KEY = 0x64747470_696E6478
#: A build waits for every statement at work, so nobody may wait for the lock within one.
_POLL_S = 0.2

_VERSION = "SELECT version_num FROM alembic_version"
_VALID = """
    SELECT i.indisvalid FROM pg_index i WHERE i.indexrelid = to_regclass($1)
"""


async def build_indexes(database_url: str, *, schema: str, revision: str) -> None:
    """Build what the migrations up to a revision are going to need; what is there stays.

    Raises:
        OSError: The server is away.
        asyncpg.PostgresError: The server refuses.
    """
    connection = await asyncpg.connect(
        asyncpg_dsn(database_url), server_settings={"search_path": schema}, timeout=10.0
    )
    try:
        version = await _version(connection)
        if not version or not _needed(version, revision):
            return
        while not await connection.fetchval("SELECT pg_try_advisory_lock($1)", _LOCK_KEY):  # noqa: ASYNC110 - what is waited for is in the database
            await asyncio.sleep(_POLL_S)
        for name, on in _needed(await _version(connection), revision).items():
            valid = await connection.fetchval(_VALID, name)
            if valid is False:
                await connection.execute(f"DROP INDEX CONCURRENTLY {name}")
            if not valid:
                await connection.execute(f"CREATE INDEX CONCURRENTLY {name} ON {on}")
    finally:
        await connection.close()


async def _version(connection: Any) -> str:
    """Return the migration a database stands at, empty when it has no schema yet."""
    if not await connection.fetchval("SELECT to_regclass('alembic_version')"):
        return ""
    return str(await connection.fetchval(_VERSION) or "")


def _needed(version: str, revision: str) -> dict[str, str]:
    return {
        name: on
        for migration, indexes in INDEXES.items()
        if version < migration <= revision
        for name, on in indexes.items()
    }
