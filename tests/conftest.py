# SPDX-License-Identifier: AGPL-3.0-or-later
"""Real servers for every test that needs one: PostgreSQL and NATS from their wheels."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import asyncpg
import hypothesis
import pytest
import pytest_asyncio

from decnet_ttp.embedded.nats import NatsServer
from decnet_ttp.embedded.postgres import PostgresServer

# Fixed examples: what fails once fails again. Machines that run tests are slow at times.
hypothesis.settings.register_profile(
    "decnet",
    derandomize=True,
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("decnet")

ROOT = Path(__file__).resolve().parent.parent


def _shared_dir() -> Path:
    return Path(os.environ.get("DECNET_TTP_SHARED", ROOT.parent / "shared"))


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """The folder of real inputs beside the repository; the test skips where there is none."""
    folder = _shared_dir()
    if not (folder / "data").is_dir():
        pytest.skip("no shared data beside the repository")
    return folder


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def postgres(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[PostgresServer]:
    """One PostgreSQL for the whole run, without the flushes that only a crash would need."""
    server = PostgresServer(
        tmp_path_factory.mktemp("postgres") / "data",
        settings={"fsync": "off", "synchronous_commit": "off"},
    )
    await server.start()
    yield server
    await server.stop()


@pytest_asyncio.fixture
async def database_url(postgres: PostgresServer) -> AsyncIterator[str]:
    """URL of a fresh database, dropped afterwards."""
    name = f"test_{uuid4().hex}"
    admin = await asyncpg.connect(postgres.url_of("postgres"))
    try:
        await admin.execute(f'CREATE DATABASE "{name}"')
        yield postgres.url_of(name)
        # FORCE waits 5 s for what it ends, which a slow machine may need more than.
        await admin.execute(
            "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE datname = $1", name
        )
        await admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    finally:
        await admin.close()


@pytest_asyncio.fixture
async def nats_url(tmp_path: Path) -> AsyncIterator[str]:
    """URL of a fresh NATS with JetStream; it starts in milliseconds, so each test has its own."""
    server = NatsServer(tmp_path / "nats")
    await server.start()
    yield server.url
    await server.stop()
