# SPDX-License-Identifier: AGPL-3.0-or-later
"""Following the states of adjusting rules, and letting each change take effect on everybody.

While the rule-store is away the states stay as they were: what is in force stays in force.
"""

from __future__ import annotations

import asyncio
import logging
import time

import grpc

from decnet_ttp.core.errors import (
    AbortedError,
    OutOfRangeError,
    ResourceExhaustedError,
    UnavailableError,
)
from decnet_ttp.runtime.boundary import from_rpc_error
from decnet_ttp.runtime.clients import open_channel
from decnet_ttp.runtime.config import Settings
from decnet_ttp.runtime.outage import Outage
from decnet_ttp.runtime.pacing import unless_stopped
from decnet_ttp.tag_store.adjustments import Adjustments
from decnet_ttp.tag_store.rule_states import RuleStates, adjusts
from decnet_ttp.v1 import rule_pb2, rule_store_service_pb2, rule_store_service_pb2_grpc

#: Silence after which a stream is taken for dead; the store sends a heart-beat every 5 s.
_SILENCE_S = 15.0
#: Delay before the stream is opened again: first and longest, in seconds.
_FIRST_DELAY_S = 0.1
_MAX_DELAY_S = 2.0
#: Delay before a sweep that the database broke off, in seconds.
_RETRY_S = 1.0

_log = logging.getLogger(__name__)


class AdjustingRules:
    """Keeps the states that adjustments follow equal to the rule-store's.

    Args:
        settings: Where the rule-store is; without one every rule is in force.
        adjustments: What the states are for.
    """

    def __init__(self, settings: Settings, adjustments: Adjustments) -> None:
        self._settings = settings
        self._adjustments = adjustments
        self._rules: dict[str, rule_pb2.Rule] = {}
        self._revision = 0
        self._epoch = ""
        self._changed = asyncio.Event()
        self._outage = Outage(_log, "rule-store")
        if not settings.rule_store:
            adjustments.states = RuleStates(None)
            self._changed.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Follow, and sweep after each change, until `stop`."""
        await unless_stopped(stop, self._work())

    async def _work(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._sweep_for_ever())
            if self._settings.rule_store:
                group.create_task(self._watch_for_ever())

    async def _sweep_for_ever(self) -> None:
        await self._adjustments.wait_opened()
        while True:
            now_s = time.time()
            states = self._adjustments.states
            wait_s = None if states is None else max(states.next_change_s(now_s) - now_s, 0.0)
            try:
                async with asyncio.timeout(None if wait_s == float("inf") else wait_s):
                    await self._changed.wait()
            except TimeoutError:
                _log.info("a state of an adjusting rule has ended")
            self._changed.clear()
            try:
                await self._adjustments.sweep()
            except (AbortedError, ResourceExhaustedError, UnavailableError) as error:
                _log.warning("adjustments wait", extra={"error": type(error).__name__})
                self._changed.set()
                await asyncio.sleep(_RETRY_S)

    async def _watch_for_ever(self) -> None:
        async with open_channel(self._settings.rule_store, self._settings) as channel:
            stub = rule_store_service_pb2_grpc.RuleStoreServiceStub(channel)
            delay_s = _FIRST_DELAY_S
            while True:
                before = self._revision, self._epoch
                try:
                    await self._watch(stub)
                except grpc.aio.AioRpcError as rpc_error:
                    error = from_rpc_error(rpc_error)
                    if isinstance(error, OutOfRangeError | ResourceExhaustedError):
                        self._revision, self._epoch = 0, ""
                    self._outage.failed(error)
                except TimeoutError:
                    _log.warning("rule-store silent", extra={"revision": self._revision})
                if (self._revision, self._epoch) != before:
                    delay_s = _FIRST_DELAY_S
                await asyncio.sleep(delay_s)
                delay_s = min(2 * delay_s, _MAX_DELAY_S)

    async def _watch(self, stub: rule_store_service_pb2_grpc.RuleStoreServiceStub) -> None:
        stream = stub.WatchRules(
            rule_store_service_pb2.WatchRulesRequest(
                after_revision=self._revision, epoch=self._epoch
            )
        )
        try:
            while True:
                # Unlike wait_for, this loses no cancellation to a stream that ends just then.
                async with asyncio.timeout(_SILENCE_S):
                    message = await stream.read()
                if message is grpc.aio.EOF:
                    return
                self._outage.over()
                self._apply(message)
        finally:
            stream.cancel()

    def _apply(self, message: rule_store_service_pb2.WatchRulesResponse) -> None:
        """Take in what changed; rules that make tags are of no interest here."""
        before = dict(self._rules)
        if message.snapshot:
            self._rules.clear()
        for change in message.changes:
            self._rules.pop(change.rule_id, None)
            if change.WhichOneof("change") == "upserted" and adjusts(change.upserted):
                self._rules[change.rule_id] = change.upserted
        if self._adjustments.states is None or before != self._rules:
            self._adjustments.states = RuleStates(self._rules.values())
            self._changed.set()
        self._revision = message.revision
        self._epoch = message.epoch
