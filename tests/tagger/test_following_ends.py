# SPDX-License-Identifier: AGPL-3.0-or-later
"""Following the rules ends when it is to, even if the rule-store ends at the same moment."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest

from decnet_ttp.attack import load_catalogue
from decnet_ttp.runtime.config import Settings
from decnet_ttp.tag_store.adjusting_rules import AdjustingRules
from decnet_ttp.tagger.rule_follower import RuleFollower


@dataclass
class EndingStream:
    """A watch that fails when it is told to; a real one does not let a test choose the moment."""

    reading: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    def WatchRules(self, request: Any) -> EndingStream:
        return self

    async def read(self) -> Any:
        self.reading.set()
        await self.ended.wait()
        raise grpc.aio.AioRpcError(
            grpc.StatusCode.UNAVAILABLE, grpc.aio.Metadata(), grpc.aio.Metadata()
        )

    def cancel(self) -> None:
        """Nothing is open."""


@pytest.mark.parametrize("service", ["tagger", "tag-store"])
@pytest.mark.parametrize("steps", range(5))
async def test_cancellation_is_not_lost_to_a_stream_that_ends(service: str, steps: int) -> None:
    """However many steps of the event loop lie between the two."""
    stream = EndingStream()
    stub: Any = stream
    adjustments: Any = None
    watching = (
        RuleFollower(stub, [], load_catalogue())._watch_for_ever()
        if service == "tagger"
        else _watch_again(AdjustingRules(Settings(rule_store="unix:none"), adjustments), stub)
    )
    task = asyncio.create_task(watching)
    await stream.reading.wait()
    stream.ended.set()
    for _ in range(steps):
        await asyncio.sleep(0)
    task.cancel()
    done, _ = await asyncio.wait((task,), timeout=20.0)
    task.cancel()
    assert done


async def _watch_again(rules: AdjustingRules, stub: Any) -> None:
    while True:
        try:
            await rules._watch(stub)
        except grpc.aio.AioRpcError:
            await asyncio.sleep(0.1)
