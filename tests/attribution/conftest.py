# SPDX-License-Identifier: AGPL-3.0-or-later
"""The parts of attribution over a real database."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from decnet_ttp.attribution.database import Database
from decnet_ttp.attribution.primitives import Registry
from decnet_ttp.attribution.store import Store


@pytest_asyncio.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """A migrated database."""
    opened = Database(database_url)
    await opened.open()
    yield opened
    await opened.close()


@pytest_asyncio.fixture
async def store(database: Database) -> Store:
    """The writing side; every primitive is categorical."""
    return Store(database, Registry())
