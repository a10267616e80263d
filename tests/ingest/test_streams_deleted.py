# SPDX-License-Identifier: AGPL-3.0-or-later
"""Somebody deletes streams while ingest runs: it goes on as soon as they are there again."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from nats.js.errors import NoStreamResponseError

from decnet_ttp.ingest.app import run
from decnet_ttp.ingest.intel_records import IntelRecords
from decnet_ttp.runtime import streams
from decnet_ttp.runtime.clients import open_channel
from decnet_ttp.runtime.config import Settings
from decnet_ttp.runtime.streams import (
    DLQ_STREAM,
    EVENTS_STREAM,
    INTEL_PREFIX,
    INTEL_STREAM,
    PARKED_STREAM,
    TTP_STREAM,
    ensure_streams,
)
from ingest.backends import until
from ingest.rig import SUBJECT, Rig
from runtime.seen import running
from runtime.served import health

STREAMS = (EVENTS_STREAM, TTP_STREAM, DLQ_STREAM, PARKED_STREAM, INTEL_STREAM)


def settings(rig: Rig, folder: Path) -> Settings:
    """Settings of ingest as a service beside the neighbours of the rig."""
    return replace(
        rig.settings,
        listen=f"unix:{folder}/i.sock",
        metrics_listen="127.0.0.1:0",
        heartbeat_s=0.1,
        grace_s=120.0,
    )


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look for missing streams at once."""
    monkeypatch.setattr(streams, "_LOOK_S", 0.1)


async def test_every_stream_is_made_again_and_messages_go_their_way(
    rig: Rig, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")

    async def taken() -> bool:
        """Publish as a sensor does, until the bus takes it."""
        try:
            await rig.publish("s2", "id")
        except NoStreamResponseError:
            return False
        return True

    async def one_letter() -> bool:
        return bool((await rig.bus.js.stream_info(DLQ_STREAM)).state.messages == 1)

    def told() -> list[Any]:
        return [record for record in caplog.records if "created again, empty" in record.message]

    async with running(rig.bus.nc, "ingest", run(settings(rig, tmp_path)), caplog):
        await rig.publish("s1", "id")
        await until(lambda: "s1#cmd0" in rig.store.tags)
        for stream in STREAMS:
            await rig.bus.js.delete_stream(stream)
        await until(taken)
        await until(lambda: "s2#cmd0" in rig.store.tags)
        await until(lambda: {name for each in told() for name in each.streams} == set(STREAMS))
        await rig.bus.js.publish(SUBJECT, b"{half")
        await until(one_letter)
    assert {each.levelname for each in told()} == {"WARNING"}


async def test_ingest_says_that_it_cannot_work_while_a_stream_cannot_be_made(
    rig: Rig, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Here because another stream has taken its subjects."""
    caplog.set_level("INFO")
    own = settings(rig, tmp_path)
    async with (
        running(rig.bus.nc, "ingest", run(own), caplog),
        open_channel(own.listen, own) as channel,
    ):

        async def serving() -> bool:
            return await health(channel) == "SERVING"

        async def not_serving() -> bool:
            return not await serving()

        await until(serving)
        config = (await rig.bus.js.stream_info(PARKED_STREAM)).config
        await rig.bus.js.update_stream(config.evolve(subjects=["elsewhere.>"]))
        await rig.bus.js.add_stream(name="OTHER", subjects=["parked.>"])
        await rig.bus.js.delete_stream(PARKED_STREAM)
        await until(not_serving)
        await rig.bus.js.delete_stream("OTHER")
        await until(serving)


async def test_records_of_a_stream_made_anew_are_read_from_its_start(rig: Rig) -> None:
    intel, stop = IntelRecords(rig.bus), asyncio.Event()
    for number in range(5):
        await rig.bus.js.publish(f"{INTEL_PREFIX}{number}", b"{}")
    await intel.load(stop)
    following = asyncio.create_task(intel.follow(stop))
    await rig.bus.js.delete_stream(INTEL_STREAM)
    await ensure_streams(rig.bus.js)
    await rig.bus.js.publish(f"{INTEL_PREFIX}new", b"{}")
    await until(lambda: "new" in intel._records)
    stop.set()
    await following
