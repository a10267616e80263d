# SPDX-License-Identifier: AGPL-3.0-or-later
"""Rules as they are in force: definitions from a backend, states from operators."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

from decnet_ttp.core.errors import NotFoundError, UnavailableError
from decnet_ttp.rule_store.problems import Problem
from decnet_ttp.rule_store.revisions import RevisionLog
from decnet_ttp.rule_store.scopes import EVERYTHING, scope_of
from decnet_ttp.rule_store.state_store import States
from decnet_ttp.v1 import rule_pb2, rule_store_service_pb2

_log = logging.getLogger(__name__)

_Change = rule_store_service_pb2.RuleChange


def mode_name(state: rule_pb2.RuleState) -> str:
    """Return the mode of a state as a word."""
    return rule_pb2.RuleMode.Name(state.mode).removeprefix("RULE_MODE_").lower()


class RuleNotFoundError(NotFoundError):
    """No rule has this id."""

    reason = "RULE_NOT_FOUND"


@dataclass(frozen=True, slots=True)
class DefinitionChanges:
    """What a backend found changed.

    Attributes:
        upserted: Rules that are new or different, without state.
        deleted: Ids of rules that are gone.
        orphaned: Every problem of a file that no rule in force comes from, as of now.
    """

    upserted: tuple[rule_pb2.Rule, ...] = ()
    deleted: tuple[str, ...] = ()
    orphaned: tuple[Problem, ...] = ()


class RulesNotLoadedError(UnavailableError):
    """The store does not know its rules, or the states of them, yet."""

    reason = "RULES_NOT_LOADED"


class RuleBook:
    """All rules with their states, and the history of their changes.

    Used from one event loop; every method that does not wait is atomic for the others.

    Args:
        revisions: The history.
        with_states: Whether states are kept, so that no rule may be handed out before they are
            known: it might be one that an operator switched off.

    Attributes:
        compiled: Definitions put in force, by rule.
        state_changes: States put in force since the stored ones were known, by rule and mode.
    """

    def __init__(self, revisions: RevisionLog, *, with_states: bool = False) -> None:
        self._revisions = revisions
        self._definitions: dict[str, rule_pb2.Rule] = {}
        self._states: dict[str, States] = {}
        self._orphaned: tuple[Problem, ...] = ()
        self._defined = False
        self._states_known = not with_states
        self.compiled: Counter[str] = Counter()
        self.state_changes: Counter[tuple[str, ...]] = Counter()

    @property
    def loaded(self) -> bool:
        """Whether rules and states are known."""
        return self._defined and self._states_known

    def check_loaded(self) -> None:
        """Return once something may be answered from the book.

        Raises:
            RulesNotLoadedError: Rules or states are not known yet.
        """
        if not self.loaded:
            what = "states of the rules" if self._defined else "rules"
            raise RulesNotLoadedError(f"the {what} are not loaded yet; try again shortly")

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Problems of files that no rule in force comes from."""
        return self._orphaned

    @property
    def rule_ids(self) -> list[str]:
        """Ids of all rules in order."""
        return sorted(self._definitions)

    def rule(self, rule_id: str) -> rule_pb2.Rule:
        """Return one rule with its state.

        Raises:
            RuleNotFoundError: There is none of this id.
        """
        definition = self._definitions.get(rule_id)
        if definition is None:
            raise RuleNotFoundError(
                "no rule has this id; `decnet-ttp rules list` shows those there are",
                rule_id=rule_id,
            )
        rule = rule_pb2.Rule()
        rule.CopyFrom(definition)
        rule.state.mode = rule_pb2.RULE_MODE_ENABLED
        for state in self._states.get(rule_id, ()):
            if scope_of(state) == EVERYTHING:
                rule.state.CopyFrom(state)
            else:
                rule.scoped_states.append(state)
        return rule

    def follow(
        self, after_revision: int, epoch: str
    ) -> AsyncIterator[rule_store_service_pb2.WatchRulesResponse]:
        """Yield a snapshot or what was missed, then every change; see `RevisionLog.follow`."""
        return self._revisions.follow(
            after_revision, epoch, lambda: [self.rule(rule_id) for rule_id in self.rule_ids]
        )

    def apply(self, changes: DefinitionChanges) -> None:
        """Put changed definitions in force and announce each."""
        self._defined = True
        self._orphaned = changes.orphaned
        for rule_id in changes.deleted:
            self._definitions.pop(rule_id, None)
        for rule in changes.upserted:
            self._definitions[rule.rule_id] = rule
            self.compiled[rule.rule_id] += 1
        self._revisions.publish(
            [
                *(
                    _Change(rule_id=rule_id, deleted=rule_store_service_pb2.RuleDeletion())
                    for rule_id in changes.deleted
                ),
                *(
                    _Change(rule_id=rule.rule_id, upserted=self.rule(rule.rule_id))
                    for rule in changes.upserted
                ),
            ]
        )
        if changes.deleted or changes.upserted:
            _log.info(
                "rules changed",
                extra={
                    "upserted": len(changes.upserted),
                    "deleted": len(changes.deleted),
                    "rules": len(self._definitions),
                    "revision": self._revisions.revision,
                },
            )

    def restore_states(self, states: Mapping[str, States]) -> None:
        """Put all stored states in force and announce each rule they change."""
        for rule_id in sorted(self._states.keys() | states.keys()):
            self.set_states(rule_id, states.get(rule_id, ()))
        self._states_known = True

    def set_states(self, rule_id: str, states: States) -> None:
        """Put all states of a rule in force and announce it if they are others than before.

        The rule may be absent: its states then wait for it to come back.
        """
        ordered = tuple(sorted(states, key=scope_of))
        before = self._states.get(rule_id, ())
        if ordered == before:
            return
        if self._states_known:
            new = [mode_name(state) for state in ordered if state not in before]
            self.state_changes.update((rule_id, mode) for mode in new or ["default"])
        self._states[rule_id] = ordered
        if not ordered:
            del self._states[rule_id]
        if rule_id in self._definitions:
            self._revisions.publish([_Change(rule_id=rule_id, upserted=self.rule(rule_id))])
