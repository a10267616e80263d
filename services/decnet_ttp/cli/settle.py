# SPDX-License-Identifier: AGPL-3.0-or-later
"""Waiting until ingest has worked off what is on the bus."""

from __future__ import annotations

import asyncio

from decnet_ttp.cli.connection import Connection
from decnet_ttp.core.errors import DeadlineExceededError, UnavailableError

_POLL_S = 0.05
_CALL_TIMEOUT_S = 5.0


async def wait_until_tagged(connection: Connection, within_s: float) -> None:
    """Wait until every message on the bus is settled.

    Args:
        connection: Installation to ask.
        within_s: How long to wait at most, in seconds.

    Raises:
        DeadlineExceededError: Messages were still waiting at the end.
    """
    from decnet_ttp.runtime.clients import call, open_channel
    from decnet_ttp.v1.ingest_service_pb2 import GetIngestStatusRequest
    from decnet_ttp.v1.ingest_service_pb2_grpc import IngestServiceStub

    last = "ingest did not answer"
    try:
        async with (
            asyncio.timeout(within_s),
            open_channel(connection.target("ingest"), connection.settings) as channel,
        ):
            stub = IngestServiceStub(channel)
            while True:
                try:
                    status = await call(
                        stub.GetIngestStatus, GetIngestStatusRequest(), timeout_s=_CALL_TIMEOUT_S
                    )
                except (UnavailableError, DeadlineExceededError) as error:
                    last = error.message
                else:
                    waiting = status.pending_count + status.unacknowledged_count
                    if not waiting:
                        return
                    last = f"{waiting} messages wait"
                await asyncio.sleep(_POLL_S)
    except TimeoutError as error:
        raise DeadlineExceededError(
            f"not all is tagged after {within_s:g} s ({last}); see decnet-ttp status"
        ) from error
