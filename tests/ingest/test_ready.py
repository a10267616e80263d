# SPDX-License-Identifier: AGPL-3.0-or-later
"""When ingest says that it can do its work."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from decnet_ttp.ingest.app import run
from decnet_ttp.ingest.feed import Feed
from ingest.rig import Rig

SERVING = health_pb2.HealthCheckResponse.SERVING


async def test_ingest_is_ready_only_when_its_consumers_stand(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before, nobody could be told how far it is."""
    asked, allowed = asyncio.Event(), asyncio.Event()
    really_open = Feed.open

    async def held_up(feed: Feed) -> None:
        asked.set()
        await allowed.wait()
        await really_open(feed)

    monkeypatch.setattr(Feed, "open", held_up)
    listen = f"unix:{tmp_path}/i.sock"
    running = asyncio.create_task(run(replace(rig.settings, listen=listen)))
    options = [("grpc.default_authority", "localhost")]
    try:
        async with asyncio.timeout(120), grpc.aio.insecure_channel(listen, options=options) as to:
            health = health_pb2_grpc.HealthStub(to)

            async def status() -> int:
                request = health_pb2.HealthCheckRequest()
                return int((await health.Check(request, wait_for_ready=True)).status)

            await asked.wait()
            for _ in range(20):
                assert await status() != SERVING
                await asyncio.sleep(0.02)
            allowed.set()
            while await status() != SERVING:
                await asyncio.sleep(0.02)
            await rig.bus.js.consumer_info("DECNET_EVENTS", "decnet-ttp-ingest")
    finally:
        running.cancel()
        await asyncio.wait((running,))
