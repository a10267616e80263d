# SPDX-License-Identifier: AGPL-3.0-or-later
"""deploy/nats.conf on a real NATS: what each of its users may do."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import nats
import pytest
import pytest_asyncio
from nats.errors import TimeoutError as NatsTimeoutError
from nats.js.api import AckPolicy, ConsumerConfig

from decnet_ttp.embedded.nats import _find_binary
from decnet_ttp.runtime.bus import Bus, connect_bus
from decnet_ttp.runtime.config import Settings
from decnet_ttp.runtime.streams import (
    EVENTS_STREAM,
    INGEST_DURABLE,
    MAX_PAYLOAD_BYTES,
    ensure_streams,
)

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"

#: Digits and an exponent: NATS takes such a password for a number unless it is quoted.
PASSWORDS = {"NATS_PASSWORD": "123e4", "NATS_SENSOR_PASSWORD": "0123456789"}


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server over the configuration of the deployment, with its environment, on a free port."""
    store = tmp_path_factory.mktemp("nats")
    quoted = {name: f'"{password}"' for name, password in PASSWORDS.items()}
    configuration = store / "nats.conf"
    # Its ports and its store lie where a test may have them; all else is as deployed.
    configuration.write_text(
        (DEPLOY / "nats.conf")
        .read_text()
        .replace("port: 4222", 'listen: "127.0.0.1:-1"')
        .replace('http: "127.0.0.1:8222"', "")
        .replace("store_dir: /data", f'store_dir: "{store}"')
    )
    with subprocess.Popen(
        [_find_binary(), "-c", configuration, "--ports_file_dir", store],
        env={**os.environ, **quoted},
        stderr=subprocess.DEVNULL,
    ) as server:
        ports = store / f"nats-server_{server.pid}.ports"
        deadline = time.monotonic() + 60
        while not ports.is_file() or not ports.stat().st_size:
            assert server.poll() is None, "nats-server refused its configuration"
            assert time.monotonic() < deadline
            time.sleep(0.01)
        yield json.loads(ports.read_text())["nats"][0].removeprefix("nats://")
        server.terminate()


@pytest_asyncio.fixture
async def services(address: str) -> AsyncIterator[Bus]:
    """The bus as services have it, with its streams."""
    settings = Settings(nats_url=f"nats://decnet_ttp:{PASSWORDS['NATS_PASSWORD']}@{address}")
    bus = await connect_bus(settings, name="service")
    await ensure_streams(bus.js, settings)
    yield bus
    await bus.close()


@pytest_asyncio.fixture
async def sensor(address: str) -> AsyncIterator[Bus]:
    """The bus as sensors have it."""
    url = f"nats://sensor:{PASSWORDS['NATS_SENSOR_PASSWORD']}@{address}"
    bus = await connect_bus(Settings(nats_url=url), name="sensor")
    yield bus
    await bus.close()


async def test_sensor_adds_events_and_learns_that_they_arrived(services: Bus, sensor: Bus) -> None:
    await ensure_streams(sensor.js)
    before = (await services.js.stream_info(EVENTS_STREAM)).state.messages
    acknowledged = await sensor.js.publish("attacker.session.ended", b"{}")
    assert acknowledged.stream == EVENTS_STREAM
    assert (await services.js.stream_info(EVENTS_STREAM)).state.messages == before + 1


async def test_sensor_sees_how_far_ingest_is_behind(services: Bus, sensor: Bus) -> None:
    """An import waits by it."""
    config = ConsumerConfig(durable_name=INGEST_DURABLE, ack_policy=AckPolicy.EXPLICIT)
    await services.js.add_consumer(EVENTS_STREAM, config)
    before = (await sensor.js.consumer_info(EVENTS_STREAM, INGEST_DURABLE)).num_pending or 0
    await sensor.js.publish("attacker.session.ended", b"{}")

    async def pending() -> int:
        return (await sensor.js.consumer_info(EVENTS_STREAM, INGEST_DURABLE)).num_pending or 0

    # NATS counts a message for its consumers a moment after it has acknowledged it.
    async with asyncio.timeout(60):
        while await pending() == before:
            await asyncio.sleep(0.01)
    assert await pending() == before + 1


async def test_message_of_the_largest_size_fits(services: Bus, sensor: Bus) -> None:
    assert services.nc.max_payload == MAX_PAYLOAD_BYTES
    body = b"x" * (MAX_PAYLOAD_BYTES - 1024)
    assert (await sensor.js.publish("email.received", body, timeout=60)).stream == EVENTS_STREAM


@pytest.mark.parametrize(
    "subject",
    [
        "ttp.tagged",
        "dlq.ttp.ingest",
        f"$JS.API.STREAM.PURGE.{EVENTS_STREAM}",
        f"$JS.API.STREAM.MSG.GET.{EVENTS_STREAM}",
        f"$JS.API.CONSUMER.MSG.NEXT.{EVENTS_STREAM}.decnet-ttp-ingest",
    ],
)
async def test_sensor_can_neither_forge_results_nor_touch_streams(
    services: Bus, sensor: Bus, subject: str
) -> None:
    """What a captured sensor must not do gets no answer and changes nothing."""
    await services.js.publish("attacker.session.ended", b"{}")
    before = await services.js.stream_info(EVENTS_STREAM)
    with pytest.raises(NatsTimeoutError):
        await sensor.nc.request(subject, b"{}", timeout=0.2)
    # The server answers when it has dealt with all that came before.
    await sensor.nc.flush(60)
    after = await services.js.stream_info(EVENTS_STREAM)
    assert after.state.messages == before.state.messages


async def test_sensor_cannot_listen_to_what_services_are_sent(services: Bus, sensor: Bus) -> None:
    """Neither events and results, nor the answers in which a service pulls its events."""
    heard: list[str] = []

    async def hear(message: nats.aio.msg.Msg) -> None:
        heard.append(message.subject)

    for subject in ("_INBOX.sensor.>", "_INBOX.>", "attacker.>", "ttp.>", ">"):
        await sensor.nc.subscribe(subject, cb=hear)
    await sensor.nc.flush()
    await services.js.publish("attacker.session.ended", b"{}")
    puller = await services.js.pull_subscribe("attacker.>", stream=EVENTS_STREAM)
    assert await puller.fetch(1, timeout=60)
    # Its own answer proves that it hears at all.
    await sensor.js.publish("attacker.session.ended", b"{}")
    async with asyncio.timeout(60):
        while not heard:
            await asyncio.sleep(0.01)
    assert {subject.rsplit(".", 2)[0] for subject in heard} == {"_INBOX.sensor"}
