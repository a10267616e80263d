# SPDX-License-Identifier: AGPL-3.0-or-later
"""What ingest tells of itself: on its metrics page, and in its heart-beats."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from decnet_ttp.ingest.app import run
from decnet_ttp.runtime.heartbeat import health_subject, stop_request
from ingest.backends import until
from ingest.rig import SUBJECT, Rig
from runtime.pages import Page, read_page

#: Looks like what an attacker might type, and must be nowhere but in the tags.
MARK = "marked-secret-5f3a"


def handled(page: Page) -> float | None:
    return page.get("decnet_ttp_messages_handled_total", {}).get(())


def left(page: Page) -> float | None:
    return page.get("decnet_ttp_lag_messages", {}).get(())


async def test_batch_is_counted_on_page_and_in_beat_and_a_request_stops_ingest(
    rig: Rig, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    settings = replace(
        rig.settings,
        listen=f"unix:{tmp_path}/i.sock",
        metrics_listen="127.0.0.1:0",
        heartbeat_s=0.1,
    )
    beats = await rig.bus.nc.subscribe(health_subject("ingest"))
    began_s = time.time()
    await rig.bus.js.publish(SUBJECT, b"{half " + MARK.encode())
    await rig.publish("s1", "id", MARK)
    await rig.publish("s2", MARK)
    running = asyncio.create_task(run(settings))
    try:

        def page_address() -> str:
            found = [
                record.__dict__["address"]
                for record in caplog.records
                if record.message == "metrics page"
            ]
            return found[0] if found else ""

        await until(lambda: bool(page_address()) or running.done())
        # What is handled is told at once, that nothing is left when the bus has noted it.
        page = {}
        async with asyncio.timeout(60):
            while (handled(page), left(page)) != (3, 0):
                page = await read_page(page_address())
        assert page["decnet_ttp_dead_letters_total"] == {("UNDECODABLE",): 1}
        assert page["decnet_ttp_tags_inserted_total"] == {(): 3}
        assert page["decnet_ttp_messages_redelivered_total"] == {(): 0}
        assert page["decnet_ttp_lag_seconds"] == {(): 0}
        assert page["decnet_ttp_parked_messages"] == {(): 0}
        assert page["decnet_ttp_dead_letters_waiting"] == {(): 1}
        age_s = page["decnet_ttp_dead_letters_oldest_seconds"][()]
        assert 0 <= age_s < time.time() - began_s
        assert page["decnet_ttp_tagger_reachable"] == {(rig.settings.taggers[0],): 1}

        payload: dict[str, Any] = {}
        async with asyncio.timeout(60):
            while (payload.get("handled"), payload.get("pending"), payload.get("ready")) != (
                *(3, 0, True),
            ):
                beat = (await beats.next_msg(timeout=60)).data
                payload = json.loads(beat)["payload"]
        await beats.unsubscribe()
        assert (payload["worker"], payload["lag_s"], payload["parked"]) == ("ingest", 0, 0)
        assert payload["dead_letters"] == 1
        assert 0 < payload["last_event_ts"] <= payload["ts"]

        request = stop_request("ingest", requested_by="test")
        await rig.bus.nc.publish(request.topic, request.encode())
        async with asyncio.timeout(60):
            await running
    finally:
        running.cancel()
        await asyncio.wait((running,))
    ours = [record for record in caplog.records if record.name.startswith("decnet_ttp")]
    assert MARK not in f"{page}{beat!r}{[record.__dict__ for record in ours]}"
