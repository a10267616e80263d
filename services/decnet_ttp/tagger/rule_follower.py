# SPDX-License-Identifier: AGPL-3.0-or-later
"""Following the rule-store: a snapshot, then every change, for as long as the process lives."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Sequence

import grpc

from decnet_ttp.attack import Catalogue
from decnet_ttp.core.errors import OutOfRangeError, ResourceExhaustedError
from decnet_ttp.runtime.boundary import from_rpc_error
from decnet_ttp.runtime.outage import Outage
from decnet_ttp.tagger.lifter import Lifter
from decnet_ttp.tagger.rule_set import RuleSet
from decnet_ttp.v1 import rule_pb2, rule_store_service_pb2, rule_store_service_pb2_grpc

#: Silence after which a stream is taken for dead; the store sends a heart-beat every 5 s.
_SILENCE_S = 15.0
#: Delay before the stream is opened again: first and longest, in seconds.
_FIRST_DELAY_S = 0.1
_MAX_DELAY_S = 2.0

_log = logging.getLogger(__name__)


class RuleFollower:
    """Keeps the rules in force equal to the rule-store's.

    While the store is away the rules stay as they were. What was missed is made up for on return:
    by the changes since, or by a new snapshot where the store began a new life.

    Args:
        stub: The rule-store.
        lifters: Lifters whose rules are kept.
        catalogue: What emissions are checked against.

    Attributes:
        rules: The rules in force.
        loaded: Whether a snapshot has ever been loaded.
        revision: Revision of the rules.
        epoch: Life of the rule-store that the revision belongs to.
    """

    def __init__(
        self,
        stub: rule_store_service_pb2_grpc.RuleStoreServiceStub,
        lifters: Sequence[Lifter],
        catalogue: Catalogue,
    ) -> None:
        self._stub = stub
        self._lifters = lifters
        self._catalogue = catalogue
        self.rules = RuleSet.empty()
        self.loaded = False
        self.revision = 0
        self.epoch = ""
        self._outage = Outage(_log, "rule-store")
        self._swapped = asyncio.Event()

    def changed(self) -> Awaitable[object]:
        """Return what ends when the rules in force may be others than at this call."""
        return self._swapped.wait()

    def _wake_who_waits(self) -> None:
        """End every wait so far; whoever waits from now on waits for the next change."""
        self._swapped.set()
        self._swapped = asyncio.Event()

    async def follow(self, stop: asyncio.Event) -> None:
        """Follow until the stop."""
        watching = asyncio.ensure_future(self._watch_for_ever())
        stopping = asyncio.ensure_future(stop.wait())
        await asyncio.wait((watching, stopping), return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if watching.done():
            watching.result()
        watching.cancel()
        await asyncio.wait((watching,))

    async def _watch_for_ever(self) -> None:
        delay_s = _FIRST_DELAY_S
        while True:
            before = self.revision, self.epoch
            try:
                await self._watch()
            except grpc.aio.AioRpcError as rpc_error:
                error = from_rpc_error(rpc_error)
                if isinstance(error, OutOfRangeError | ResourceExhaustedError):
                    self.revision, self.epoch = 0, ""
                self._outage.failed(error)
            except TimeoutError:
                _log.warning("rule-store silent", extra={"revision": self.revision})
            if (self.revision, self.epoch) != before:
                delay_s = _FIRST_DELAY_S
            await asyncio.sleep(delay_s)
            delay_s = min(2 * delay_s, _MAX_DELAY_S)

    async def _watch(self) -> None:
        request = rule_store_service_pb2.WatchRulesRequest(
            after_revision=self.revision, epoch=self.epoch
        )
        stream = self._stub.WatchRules(request)
        try:
            while True:
                # Unlike wait_for, this loses no cancellation to a stream that ends just then.
                async with asyncio.timeout(_SILENCE_S):
                    message = await stream.read()
                if message is grpc.aio.EOF:
                    return
                self._outage.over()
                await self._apply(message)
        finally:
            stream.cancel()

    async def _apply(self, message: rule_store_service_pb2.WatchRulesResponse) -> None:
        upserted: list[rule_pb2.Rule] = []
        deleted: set[str] = set()
        for change in message.changes:
            if change.WhichOneof("change") == "upserted":
                upserted.append(change.upserted)
            else:
                deleted.add(change.rule_id)
        if message.snapshot:
            deleted |= self.rules.rules.keys() - {rule.rule_id for rule in upserted}
        if upserted or deleted or message.snapshot:
            # A large pack takes long enough to compile that health checks would wait for it.
            self.rules = await asyncio.to_thread(
                self.rules.changed, upserted, deleted, self._lifters, self._catalogue
            )
            _log.info(
                "rules in force",
                extra={
                    "rules": len(self.rules.rules),
                    "changed": len(upserted),
                    "deleted": len(deleted),
                    "revision": message.revision,
                },
            )
        self.revision = message.revision
        self.epoch = message.epoch
        self.loaded = self.loaded or message.snapshot
        self._wake_who_waits()
