# SPDX-License-Identifier: AGPL-3.0-or-later
"""Operators' decisions about rules: stored first, then in force, and reverted on time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final

from decnet_ttp.core.errors import InvalidArgumentError
from decnet_ttp.rule_store.rule_book import RuleBook
from decnet_ttp.rule_store.scopes import checked_scope, scope_message
from decnet_ttp.rule_store.state_store import StateChange, StateStore, StateStoreAwayError
from decnet_ttp.v1 import rule_pb2

MAX_REASON_BYTES: Final = 1024
MAX_SET_BY_BYTES: Final = 256
MAX_SCOPED_STATES: Final = 256

#: Seconds after which the store is asked again when it was away, and at most between two looks
#: at what expires next: another process may have written to it.
_RETRY_S: Final = 1.0
_LONGEST_SLEEP_S: Final = 30.0

_log = logging.getLogger(__name__)


def _now() -> datetime:
    return datetime.now(UTC)


def check_texts(reason: str, set_by: str) -> None:
    """Hold the two free texts to their bounds.

    Raises:
        InvalidArgumentError: One is too long, or no text.
    """
    for field, text, bound in (
        ("reason", reason, MAX_REASON_BYTES),
        ("set_by", set_by, MAX_SET_BY_BYTES),
    ):
        if len(text.encode()) > bound:
            raise InvalidArgumentError(
                f"{field} is longer than {bound} bytes; shorten it", field=field
            )
        if "\0" in text:
            raise InvalidArgumentError(f"{field} has a NUL character; leave it out", field=field)


class StatePlane:
    """Sets, clears and reverts states; one change at a time.

    Args:
        book: Where states are in force.
        store: Where they outlive the process.
        now: The time in UTC.
    """

    def __init__(
        self, book: RuleBook, store: StateStore, *, now: Callable[[], datetime] = _now
    ) -> None:
        self._book = book
        self._store = store
        self._now = now
        self._lock = asyncio.Lock()
        self._changed = asyncio.Event()

    async def restore(self) -> None:
        """Revert what expired while no process ran, and take the rest into force.

        Called again when another process may have changed states.

        Raises:
            StateStoreAwayError: The store cannot be reached.
        """
        async with self._lock:
            await self._store.expire(self._now())
            self._book.restore_states(await self._store.load())
        self._changed.set()

    async def set(self, rule_id: str, state: rule_pb2.RuleState) -> rule_pb2.Rule:
        """Store a state, put it in force, return the rule.

        Args:
            rule_id: The rule.
            state: What is asked; `set_time` is filled in here, its scope is made canonical.

        Raises:
            RuleNotFoundError: No such rule.
            InvalidArgumentError: A member is out of its range.
            ResourceExhaustedError: The rule has too many scoped states.
            StateStoreAwayError: The store cannot be reached; nothing changed.
        """
        self._check(state)
        if state.HasField("scope"):
            state.scope.CopyFrom(scope_message(checked_scope(state.scope)))
        self._book.rule(rule_id)
        async with self._lock:
            state.set_time.FromDatetime(self._now())
            states = await self._store.put(rule_id, state, scoped_at_most=MAX_SCOPED_STATES)
            self._book.set_states(rule_id, states)
        self._changed.set()
        _log.info(
            "rule state set",
            extra={"rule_id": rule_id, "mode": rule_pb2.RuleMode.Name(state.mode)},
        )
        return self._book.rule(rule_id)

    async def clear(
        self, rule_id: str, scope: rule_pb2.StateScope | None, *, set_by: str, reason: str
    ) -> rule_pb2.Rule:
        """Return a rule to its default state, or end the state of one scope.

        Raises:
            RuleNotFoundError: No such rule.
            InvalidArgumentError: A text is too long, or the scope names nothing.
            StateStoreAwayError: The store cannot be reached; nothing changed.
        """
        check_texts(reason, set_by)
        key = None if scope is None else checked_scope(scope)
        self._book.rule(rule_id)
        async with self._lock:
            states = await self._store.clear(
                rule_id, key, set_by=set_by, reason=reason, now=self._now()
            )
            self._book.set_states(rule_id, states)
        _log.info("rule state cleared", extra={"rule_id": rule_id})
        return self._book.rule(rule_id)

    async def list_changes(
        self, rule_id: str, *, before: int | None, limit: int
    ) -> Sequence[StateChange]:
        """Return the history, newest first; see `StateStore.list_changes`."""
        return await self._store.list_changes(rule_id, before=before, limit=limit)

    async def revert_on_time(self, stop: asyncio.Event) -> None:
        """Revert each state at its expiry until told to stop."""
        away = False
        while not stop.is_set():
            self._changed.clear()
            try:
                delay = await self._revert_due()
                away = False
            except StateStoreAwayError:
                if not away:
                    _log.warning("states cannot be reverted now: the database does not answer")
                away = True
                delay = _RETRY_S
            await self._sleep(delay, stop)

    async def _revert_due(self) -> float:
        async with self._lock:
            for rule_id, states in (await self._store.expire(self._now())).items():
                self._book.set_states(rule_id, states)
                _log.info("rule state expired", extra={"rule_id": rule_id})
        following = await self._store.next_expiry()
        if following is None:
            return _LONGEST_SLEEP_S
        return min(max((following - self._now()).total_seconds(), 0.0), _LONGEST_SLEEP_S)

    async def _sleep(self, delay_s: float, stop: asyncio.Event) -> None:
        waits = [asyncio.ensure_future(event.wait()) for event in (self._changed, stop)]
        try:
            await asyncio.wait(waits, timeout=delay_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
                with suppress(asyncio.CancelledError):
                    await wait

    def _check(self, state: rule_pb2.RuleState) -> None:
        check_texts(state.reason, state.set_by)
        clipped = state.mode == rule_pb2.RULE_MODE_CLIPPED
        if state.mode not in rule_pb2.RuleMode.values() or not state.mode:
            raise InvalidArgumentError(
                "mode is not set; use RULE_MODE_ENABLED, RULE_MODE_DISABLED or RULE_MODE_CLIPPED",
                field="mode",
            )
        if clipped and not 0.0 < state.confidence_max <= 1.0:
            raise InvalidArgumentError(
                f"confidence_max is {state.confidence_max:g}; a clipped rule needs more than 0 "
                "and at most 1",
                field="confidence_max",
            )
        if not clipped and state.confidence_max != 0.0:
            raise InvalidArgumentError(
                "confidence_max belongs to RULE_MODE_CLIPPED only; leave it out",
                field="confidence_max",
            )
        if state.HasField("expire_time") and state.expire_time.ToDatetime(UTC) <= self._now():
            raise InvalidArgumentError(
                "expire_time is in the past; name a later moment", field="expire_time"
            )
