# SPDX-License-Identifier: AGPL-3.0-or-later
"""The private NATS server on its own."""

import asyncio
import gc
import json
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import nats
import nats.errors
import pytest
from nats.aio.client import Client

from decnet_ttp.embedded import proc
from decnet_ttp.embedded.nats import NatsServer


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[NatsServer]:
    """Give a running server."""
    made = NatsServer(tmp_path / "nats")
    await made.start()
    yield made
    await made.stop()


async def test_a_large_message_is_stored(server: NatsServer) -> None:
    """JetStream takes messages of several megabytes."""
    client = await nats.connect(server.url)
    stream = client.jetstream(timeout=60)
    await stream.add_stream(name="S", subjects=["s"])
    await stream.publish("s", b"x" * (7 * 1024 * 1024))
    assert (await stream.stream_info("S")).state.messages == 1
    await client.close()


async def test_a_client_without_the_credential_is_refused(server: NatsServer) -> None:
    """The loopback port is open to every user of the machine, the server is not."""
    address = server.url.rpartition("@")[2]

    async def ignore(_: Exception) -> None: ...

    client = Client()
    with pytest.raises(nats.errors.Error, match=r"[Aa]uthorization"):
        await client.connect(f"nats://{address}", allow_reconnect=False, error_cb=ignore)
    await client.close()
    gc.collect()


async def test_the_credential_is_in_a_private_file(server: NatsServer, tmp_path: Path) -> None:
    """The configuration is readable by its owner only, and makes acknowledged mean durable."""
    file = tmp_path / "nats/server.conf"
    assert file.stat().st_mode & 0o777 == 0o600
    configuration = json.loads(file.read_text())
    assert configuration["authorization"]["password"] in server.url
    assert configuration["jetstream"]["sync_interval"] == "always"


@pytest.mark.faults
async def test_a_killed_server_comes_back_at_the_same_address(server: NatsServer) -> None:
    """A client survives the crash, and so does every acknowledged message."""
    url = server.url
    again = asyncio.Event()

    async def reconnected() -> None:
        again.set()

    client = await nats.connect(
        url, reconnect_time_wait=0.05, max_reconnect_attempts=-1, reconnected_cb=reconnected
    )
    stream = client.jetstream(timeout=60)
    await stream.add_stream(name="S", subjects=["s"])
    await stream.publish("s", b"1")
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)
    assert await server.start() == url
    # A flush in between would wait for an answer on the connection that is lost.
    async with asyncio.timeout(60):
        await again.wait()
    assert (await stream.stream_info("S")).state.messages == 1
    await client.close()


@pytest.mark.faults
async def test_two_servers_never_share_a_store(server: NatsServer, tmp_path: Path) -> None:
    """A forgotten server over the same store is ended, for both together would corrupt it."""
    orphan = server.pid
    assert orphan is not None
    second = NatsServer(tmp_path / "nats")
    await second.start()
    assert proc.start_ticks(orphan) is None
    await second.stop()
