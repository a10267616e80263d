# SPDX-License-Identifier: AGPL-3.0-or-later
"""The tag-store on real servers, within the test's own process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest_asyncio

from decnet_ttp.runtime.clients import open_channel
from decnet_ttp.runtime.config import Settings
from decnet_ttp.tag_store.app import TagStore, open_store
from decnet_ttp.tag_store.database import Database
from tag_store.samples import StoreClient


@pytest_asyncio.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """A migrated database."""
    opened = Database(database_url)
    await opened.open()
    yield opened
    await opened.close()


@pytest_asyncio.fixture
async def store_settings(database_url: str, nats_url: str, tmp_path: Path) -> Settings:
    """Settings of a store on fresh servers."""
    return Settings(
        database_url=database_url,
        nats_url=nats_url,
        listen=f"unix:{tmp_path}/store.sock",
        attack_cache_dir=tmp_path / "no-cache",
        grace_s=5.0,
    )


@pytest_asyncio.fixture
async def store(store_settings: Settings) -> AsyncIterator[TagStore]:
    """A store that serves."""
    async with open_store(store_settings) as opened:
        serving = asyncio.ensure_future(opened.serve())
        await opened.database.wait_opened()
        yield opened
        opened.server.request_stop()
        await serving


@pytest_asyncio.fixture
async def client(store: TagStore, store_settings: Settings) -> AsyncIterator[StoreClient]:
    """Stubs of the store's services."""
    channel: grpc.aio.Channel
    async with open_channel(store_settings.listen, store_settings) as channel:
        yield StoreClient(channel)
