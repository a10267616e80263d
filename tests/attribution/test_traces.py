# SPDX-License-Identifier: AGPL-3.0-or-later
"""One trace from an observation to its announcement."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partialmethod
from pathlib import Path

import pytest

from attribution.observing import message
from attribution.process import DEADLINE_S
from decnet_ttp.attribution import app as attribution
from decnet_ttp.runtime import otel
from decnet_ttp.runtime.bus import connect_bus
from decnet_ttp.runtime.config import Settings
from decnet_ttp.runtime.outbox import OutboxRelay
from decnet_ttp.runtime.streams import ensure_streams
from decnet_ttp.tag_store import app as tag_store
from runtime.collector import collecting
from runtime.seen import MARK, running
from runtime.served import until


async def test_an_observation_is_one_trace_to_its_announcement(
    nats_url: str,
    database_url: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caplog.set_level("INFO")
    # The collector runs within this process, so it needs time to answer.
    monkeypatch.setattr(otel, "_TIMEOUT_S", 60)
    # A row that the relay finds unasked, before it is told of it, has no trace.
    patient = partialmethod(OutboxRelay.__init__, idle_s=600.0)
    monkeypatch.setattr(OutboxRelay, "__init__", patient)
    async with AsyncExitStack() as stack:
        collector, endpoint = await stack.enter_async_context(collecting())
        own = Settings(
            nats_url=nats_url,
            database_url=database_url,
            tag_store=f"unix:{tmp_path}/s.sock",
            listen=f"unix:{tmp_path}/a.sock",
            metrics_listen="127.0.0.1:0",
            otel_endpoint=endpoint,
            anchor_policy="create",
            grace_s=60.0,
        )
        bus = await connect_bus(own, name="sensor")
        stack.push_async_callback(bus.close)
        await ensure_streams(bus.js)
        store = tag_store.run(replace(own, listen=own.tag_store))
        await stack.enter_async_context(running(bus.nc, "tag-store", store, caplog))
        service = attribution.run(own)
        await stack.enter_async_context(running(bus.nc, "attribution", service, caplog))
        sent = message(MARK, primitive="test.unknown", evidence=f"shard:{MARK}")
        await bus.js.publish(sent.topic, sent.encode())
        await until(lambda: bool(collector.traces_with("ttp.attribution.receive")), DEADLINE_S)
        await until(lambda: bool(collector.traces_with("ttp.bus.publish")), DEADLINE_S)
    (trace,) = set(collector.traces_with("ttp.attribution.receive"))
    assert collector.parents(trace) >= {
        ("ttp.directory.resolve", "ttp.attribution.receive"),
        ("ttp.attribution.write", "ttp.attribution.receive"),
        ("ttp.bus.publish", "ttp.attribution.write"),
    }
    assert MARK not in f"{collector.spans}"
