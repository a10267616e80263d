# SPDX-License-Identifier: AGPL-3.0-or-later
"""Where the states of rules outlive the process, with the history of who set them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from decnet_ttp.core.errors import UnavailableError
from decnet_ttp.rule_store.scopes import ScopeKey
from decnet_ttp.v1 import rule_pb2

#: States of one rule, each with its own scope.
States = Sequence[rule_pb2.RuleState]


class StateStoreAwayError(UnavailableError):
    """The database that holds the states does not answer."""

    reason = "RULE_STATE_STORE_AWAY"


@dataclass(frozen=True, slots=True)
class StateChange:
    """One entry of the history.

    Attributes:
        number: Its place in the history; later ones are larger.
        rule_id: The rule.
        state: The state it got; the default one after a clearing or an expiry.
        time: When it happened.
        expired: Whether the state before reverted by itself.
    """

    number: int
    rule_id: str
    state: rule_pb2.RuleState
    time: datetime
    expired: bool


class StateStore(Protocol):
    """Keeps one state a rule and scope, and every change ever made.

    Every method raises StateStoreAwayError when the store cannot be reached; nothing has
    changed then, or the change is found when states are loaded again.
    """

    async def load(self) -> Mapping[str, States]:
        """Return all states that are not the default one, by rule."""
        ...

    async def put(self, rule_id: str, state: rule_pb2.RuleState, *, scoped_at_most: int) -> States:
        """Store a state and note the change; `set_time` says when it was made.

        Returns:
            All states of the rule.

        Raises:
            ResourceExhaustedError: The rule has as many scoped states as it may have.
        """
        ...

    async def clear(
        self, rule_id: str, scope: ScopeKey | None, *, set_by: str, reason: str, now: datetime
    ) -> States:
        """End the state of one scope, or of all for None, and note it, also when there was none.

        Returns:
            All states of the rule that are left.
        """
        ...

    async def expire(self, now: datetime) -> Mapping[str, States]:
        """Revert every state whose time is over; return what is left to the rules concerned."""
        ...

    async def next_expiry(self) -> datetime | None:
        """Return when the next state reverts; None when none does."""
        ...

    async def list_changes(
        self, rule_id: str, *, before: int | None, limit: int
    ) -> Sequence[StateChange]:
        """Return changes, newest first.

        Args:
            rule_id: Only this rule's; empty for all.
            before: Only those with a smaller number.
            limit: Rows at most.
        """
        ...
