# SPDX-License-Identifier: AGPL-3.0-or-later
"""The lag tells how much waits, and since when."""

from __future__ import annotations

from decnet_ttp.ingest.lag import read_lag
from decnet_ttp.runtime.streams import EVENTS_STREAM
from ingest.backends import until
from ingest.rig import Rig


async def test_lag_tells_the_age_of_what_waits(rig: Rig) -> None:
    async with rig.ingest():
        await until(rig.settled)
    assert (await read_lag(rig.bus, "test")).oldest is None
    await rig.publish("s1", "id")

    lag = await read_lag(rig.bus, "test")
    assert (lag.pending, lag.unacknowledged, lag.parked) == (1, 0, 0)
    message = await rig.bus.js.get_msg(EVENTS_STREAM, 1)
    assert lag.oldest == message.time
    assert message.time is not None
    assert lag.age_s(message.time) == 0.0


async def test_what_was_acknowledged_is_never_said_to_be_done_before_it_is(rig: Rig) -> None:
    """The server counts it as pending a moment later: some of these looks come in between."""
    async with rig.ingest():
        await until(rig.settled)
    for number in range(1_500):
        await rig.publish(f"s{number}", "id")
        assert (await read_lag(rig.bus, "test")).pending
        await rig.bus.js.purge_stream(EVENTS_STREAM)


async def test_messages_of_others_do_not_wait_for_ingest(rig: Rig) -> None:
    async with rig.ingest():
        await rig.publish("s1", "id")
        await rig.send("attacker.scored", "other", {})
        await until(rig.settled)
    lag = await read_lag(rig.bus, "test")
    assert (lag.pending, lag.unacknowledged, lag.oldest) == (0, 0, None)
