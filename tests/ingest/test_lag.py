# SPDX-License-Identifier: AGPL-3.0-or-later
"""The lag tells how much waits, and since when."""

from __future__ import annotations

from decnet_ttp.ingest.lag import read_lag
from ingest.backends import until
from ingest.rig import Rig


async def test_lag_tells_the_age_of_what_waits(rig: Rig) -> None:
    async with rig.ingest():
        await until(rig.settled)
    assert (await read_lag(rig.bus, "test")).oldest is None
    await rig.publish("s1", "id")

    async def behind() -> bool:
        # NATS counts what is pending a moment after it has acknowledged the publish.
        return (await read_lag(rig.bus, "test")).pending == 1

    await until(behind)
    lag = await read_lag(rig.bus, "test")
    assert (lag.unacknowledged, lag.parked) == (0, 0)
    message = await rig.bus.js.get_msg("DECNET_EVENTS", 1)
    assert lag.oldest == message.time
    assert message.time is not None
    assert lag.age_s(message.time) == 0.0
