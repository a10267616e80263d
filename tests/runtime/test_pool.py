# SPDX-License-Identifier: AGPL-3.0-or-later
"""A pool that waits for its server, and what it makes of the server's errors."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

from decnet_ttp.core.errors import (
    AbortedError,
    DecnetError,
    ResourceExhaustedError,
    UnavailableError,
)
from decnet_ttp.embedded.postgres import PostgresServer
from decnet_ttp.runtime.pool import Pool, driver_errors
from runtime.served import until


async def reach(database_url: str) -> None:
    """Migrate nothing, but ask the server."""
    connection = await asyncpg.connect(database_url)
    await connection.close()


def make(database_url: str) -> Pool:
    return Pool(
        database_url,
        schema="public",
        application_name="test",
        migrate=partial(reach, database_url),
        max_connections=2,
    )


@pytest_asyncio.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    """An open pool."""
    opened = make(database_url)
    await opened.open()
    yield opened
    await opened.close()


async def fail(pool: Pool, sqlstate: str) -> None:
    """Let the server report an error."""
    async with pool.connection() as connection:
        await connection.execute(f"DO $$ BEGIN RAISE SQLSTATE '{sqlstate}'; END $$")


@pytest.mark.parametrize(
    ("sqlstate", "expected"),
    [
        ("40001", AbortedError),
        ("40P01", AbortedError),
        ("53100", ResourceExhaustedError),
        ("53200", ResourceExhaustedError),
        ("53300", UnavailableError),
        ("57P01", UnavailableError),
        ("25006", UnavailableError),
    ],
)
async def test_errors_that_callers_act_on_are_ours(
    pool: Pool, sqlstate: str, expected: type[DecnetError]
) -> None:
    with pytest.raises(expected) as raised:
        await fail(pool, sqlstate)
    assert sqlstate not in str(raised.value)
    await until(pool.ready)


async def test_other_errors_stay_what_they_are(pool: Pool) -> None:
    with pytest.raises(asyncpg.DivisionByZeroError):
        await pool.fetch("SELECT 1 / 0")
    with pytest.raises(asyncpg.DataError):
        await pool.fetch("SELECT $1::int", "seven")


async def test_a_session_that_is_ended_midway_is_a_server_that_is_away(pool: Pool) -> None:
    with pytest.raises(UnavailableError):
        async with pool.connection() as connection, connection.transaction():
            await connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")
    assert await pool.fetch("SELECT 1") == [(1,)]


def test_a_driver_that_cannot_roll_back_has_lost_its_server() -> None:
    with pytest.raises(UnavailableError), driver_errors():
        raise asyncpg.InternalClientError("unexpected transaction state")


async def test_before_it_is_open_callers_are_told_to_come_again(database_url: str) -> None:
    closed = make(database_url)
    assert not await closed.ready()
    with pytest.raises(UnavailableError):
        await closed.fetch("SELECT 1")


async def test_it_opens_once_the_server_answers(tmp_path: Path) -> None:
    server = PostgresServer(tmp_path / "postgres")
    url = await server.start()
    await server.stop()
    pool, stop = make(url), asyncio.Event()
    opening = asyncio.create_task(pool.keep_open(stop))
    try:
        await server.start()
        await asyncio.wait_for(pool.wait_opened(), 120.0)
        await until(pool.ready)
    finally:
        stop.set()
        await asyncio.wait_for(opening, 60.0)
        await pool.close()
        await server.stop()


async def test_waiting_for_a_server_ends_when_asked(tmp_path: Path) -> None:
    stop = asyncio.Event()
    waiting = asyncio.create_task(
        make(f"postgresql://nobody@/none?host={tmp_path}").open_once_it_answers(stop)
    )
    done, _ = await asyncio.wait((waiting,), timeout=0.3)
    assert not done
    stop.set()
    await asyncio.wait_for(waiting, 60.0)
