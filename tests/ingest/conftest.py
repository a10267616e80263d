# SPDX-License-Identifier: AGPL-3.0-or-later
"""A running consumer with real NATS and gRPC neighbours."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest_asyncio

from decnet_ttp.runtime.bus import Bus, connect_bus
from decnet_ttp.runtime.config import Settings
from decnet_ttp.runtime.streams import ensure_streams
from ingest.backends import Store, Tagger, serving
from ingest.rig import Rig


@pytest_asyncio.fixture
async def rig(nats_url: str, tmp_path: Path) -> AsyncIterator[Rig]:
    """Real NATS, a real gRPC tagger and store."""
    tagger, store = Tagger(), Store()
    async with AsyncExitStack() as stack:
        tagger_target = await stack.enter_async_context(serving(tmp_path / "t.sock", tagger))
        store_target = await stack.enter_async_context(serving(tmp_path / "s.sock", store))
        settings = Settings(nats_url=nats_url, tag_store=store_target, taggers=(tagger_target,))
        bus = await connect_bus(settings, name="test")
        stack.push_async_callback(bus.close)
        # A disk that is slow for a while is no failure of a test.
        patient = Bus(bus.nc, bus.nc.jetstream(timeout=60.0))
        await ensure_streams(patient.js)
        yield Rig(patient, settings, tagger, store)
