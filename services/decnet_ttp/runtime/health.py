# SPDX-License-Identifier: AGPL-3.0-or-later
"""The standard health service, with watches that end when the server does."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
from grpc_health.v1 import health_pb2
from grpc_health.v1._async import HealthServicer

#: Time for the last status to reach those who watch, in seconds.
_LAST_WORD_S = 0.1


class EndingHealthServicer(HealthServicer):
    """Answers health checks; a watch, which has no end of its own, does not hold up the server."""

    def __init__(self) -> None:
        super().__init__()
        self._ended = asyncio.Event()

    def end_watches(self) -> None:
        """End all watches once they have been told the last status."""
        self._ended.set()

    async def Watch(  # noqa: N802 - gRPC's name
        self,
        request: health_pb2.HealthCheckRequest,
        context: grpc.aio.ServicerContext[Any, Any],
    ) -> None:
        """Send every change of a status until the client goes or the server ends."""
        watching = asyncio.ensure_future(super().Watch(request, context))
        ended = asyncio.ensure_future(self._ended.wait())
        try:
            await asyncio.wait((watching, ended), return_when=asyncio.FIRST_COMPLETED)
            if not watching.done():
                await asyncio.wait((watching,), timeout=_LAST_WORD_S)
            if watching.done():
                await watching
        finally:
            ended.cancel()
            watching.cancel()
