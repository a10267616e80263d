# SPDX-License-Identifier: AGPL-3.0-or-later
"""A rule-store whose stream a test writes, served over a real socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc

from decnet_ttp.core.errors import OutOfRangeError
from decnet_ttp.runtime.boundary import ErrorInterceptor
from decnet_ttp.v1 import rule_pb2, rule_store_service_pb2_grpc
from decnet_ttp.v1 import rule_store_service_pb2 as pb

OPTIONS = [("grpc.default_authority", "localhost")]


async def until(condition: Callable[[], bool], deadline_s: float = 60.0) -> None:
    """Return once a condition holds; fail when it does not in time."""
    async with asyncio.timeout(deadline_s):
        while not condition():
            await asyncio.sleep(0.005)


class ScriptedStore(rule_store_service_pb2_grpc.RuleStoreServiceServicer):
    """Sends what a test puts, and remembers what was asked.

    Attributes:
        requests: Every WatchRules request so far.
        refuse: Whether to answer OUT_OF_RANGE to a request with a revision.
    """

    def __init__(self) -> None:
        self.requests: list[pb.WatchRulesRequest] = []
        self.refuse = False
        self._queue: asyncio.Queue[pb.WatchRulesResponse | None] = asyncio.Queue()

    def snapshot(self, *rules: rule_pb2.Rule, revision: int = 1, epoch: str = "e1") -> None:
        self._put(rules, revision=revision, epoch=epoch, snapshot=True)

    def change(self, *rules: rule_pb2.Rule, revision: int, epoch: str = "e1") -> None:
        self._put(rules, revision=revision, epoch=epoch, snapshot=False)

    def delete(self, rule_id: str, *, revision: int, epoch: str = "e1") -> None:
        change = pb.RuleChange(rule_id=rule_id, deleted=pb.RuleDeletion())
        self._queue.put_nowait(
            pb.WatchRulesResponse(changes=[change], revision=revision, epoch=epoch)
        )

    def cut(self) -> None:
        """End the stream that is open."""
        self._queue.put_nowait(None)

    def _put(
        self, rules: tuple[rule_pb2.Rule, ...], *, revision: int, epoch: str, snapshot: bool
    ) -> None:
        changes = [pb.RuleChange(rule_id=rule.rule_id, upserted=rule) for rule in rules]
        self._queue.put_nowait(
            pb.WatchRulesResponse(
                changes=changes, revision=revision, epoch=epoch, snapshot=snapshot
            )
        )

    async def WatchRules(
        self, request: pb.WatchRulesRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> AsyncIterator[pb.WatchRulesResponse]:
        self.requests.append(request)
        if self.refuse and request.after_revision:
            raise OutOfRangeError("too old; watch again from zero")
        while (message := await self._queue.get()) is not None:
            yield message


@asynccontextmanager
async def serving_store(folder: Path) -> AsyncIterator[tuple[ScriptedStore, str]]:
    """Serve a scripted store; gives it and its target."""
    store = ScriptedStore()
    server = grpc.aio.server(interceptors=[ErrorInterceptor()])
    rule_store_service_pb2_grpc.add_RuleStoreServiceServicer_to_server(store, server)
    target = f"unix:{folder}/rs.sock"
    server.add_insecure_port(target)
    await server.start()
    try:
        yield store, target
    finally:
        store.cut()
        await server.stop(0.5)
