# SPDX-License-Identifier: AGPL-3.0-or-later
"""The rules in force: immutable, swapped whole, so that a batch finishes on what it began with."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from decnet_ttp.attack import Catalogue
from decnet_ttp.core.errors import DecnetError
from decnet_ttp.core.shipped import data_digest
from decnet_ttp.tagger.lifter import Evaluator, Lifter
from decnet_ttp.tagger.live_state import NORMAL, LiveState, live_state, strictest
from decnet_ttp.v1 import event_pb2, rule_pb2

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Target:
    """What one emission of a rule means in the loaded ATT&CK release.

    Attributes:
        tactic: Tactic.
        technique_id: Technique without sub-technique.
        sub_technique_id: Sub-technique in full, or empty.
        confidence: Confidence the tag gets, after the rule's ceiling.
        attack_release: Release of its matrix; empty for the first matrix, whose release tags
            carry by default.
    """

    tactic: str
    technique_id: str
    sub_technique_id: str
    confidence: float
    attack_release: str = ""


@dataclass(frozen=True, slots=True)
class LiveRule:
    """A rule in force.

    Attributes:
        rule: Definition and state.
        targets: One per emission, with confidences as the rule is in its default state; None
            for an emission that the loaded release makes the same as an earlier one.
        state: Its state for every event that no scoped state speaks of.
        scoped: Its states for a part of the events.
    """

    rule: rule_pb2.Rule
    targets: tuple[Target | None, ...]
    state: LiveState
    scoped: tuple[LiveState, ...]

    @property
    def experimental(self) -> bool:
        """Whether its tags are never stored, whatever its state."""
        return self.rule.status == rule_pb2.RULE_STATUS_EXPERIMENTAL

    @property
    def plain(self) -> bool:
        """Whether it works as it does by default, whatever the event and the time."""
        return not self.experimental and not self.scoped and self.state.ceiling == NORMAL.ceiling

    def state_for(self, group: event_pb2.EventGroup, source_kind: str, now_s: float) -> LiveState:
        """Return the state that counts for an event: the narrower one, then the stricter one."""
        if self.scoped:
            found = strictest(self.scoped, group, source_kind, now_s)
            if found is not None:
                return found
        return self.state if now_s < self.state.expires_s else NORMAL


def _targets(rule: rule_pb2.Rule, catalogue: Catalogue) -> tuple[Target | None, ...]:
    """Resolve what a rule emits.

    Raises:
        DecnetError: An id does not resolve in the loaded release.
    """
    targets: list[Target | None] = []
    seen: set[str] = set()
    for emission in rule.emissions:
        technique = catalogue.resolve(emission.sub_technique_id or emission.technique_id)
        tactic = catalogue.resolve_tactic(technique.id, emission.tactic)
        parent = technique.parent or ""
        if technique.id in seen:
            targets.append(None)
            continue
        seen.add(technique.id)
        matrix = catalogue.matrix_of(technique.id)
        targets.append(
            Target(
                tactic=tactic.id,
                technique_id=parent or technique.id,
                sub_technique_id=technique.id if parent else "",
                confidence=emission.confidence,
                attack_release="" if matrix is catalogue.matrices[0] else matrix.attack_release,
            )
        )
    return tuple(targets)


def _live(rule: rule_pb2.Rule, catalogue: Catalogue) -> LiveRule:
    return LiveRule(
        rule=rule,
        targets=_targets(rule, catalogue),
        state=live_state(rule.state),
        scoped=tuple(live_state(state) for state in rule.scoped_states),
    )


def _warn_of_another_file(rule: rule_pb2.Rule, lifter: Lifter) -> None:
    """Say that the file beside the rules is another here than the rule-store read."""
    ask = getattr(lifter, "data_paths", None)
    if not rule.data_sha256 or rule.load_error or ask is None:
        return
    found = data_digest(ask(rule))
    if found != rule.data_sha256:
        _log.warning(
            "a rule reads another file here than at the rule-store; bring the file over, then edit "
            "the rule",
            extra={"rule_id": rule.rule_id, "here": found, "there": rule.data_sha256},
        )


class RuleSet:
    """The rules of some lifters at one revision.

    Attributes:
        rules: The live rules by id.
        evaluators: One per lifter, by its name.
        counts: Rules per lifter, by its name.
    """

    def __init__(
        self,
        rules: Mapping[str, LiveRule],
        evaluators: Mapping[str, Evaluator],
        counts: Mapping[str, int],
    ) -> None:
        self.rules = MappingProxyType(dict(rules))
        self.evaluators = MappingProxyType(dict(evaluators))
        self.counts = MappingProxyType(dict(counts))

    @classmethod
    def empty(cls) -> RuleSet:
        """Return a set without rules."""
        return cls({}, {}, {})

    def changed(
        self,
        upserted: Iterable[rule_pb2.Rule],
        deleted: Iterable[str],
        lifters: Sequence[Lifter],
        catalogue: Catalogue,
    ) -> RuleSet:
        """Return the set after some changes.

        A rule that cannot be used (an id that does not resolve, a condition that does not
        compile) is logged, and leaves the definition that was in force before, under its new
        state.
        """
        rules = dict(self.rules)
        for rule_id in deleted:
            rules.pop(rule_id, None)
        for rule in upserted:
            if not any(lifter.owns(rule) for lifter in lifters):
                rules.pop(rule.rule_id, None)
                continue
            try:
                live = _live(rule, catalogue)
                for lifter in lifters:
                    if lifter.owns(rule):
                        lifter.compile([rule], self.evaluators.get(lifter.name))
                        _warn_of_another_file(rule, lifter)
            except DecnetError as error:
                _log.error(
                    "rule refused: %s",
                    error.message,
                    extra={"rule_id": rule.rule_id, "rule_version": rule.rule_version},
                )
                if rule.rule_id in rules:
                    kept = rule_pb2.Rule()
                    kept.CopyFrom(rules[rule.rule_id].rule)
                    kept.state.CopyFrom(rule.state)
                    kept.ClearField("scoped_states")
                    kept.scoped_states.extend(rule.scoped_states)
                    rules[rule.rule_id] = _live(kept, catalogue)
                continue
            rules[rule.rule_id] = live
        evaluators = {}
        counts = {}
        for lifter in lifters:
            own = [live.rule for live in rules.values() if lifter.owns(live.rule)]
            evaluators[lifter.name] = lifter.compile(own, self.evaluators.get(lifter.name))
            counts[lifter.name] = len(own)
        return RuleSet(rules, evaluators, counts)
