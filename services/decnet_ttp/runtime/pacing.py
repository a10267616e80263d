# SPDX-License-Identifier: AGPL-3.0-or-later
"""Waiting that ends early when the service is asked to stop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")

_CANCEL_AGAIN_S = 0.1


async def pause(stop: asyncio.Event, seconds: float) -> None:
    """Wait for some seconds, or until `stop`."""
    with suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)


async def unless_stopped(stop: asyncio.Event, work: Awaitable[T]) -> T | None:
    """Return what the work returns, or None when `stop` came first; the work is cancelled then."""
    doing = asyncio.ensure_future(work)
    stopping = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait((doing, stopping), return_when=asyncio.FIRST_COMPLETED)
        return doing.result() if doing.done() else None
    finally:
        stopping.cancel()
        # The NATS client swallows a cancellation while it connects, so one may not do.
        while not doing.done():
            doing.cancel()
            await asyncio.wait((doing,), timeout=_CANCEL_AGAIN_S)
