# SPDX-License-Identifier: AGPL-3.0-or-later
"""Leaving a bus at the moment at which its server ends the connection."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from decnet_ttp.runtime.bus import Bus, connect_bus
from decnet_ttp.runtime.config import Settings


@pytest.mark.parametrize("end", [Bus.close, Bus.leave])
async def test_however_far_the_client_has_noticed_it_ends_in_good_order(
    nats_url: str, end: Any
) -> None:
    for steps in range(12):
        bus = await connect_bus(Settings(nats_url=nats_url), name="test")
        await bus.nc.subscribe(bus.nc.new_inbox())
        connection: Any = bus.nc._transport
        connection._io_writer.transport.abort()
        for _ in range(steps):
            await asyncio.sleep(0)
        await asyncio.wait_for(end(bus), 60)
        assert bus.nc.is_closed
