# SPDX-License-Identifier: AGPL-3.0-or-later
"""One URL for PostgreSQL, whoever reads it."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy
from sqlalchemy.ext.asyncio import create_async_engine

from decnet_ttp.runtime.config import SettingsError
from decnet_ttp.runtime.database import asyncpg_dsn, open_pool, sqlalchemy_url


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:p%40ss@db.example:5433/name",
        "postgresql+asyncpg://u:p%40ss@db.example:5433/name",
        "postgresql+psycopg2://u:p%40ss@db.example:5433/name",
    ],
)
def test_url_is_for_asyncpg_whatever_driver_it_named(url: str) -> None:
    found = sqlalchemy_url(url)
    assert found.drivername == "postgresql+asyncpg"
    assert (found.host, found.port, found.database) == ("db.example", 5433, "name")
    assert (found.username, found.password) == ("u", "p@ss")
    assert asyncpg_dsn(url) == "postgresql://u:p%40ss@db.example:5433/name"


def test_url_of_a_unix_socket_keeps_its_directory() -> None:
    url = "postgresql://u@/name?host=/run/a%20b"
    assert sqlalchemy_url(url).query == {"host": "/run/a b"}
    assert "host=" in asyncpg_dsn(url)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("", "DECNET_TTP_DATABASE_URL is not set"),
        ("hunter2", "DECNET_TTP_DATABASE_URL is no URL"),
        ("mysql://u:hunter2@h/d", "names mysql; use postgresql://"),
        ("postgresql://u:hunter2@h:port/d", "DECNET_TTP_DATABASE_URL is no URL"),
    ],
)
def test_url_that_cannot_be_used_is_refused_without_its_password(url: str, reason: str) -> None:
    with pytest.raises(SettingsError, match=reason) as caught:
        sqlalchemy_url(url)
    assert "hunter2" not in str(caught.value)


async def test_pool_and_engine_reach_the_same_database(database_url: str) -> None:
    name = sqlalchemy_url(database_url).database
    async with await open_pool(database_url, schema="x", application_name="test") as pool:
        assert await pool.fetchval("SELECT current_database()") == name
    engine = create_async_engine(sqlalchemy_url(database_url))
    async with engine.connect() as connection:
        found = await connection.execute(sqlalchemy.text("SELECT current_database()"))
        assert found.scalar_one() == name
    await engine.dispose()


async def test_every_connection_of_the_pool_sees_its_schema_alone(database_url: str) -> None:
    """Also after a connection was given back, which resets what a session has set."""
    made: list[Any] = []

    async def init(connection: Any) -> None:
        made.append(connection)

    async with await open_pool(
        database_url, schema="tags", application_name="tag-store", max_size=2, init=init
    ) as pool:
        await pool.execute("CREATE SCHEMA tags")
        await pool.execute("CREATE TABLE things (id int)")
        async with pool.acquire() as one, pool.acquire() as other:
            for connection in (one, other):
                assert await connection.fetchval("SHOW search_path") == "tags"
                assert await connection.fetchval("SELECT count(*) FROM things") == 0
            await one.execute("SET search_path TO public")
        for _ in range(2):
            assert await pool.fetchval("SHOW search_path") == "tags"
        assert await pool.fetchval("SELECT 'things'::regclass::oid = 'tags.things'::regclass::oid")
        assert await pool.fetchval("SHOW application_name") == "tag-store"
    assert len(made) == 2
