# SPDX-License-Identifier: AGPL-3.0-or-later
"""Watching a service from outside: its page, its beats, and its end on request."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest
from nats.aio.client import Client

from decnet_ttp.runtime.heartbeat import health_subject, stop_request
from runtime.pages import read_page
from runtime.served import until

#: Looks like what an attacker might type, and must be nowhere but in events and tags.
MARK = "marked-secret-5f3a"


@asynccontextmanager
async def running(
    client: Client, service: str, main: Coroutine[Any, Any, None], caplog: pytest.LogCaptureFixture
) -> AsyncIterator[str]:
    """Run a service with a metrics page until ready, and yield the address of the page.

    At the end it is asked to stop over the bus, and must.
    """
    before = len(_pages(caplog))
    work = asyncio.create_task(main)
    try:
        await until(lambda: work.done() or len(_pages(caplog)) > before)
        if work.done():
            await work
        address = _pages(caplog)[-1]

        async def ready() -> bool:
            return (await read_page(address)).get("decnet_ttp_ready") == {(): 1}

        await until(ready)
        yield address
        request = stop_request(service, requested_by="test")
        async with asyncio.timeout(60):
            # A request that comes before the service listens for any is not heard.
            while not work.done():
                await client.publish(request.topic, request.encode())
                await asyncio.wait((work,), timeout=1)
            await work
    finally:
        work.cancel()
        await asyncio.wait((work,))


def _pages(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [
        record.__dict__["address"] for record in caplog.records if record.message == "metrics page"
    ]


async def beat_with(client: Client, service: str, name: str, value: int) -> dict[str, Any]:
    """Return the first beat in which a figure has a value."""
    beats = await client.subscribe(health_subject(service))
    try:
        async with asyncio.timeout(60):
            while True:
                beat = json.loads((await beats.next_msg(timeout=60)).data)
                payload: dict[str, Any] = beat["payload"]
                if payload.get(name) == value:
                    return payload
    finally:
        # What is left unread would hold up the end of the connection.
        await beats.unsubscribe()


def logged(caplog: pytest.LogCaptureFixture) -> str:
    """Return all that the program logged, with every field."""
    ours = [record for record in caplog.records if record.name.startswith("decnet_ttp")]
    return f"{[record.__dict__ for record in ours]}"
