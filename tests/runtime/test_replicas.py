# SPDX-License-Identifier: AGPL-3.0-or-later
"""Connections end at an age, which is when clients look their target up again."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from decnet_ttp.runtime import server
from decnet_ttp.runtime.config import Settings
from decnet_ttp.v1 import directory_service_pb2
from runtime import served


async def test_calls_go_on_over_connections_that_reached_their_age(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A call in flight finishes on the old connection, later ones get a new one; none fails."""
    peers: set[str] = set()

    class Noting(served.Directory):
        """Notes over which connection each call came, and takes longer than one lives."""

        async def GetAttacker(self, request: Any, context: Any) -> Any:
            peers.add(context.peer())
            await asyncio.sleep(0.25)
            return await super().GetAttacker(request, context)

    monkeypatch.setattr(server, "_CONNECTION_AGE_MS", 100)
    monkeypatch.setattr(served, "Directory", Noting)
    async with (
        served.serving(Settings()) as serving,
        served.directory_stub(serving.server.address) as stub,
    ):
        for number in range(6):
            request = directory_service_pb2.GetAttackerRequest(ip=f"192.0.2.{number}")
            answer = await stub.GetAttacker(request, timeout=60)
            assert answer.attacker.ip == request.ip
    assert len(peers) > 1
