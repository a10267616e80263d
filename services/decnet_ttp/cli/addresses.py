# SPDX-License-Identifier: AGPL-3.0-or-later
"""Addresses of attackers: what people know them by."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from decnet_ttp.core.errors import (
    DeadlineExceededError,
    NotFoundError,
    UnavailableError,
    UnimplementedError,
)

if TYPE_CHECKING:
    from grpc.aio import Channel

_AT_ONCE = 32
_TIMEOUT_S = 5.0
# An address is a comfort: a directory that is away is left alone for a while.
_PAUSE_S = 10.0


class AttackerAddresses:
    """Looks addresses up, each once.

    Args:
        channel: To the tag-store.
    """

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._known: dict[str, str] = {}
        self._free = asyncio.Semaphore(_AT_ONCE)
        self._not_before = 0.0

    async def look_up(self, attackers: Iterable[str]) -> None:
        """Learn the addresses of attackers given by UUID; what cannot be learned stays unknown."""
        if time.monotonic() < self._not_before:
            return
        missing = {uuid for uuid in attackers if uuid and uuid not in self._known}
        try:
            await asyncio.gather(*(self._learn(uuid) for uuid in missing))
        except (UnavailableError, DeadlineExceededError):
            self._not_before = time.monotonic() + _PAUSE_S

    def get(self, attacker: str) -> str:
        """Return an attacker's address, or its UUID where that is all that is known."""
        return self._known.get(attacker) or attacker

    async def _learn(self, uuid: str) -> None:
        from decnet_ttp.runtime.clients import call
        from decnet_ttp.v1.directory_service_pb2 import GetAttackerRequest, GetAttackerResponse
        from decnet_ttp.v1.directory_service_pb2_grpc import DirectoryServiceStub

        async with self._free:
            try:
                answer: GetAttackerResponse = await call(
                    DirectoryServiceStub(self._channel).GetAttacker,
                    GetAttackerRequest(attacker_uuid=uuid),
                    timeout_s=_TIMEOUT_S,
                )
            except (NotFoundError, UnimplementedError):
                self._known[uuid] = ""
            else:
                self._known[uuid] = answer.attacker.ip
