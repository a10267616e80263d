# SPDX-License-Identifier: AGPL-3.0-or-later
"""The numbered history of changes and those who follow it."""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Final

from decnet_ttp.core.errors import (
    InvalidArgumentError,
    OutOfRangeError,
    ResourceExhaustedError,
    UnavailableError,
)
from decnet_ttp.v1 import rule_pb2, rule_store_service_pb2

#: Changes that a client which comes back may have missed.
HISTORY_CHANGES: Final = 10_000

#: Messages that wait for one watcher before it counts as too slow.
QUEUE_MESSAGES: Final = 256

#: Seconds of silence after which a heart-beat is sent; the contract says 5 at most.
CHECKPOINT_S: Final = 4.0

_EPOCH_BYTES: Final = 8
_CHANGES_PER_MESSAGE: Final = 500

Response = rule_store_service_pb2.WatchRulesResponse
Change = rule_store_service_pb2.RuleChange
Snapshot = Callable[[], Iterable[rule_pb2.Rule]]


class RevisionGoneError(OutOfRangeError):
    """The place a client names is not in the history any more, or never was."""

    reason = "RULE_REVISION_GONE"


class WatcherTooSlowError(ResourceExhaustedError):
    """A client does not read as quickly as rules change."""

    reason = "RULE_WATCHER_TOO_SLOW"


class StoreStoppingError(UnavailableError):
    """The store ends; another life of it will answer soon."""

    reason = "RULE_STORE_STOPPING"


class _Watcher:
    """The mailbox of one client. Whoever fills it never waits."""

    def __init__(self, capacity: int) -> None:
        self._waiting: deque[Response] = deque()
        self._capacity = capacity
        self._something = asyncio.Event()
        self.end: Exception | None = None

    def offer(self, message: Response) -> bool:
        """Leave a message; False when the mailbox is full, which ends the watch."""
        if len(self._waiting) >= self._capacity:
            self._waiting.clear()
            self.close(
                WatcherTooSlowError(
                    f"{self._capacity} messages wait unread; watch again from revision 0",
                    waiting=self._capacity,
                )
            )
            return False
        self._waiting.append(message)
        self._something.set()
        return True

    def close(self, reason: Exception) -> None:
        """End the watch once what waits has been taken."""
        self.end = reason
        self._something.set()

    async def take(self, timeout_s: float) -> Response | None:
        """Return the next message, or None after some seconds of silence.

        Raises:
            WatcherTooSlowError: The mailbox was full.
            StoreStoppingError: The store ends.
        """
        if not self._waiting and self.end is None:
            self._something.clear()
            try:
                await asyncio.wait_for(self._something.wait(), timeout_s)
            except TimeoutError:
                return None
        if self._waiting:
            return self._waiting.popleft()
        if self.end is not None:
            raise self.end
        return None


class RevisionLog:
    """Counts changes, remembers the last of them, and hands them to every watcher.

    Args:
        history: Changes to remember.
        queue: Messages that may wait for one watcher.
        checkpoint_s: Seconds of silence before a heart-beat.
    """

    def __init__(
        self,
        *,
        history: int = HISTORY_CHANGES,
        queue: int = QUEUE_MESSAGES,
        checkpoint_s: float = CHECKPOINT_S,
    ) -> None:
        self.epoch = secrets.token_hex(_EPOCH_BYTES)
        self.revision = 0
        self._changes: deque[Change] = deque(maxlen=history)
        self._queue = queue
        self._checkpoint_s = checkpoint_s
        self._watchers: set[_Watcher] = set()
        self._end: Exception | None = None

    @property
    def watcher_count(self) -> int:
        """Clients that follow now."""
        return len(self._watchers)

    def publish(self, changes: Sequence[Change]) -> None:
        """Number changes that happened together and hand them out."""
        for first in range(0, len(changes), _CHANGES_PER_MESSAGE):
            chunk = changes[first : first + _CHANGES_PER_MESSAGE]
            self._changes.extend(chunk)
            self.revision += len(chunk)
            message = Response(changes=chunk, revision=self.revision, epoch=self.epoch)
            self._watchers = {w for w in self._watchers if w.offer(message)}

    def close(self) -> None:
        """End every watch, now and later."""
        self._end = StoreStoppingError("the rule-store is stopping; watch again")
        for watcher in self._watchers:
            watcher.close(self._end)
        self._watchers.clear()

    async def follow(
        self, after_revision: int, epoch: str, snapshot: Snapshot
    ) -> AsyncIterator[Response]:
        """Yield a snapshot or what was missed, then every change, then heart-beats between.

        Args:
            after_revision: Revision the client has; 0 for a snapshot.
            epoch: Life of the store that revision belongs to.
            snapshot: Returns all rules as they are now.

        Raises:
            InvalidArgumentError: The revision is negative.
            RevisionGoneError: Another life, or too long ago.
            WatcherTooSlowError: The client reads too slowly.
            StoreStoppingError: The store ends.
        """
        if self._end is not None:
            raise self._end
        first = self._first_messages(after_revision, epoch, snapshot)
        # Registered before the first await, so that nothing falls between the two.
        watcher = _Watcher(self._queue)
        self._watchers.add(watcher)
        reached = after_revision
        try:
            for message in first:
                reached = message.revision
                yield message
            while True:
                taken = await watcher.take(self._checkpoint_s)
                if taken is None:
                    yield Response(revision=reached, epoch=self.epoch, checkpoint=True)
                else:
                    reached = taken.revision
                    yield taken
        finally:
            self._watchers.discard(watcher)

    def _first_messages(
        self, after_revision: int, epoch: str, snapshot: Snapshot
    ) -> list[Response]:
        if after_revision < 0:
            raise InvalidArgumentError(
                f"after_revision is {after_revision}; use 0 for a snapshot or a revision received",
                field="after_revision",
            )
        if after_revision == 0:
            changes = [Change(rule_id=rule.rule_id, upserted=rule) for rule in snapshot()]
            return [
                Response(changes=changes, revision=self.revision, epoch=self.epoch, snapshot=True)
            ]
        if epoch != self.epoch:
            raise RevisionGoneError(
                "the revision belongs to another life of the rule-store; watch again from 0",
                after_revision=after_revision,
            )
        missed = self.revision - after_revision
        if not 0 <= missed <= len(self._changes):
            kept = self.revision - len(self._changes)
            raise RevisionGoneError(
                f"revision {after_revision} is not kept; the history holds {kept} to "
                f"{self.revision}; watch again from 0",
                after_revision=after_revision,
                oldest=kept,
                newest=self.revision,
            )
        if not missed:
            # Tells the client at once that it is up to date.
            return [Response(revision=self.revision, epoch=self.epoch, checkpoint=True)]
        changes = list(self._changes)[-missed:]
        return [
            Response(
                changes=changes[first : first + _CHANGES_PER_MESSAGE],
                revision=after_revision + min(first + _CHANGES_PER_MESSAGE, missed),
                epoch=self.epoch,
            )
            for first in range(0, missed, _CHANGES_PER_MESSAGE)
        ]
