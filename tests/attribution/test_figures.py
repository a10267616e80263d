# SPDX-License-Identifier: AGPL-3.0-or-later
"""What attribution tells of itself: on its metrics page, and in its heart-beats."""

from __future__ import annotations

from pathlib import Path

import pytest

from attribution.observing import START_S, message
from decnet_ttp.attribution.app import run
from decnet_ttp.runtime.bus import connect_bus
from decnet_ttp.runtime.config import Settings
from decnet_ttp.runtime.streams import ensure_streams
from runtime.pages import read_page
from runtime.seen import MARK, beat_with, logged, running

#: No registry knows it, so it may have any value.
UNKNOWN = "test.unknown"


async def test_observations_are_counted_and_a_request_stops_the_service(
    nats_url: str, database_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    settings = Settings(
        nats_url=nats_url,
        database_url=database_url,
        listen=f"unix:{tmp_path}/a.sock",
        metrics_listen="127.0.0.1:0",
        heartbeat_s=0.1,
        grace_s=5.0,
    )
    bus = await connect_bus(settings, name="sensor")
    try:
        await ensure_streams(bus.js)
        async with running(bus.nc, "attribution", run(settings), caplog) as address:
            good = [
                message(
                    MARK,
                    primitive=UNKNOWN,
                    evidence=f"shard:{MARK}#{place}",
                    at_s=START_S + place,
                )
                for place in range(12)
            ]
            bad = message(MARK, primitive=UNKNOWN, evidence=f"shard:{MARK}#bad", confidence=7.0)
            # The last one is told apart from all before it, so that nothing is left once it counts.
            for item in (*good, good[0], bad):
                await bus.js.publish(item.topic, item.encode())
            await beat_with(bus.nc, "attribution", "refused", 1)
            beat = await beat_with(bus.nc, "attribution", "pending", 0)
            page = await read_page(address)
    finally:
        await bus.close()
    assert page["decnet_ttp_observations_accepted_total"] == {(): 12}
    assert sum(page["decnet_ttp_observations_refused_total"].values()) == 1
    assert page["decnet_ttp_observations_parked_total"] == {(): 0}
    assert page["decnet_ttp_state_transitions_total"][()] >= 1
    assert page["decnet_ttp_parked_messages"] == {(): 0}
    assert page["decnet_ttp_lag_messages"] == {(): 0}
    assert "decnet_ttp_outbox_messages" in page
    assert (beat["observations"], beat["parked"], beat["ready"]) == (12, 0, True)
    assert 0 < beat["last_event_ts"] <= beat["ts"]
    assert MARK not in f"{page}{beat}{logged(caplog)}"
