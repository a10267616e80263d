# SPDX-License-Identifier: AGPL-3.0-or-later
"""Heart-beats and requests to stop, over a real NATS and from a real process."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import nats
import pytest
from nats.aio.client import Client

from decnet_ttp.embedded.nats import NatsServer
from decnet_ttp.runtime.clients import open_channel
from decnet_ttp.runtime.config import Settings
from decnet_ttp.runtime.heartbeat import control_subject, health_subject, stop_request
from decnet_ttp.runtime.server import Server
from decnet_ttp.runtime.streams import stream_configs
from runtime.served import health, until

CHILD = Path(__file__).with_name("served_child.py")


@asynccontextmanager
async def _connection(url: str) -> AsyncIterator[Client]:
    client = await nats.connect(url)
    try:
        yield client
    finally:
        await client.close()


async def _next(subscription: Any) -> dict[str, Any]:
    message = await subscription.next_msg(timeout=60)
    beat: dict[str, Any] = json.loads(message.data)
    return beat


async def _ready() -> bool:
    return True


async def test_beats_carry_progress(unix: Settings, nats_url: str) -> None:
    """One at once and then at every interval, each with what the service tells at that moment."""
    handled = [0]

    async def progress() -> dict[str, int]:
        handled[0] += 7
        return {"events_handled": handled[0]}

    settings = replace(unix, nats_url=nats_url, heartbeat_s=0.05)
    async with _connection(nats_url) as client:
        beats = await client.subscribe("system.*.health")
        await client.flush()
        before = time.time()
        server = Server(settings, name="rule-store", progress=progress)
        run = asyncio.create_task(server.run(ready=_ready))
        envelopes = [await _next(beats) for _ in range(3)]
        server.request_stop()
        await run
    for count, envelope in enumerate(envelopes, start=1):
        assert envelope["topic"] == health_subject("rule-store") == "system.rule-store.health"
        assert envelope["type"] == "health"
        payload = envelope["payload"]
        assert payload["worker"] == "rule-store"
        assert payload["events_handled"] == 7 * count
        assert payload["instance"] == f"{socket.gethostname()}-{os.getpid()}"
        assert before <= payload["ts"] <= time.time()
    assert envelopes[-1]["payload"]["ready"] is True


def test_beats_are_in_no_stream() -> None:
    """An old request to stop must not reach a service that starts later."""
    for config in stream_configs(Settings()):
        for subject in config.subjects or []:
            assert not subject.startswith(("system", ">", "*"))


@pytest.mark.parametrize("form", ["envelope", "payload"])
async def test_stop_request_ends_a_real_process_in_order(
    folder: Path, nats_url: str, form: str
) -> None:
    """Other actions and other services' requests are ignored; a stop drains and exits with 0."""
    target = f"unix:{folder}/s.sock"
    (folder / "drain").touch()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(CHILD), target, str(folder)),
        env={**os.environ, "DECNET_TTP_NATS_URL": nats_url, "DECNET_TTP_HEARTBEAT_S": "0.05"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with _connection(nats_url) as client, open_channel(target, Settings()) as channel:
            beats = await client.subscribe(health_subject("child"))
            await client.flush()
            await _next(beats)
            for ignored in (
                b"no JSON",
                b"[1]",
                b'{"action": "restart", "requested_by": "line\\nbreak MARK"}',
                b'{"payload": {"action": "start"}}',
            ):
                await client.publish(control_subject("child"), ignored)
            await client.publish(control_subject("other"), b'{"action": "stop"}')
            await client.flush()
            # A beat asked for after the requests were delivered: the process still lives.
            await _next(beats)
            await _next(beats)

            async def is_serving() -> bool:
                return await health(channel) == "SERVING"

            await until(is_serving)
            request = stop_request("child", requested_by="operator")
            data = json.dumps(request.payload).encode() if form == "payload" else request.encode()
            await client.publish(request.topic, data)
            output, errors = await asyncio.wait_for(process.communicate(), 60)
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()
    assert process.returncode == 0
    assert output.decode().split("\n") == [
        *("task runs", "task stopping", "task done", "run returned", "")
    ]
    log = [json.loads(line) for line in errors.splitlines()]
    ignored_lines = [line for line in log if "ignored" in line["message"]]
    assert [line["requested_by"] for line in ignored_lines] == ["", "", "", ""]
    stops = [line for line in log if line["message"] == "stop requested over the bus"]
    assert [line["requested_by"] for line in stops] == ["operator"]
    assert b"MARK" not in errors
    assert log[-1]["message"] == "stopped"


async def test_service_serves_and_stops_while_nats_is_away(unix: Settings) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"nats://127.0.0.1:{taken.getsockname()[1]}"
        settings = replace(unix, nats_url=url, heartbeat_s=0.05)
        server = Server(settings, name="test")
        run = asyncio.create_task(server.run(ready=_ready))
        async with open_channel(unix.listen, unix) as channel:

            async def is_serving() -> bool:
                return bool(server.address) and await health(channel) == "SERVING"

            await until(is_serving)
        server.request_stop()
        async with asyncio.timeout(60):
            await run


async def test_beats_and_ear_come_back_with_nats(unix: Settings, tmp_path: Path) -> None:
    """Beats of the outage are left out, not delivered late; the ear works again."""
    nats_server = NatsServer(tmp_path / "nats")
    url = await nats_server.start()
    server = Server(replace(unix, nats_url=url, heartbeat_s=0.05), name="test")
    run = asyncio.create_task(server.run(ready=_ready))
    try:
        async with _connection(url) as client:
            beats = await client.subscribe(health_subject("test"))
            await _next(beats)
        await nats_server.stop()
        assert not run.done()
        await nats_server.start()
        back = time.time()
        async with _connection(url) as client:
            beats = await client.subscribe(health_subject("test"))
            assert (await _next(beats))["payload"]["ts"] > back - 0.5
            await client.publish(
                control_subject("test"), stop_request("test", requested_by="t").encode()
            )
            async with asyncio.timeout(60):
                await run
    finally:
        server.request_stop()
        await run
        await nats_server.stop()


async def test_wrong_password_does_not_end_the_service(unix: Settings, nats_url: str) -> None:
    host = nats_url.rpartition("@")[2]
    settings = replace(unix, nats_url=f"nats://decnet_ttp:wrong@{host}", heartbeat_s=0.05)
    server = Server(settings, name="test")
    run = asyncio.create_task(server.run(ready=_ready))
    await until(lambda: server._serving is True)
    server.request_stop()
    async with asyncio.timeout(60):
        await run
