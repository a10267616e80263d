# SPDX-License-Identifier: AGPL-3.0-or-later
"""Migrations: forward, back, at once, and from a newer release."""

from __future__ import annotations

import asyncio

import asyncpg
from alembic.script import ScriptDirectory

from decnet_ttp.tag_store.database import SCHEMA
from decnet_ttp.tag_store.migrate import HEAD, migrate, schema_version
from decnet_ttp.tag_store.migrations.runner import alembic_config, downgrade

_TABLES = "SELECT count(*) FROM pg_tables WHERE schemaname = 'tags'"


def test_head_is_the_newest_migration_in_the_package() -> None:
    assert ScriptDirectory.from_config(alembic_config(SCHEMA)).get_heads() == [HEAD]


async def test_migrations_go_forward_and_back(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    assert await schema_version(database_url, schema=SCHEMA) == ""
    await migrate(database_url, schema=SCHEMA)
    assert await schema_version(database_url, schema=SCHEMA) == HEAD
    assert await connection.fetchval(_TABLES) == 15
    await downgrade(database_url, schema=SCHEMA, revision="base")
    assert await connection.fetchval(_TABLES) == 1
    await migrate(database_url, schema=SCHEMA)
    assert await connection.fetchval(_TABLES) == 15
    await connection.close()


async def test_processes_that_start_at_once_migrate_once(database_url: str) -> None:
    await asyncio.gather(*(migrate(database_url, schema=SCHEMA) for _ in range(4)))
    assert await schema_version(database_url, schema=SCHEMA) == HEAD


async def test_schema_of_a_newer_release_is_left_alone(database_url: str) -> None:
    await migrate(database_url, schema=SCHEMA)
    connection = await asyncpg.connect(database_url)
    await connection.execute("UPDATE tags.alembic_version SET version_num = '9999'")
    await migrate(database_url, schema=SCHEMA)
    assert await schema_version(database_url, schema=SCHEMA) == "9999"
    await connection.close()
