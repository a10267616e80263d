# SPDX-License-Identifier: AGPL-3.0-or-later
"""Rules as they are in force: definitions from a backend, states from operators."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

from decnet_ttp.core.errors import NotFoundError
from decnet_ttp.rule_store.problems import Problem
from decnet_ttp.rule_store.revisions import RevisionLog
from decnet_ttp.v1 import rule_pb2, rule_store_service_pb2

_log = logging.getLogger(__name__)

_Change = rule_store_service_pb2.RuleChange


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


class RuleBook:
    """All rules with their states, and the history of their changes.

    Used from one event loop; every method that does not wait is atomic for the others.
    """

    def __init__(self, revisions: RevisionLog) -> None:
        self._revisions = revisions
        self._definitions: dict[str, rule_pb2.Rule] = {}
        self._states: dict[str, rule_pb2.RuleState] = {}
        self._orphaned: tuple[Problem, ...] = ()
        self.loaded = False

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
        state = self._states.get(rule_id)
        if state is None:
            rule.state.mode = rule_pb2.RULE_MODE_ENABLED
        else:
            rule.state.CopyFrom(state)
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
        self.loaded = True
        self._orphaned = changes.orphaned
        for rule_id in changes.deleted:
            del self._definitions[rule_id]
        for rule in changes.upserted:
            self._definitions[rule.rule_id] = rule
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

    def restore_states(self, states: Mapping[str, rule_pb2.RuleState]) -> None:
        """Take over stored states before the first definitions come."""
        self._states = dict(states)

    def set_state(self, rule_id: str, state: rule_pb2.RuleState | None) -> None:
        """Put a state in force and announce it; None means the default state.

        The rule may be absent: the state then waits for it to come back.
        """
        if state is None:
            self._states.pop(rule_id, None)
        else:
            self._states[rule_id] = state
        if rule_id in self._definitions:
            self._revisions.publish([_Change(rule_id=rule_id, upserted=self.rule(rule_id))])
