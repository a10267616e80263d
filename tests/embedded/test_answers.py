# SPDX-License-Identifier: AGPL-3.0-or-later
"""Asking what does not answer."""

import asyncio
import gc
from pathlib import Path

import pytest

from decnet_ttp.embedded import answers, health
from decnet_ttp.embedded.child import Probe
from decnet_ttp.embedded.errors import NotReady


@pytest.mark.parametrize(
    "probe",
    [
        answers.postgres("postgresql://u@/d?host=/does/not/exist"),
        answers.nats_server("nats://u:p@127.0.0.1:1"),
        health.serving("unix:/does/not/exist"),
    ],
)
async def test_what_is_not_there_is_not_ready(probe: Probe) -> None:
    """Nobody listening is an answer, and leaves nothing open."""
    with pytest.raises(NotReady):
        await probe(0)
    gc.collect()


@pytest.mark.parametrize("kind", ["postgres", "nats", "grpc"])
async def test_what_hangs_is_not_ready_in_time(kind: str, short_dir: Path) -> None:
    """A server that takes the connection and says nothing costs a bounded time."""
    connections = []

    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)
        await reader.read()

    server = await asyncio.start_server(swallow, "127.0.0.1", 0)
    sockets = await asyncio.start_unix_server(swallow, short_dir / ".s.PGSQL.5432")
    port = server.sockets[0].getsockname()[1]
    probe = {
        "postgres": answers.postgres(f"postgresql://u@/d?host={short_dir}"),
        "nats": answers.nats_server(f"nats://u:p@127.0.0.1:{port}"),
        "grpc": health.serving(f"127.0.0.1:{port}"),
    }[kind]
    # Without a bound it would wait for ever.
    async with asyncio.timeout(60):
        with pytest.raises(NotReady):
            await probe(0)
    for writer in connections:
        writer.close()
    server.close()
    sockets.close()
