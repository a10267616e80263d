# SPDX-License-Identifier: AGPL-3.0-or-later
"""Migrations: forward, back, at once, and from a newer release."""

from __future__ import annotations

import asyncio
import contextlib
from functools import partial

import asyncpg
from alembic.script import ScriptDirectory

from decnet_ttp.tag_store.database import SCHEMA
from decnet_ttp.tag_store.migrate import HEAD, migrate, schema_version
from decnet_ttp.tag_store.migrations.runner import alembic_config, downgrade, upgrade
from tag_store.samples import until

_TABLES = "SELECT count(*) FROM pg_tables WHERE schemaname = 'tags'"


def test_head_is_the_newest_migration_in_the_package() -> None:
    assert ScriptDirectory.from_config(alembic_config(SCHEMA)).get_heads() == [HEAD]


async def test_migrations_go_forward_and_back(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    assert await schema_version(database_url, schema=SCHEMA) == ""
    await migrate(database_url, schema=SCHEMA)
    assert await schema_version(database_url, schema=SCHEMA) == HEAD
    assert await connection.fetchval(_TABLES) == 32
    await downgrade(database_url, schema=SCHEMA, revision="base")
    assert await connection.fetchval(_TABLES) == 1
    await migrate(database_url, schema=SCHEMA)
    assert await connection.fetchval(_TABLES) == 32
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


async def test_rows_of_the_release_before_survive_forward_and_back(database_url: str) -> None:
    """Merges written by hand get their roots; tags and members stay through every step."""
    await upgrade(database_url, schema=SCHEMA, revision="0001")
    connection = await asyncpg.connect(database_url, server_settings={"search_path": SCHEMA})
    await connection.execute(
        """
        INSERT INTO identities (uuid)
        SELECT lpad(n::text, 32, '0')::uuid FROM generate_series(1, 4) n;
        UPDATE identities i SET merged_into_uuid = lpad(m.winner::text, 32, '0')::uuid
        FROM (VALUES (1, 2), (2, 3)) AS m (loser, winner)
        WHERE i.uuid = lpad(m.loser::text, 32, '0')::uuid;
        INSERT INTO attackers (uuid, identity_uuid, first_seen, last_seen)
        SELECT lpad('a', 32, '0')::uuid, lpad('1', 32, '0')::uuid, now(), now();
        INSERT INTO tags VALUES (
            gen_random_uuid(), 1, lpad('a', 32, '0')::uuid, NULL, NULL, now(), 0.9, 1, 's', 'd',
            'command', 'c1', 'TA0002', 'T1059', NULL, 'R0010', 'enterprise-v17.1', ''
        )
        """
    )
    roots = "SELECT right(uuid::text, 1) || right(root_uuid::text, 1) FROM identities ORDER BY uuid"
    members = "SELECT count(*) FROM attackers JOIN tags ON attacker_uuid = attackers.uuid"
    for _ in range(2):
        await migrate(database_url, schema=SCHEMA)
        assert [row[0] for row in await connection.fetch(roots)] == ["13", "23", None, None]
        assert await connection.fetchval(members) == 1
        await downgrade(database_url, schema=SCHEMA, revision="0001")
        assert await connection.fetchval(members) == 1
        merged = "SELECT count(*) FROM identities WHERE merged_into_uuid IS NOT NULL"
        assert await connection.fetchval(merged) == 2
    await connection.close()


_TAG = """
    INSERT INTO tags VALUES (
        gen_random_uuid(), $1, lpad('a', 32, '0')::uuid, NULL, NULL, now(), 0.9, 1, 's', 'd',
        'command', 'c1', 'TA0002', 'T1059', NULL, 'R0010', 'enterprise-v17.1', ''
    )
"""
_INDEXES = """
    SELECT c.relname, i.indisvalid FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
    WHERE c.relname LIKE 'tags%technique' AND c.relname <> 'tags_technique' ORDER BY 1
"""


async def test_indexes_of_tags_are_built_beside_writers_and_anew_after_a_failure(
    database_url: str,
) -> None:
    await upgrade(database_url, schema=SCHEMA, revision="0006")
    options = {"search_path": SCHEMA, "lock_timeout": "5s"}
    writer = await asyncpg.connect(database_url, server_settings=options)
    slow = await asyncpg.connect(database_url, server_settings=options)
    for number in (1, 2):
        await writer.execute(_TAG, number)
    # What a build that was cut off leaves.
    with contextlib.suppress(asyncpg.UniqueViolationError):
        await writer.execute(
            "CREATE UNIQUE INDEX CONCURRENTLY tags_attacker_technique ON tags (attacker_uuid)"
        )
    assert [tuple(row) for row in await writer.fetch(_INDEXES)] == [
        ("tags_attacker_technique", False)
    ]
    transaction = slow.transaction()
    await transaction.start()
    await slow.execute(_TAG, 3)
    migrating = asyncio.ensure_future(migrate(database_url, schema=SCHEMA))
    waiting = "SELECT FROM pg_locks WHERE NOT granted AND locktype = 'virtualxid'"
    await until(partial(writer.fetch, waiting))
    await writer.execute(_TAG, 4)
    assert not migrating.done()
    await transaction.commit()
    await migrating
    assert [tuple(row) for row in await writer.fetch(_INDEXES)] == [
        ("tags_attacker_technique", True),
        ("tags_identity_technique", True),
    ]
    assert await writer.fetchval("SELECT count(*) FROM tags") == 4
    await writer.close()
    await slow.close()
