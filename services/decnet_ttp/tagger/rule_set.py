# SPDX-License-Identifier: AGPL-3.0-or-later
"""The rules in force: immutable, swapped whole, so that a batch finishes on what it began with."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from decnet_ttp.attack import Catalogue
from decnet_ttp.core.errors import DecnetError
from decnet_ttp.tagger.lifter import Evaluator, Lifter
from decnet_ttp.v1 import rule_pb2

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Target:
    """What one emission of a rule means in the loaded ATT&CK release.

    Attributes:
        tactic: Tactic.
        technique_id: Technique without sub-technique.
        sub_technique_id: Sub-technique in full, or empty.
        confidence: Confidence the tag gets, after the rule's ceiling.
    """

    tactic: str
    technique_id: str
    sub_technique_id: str
    confidence: float


@dataclass(frozen=True, slots=True)
class LiveRule:
    """A rule in force.

    Attributes:
        rule: Definition and state.
        targets: One per emission, with confidences as the rule is in its default state; None
            for an emission that the loaded release makes the same as an earlier one.
        withheld: Whether its tags are counted instead of made (disabled or experimental).
        ceiling: Highest confidence its tags may have.
        expires_s: When the state ends, in seconds since the epoch; infinite when it stays.
    """

    rule: rule_pb2.Rule
    targets: tuple[Target | None, ...]
    withheld: bool
    ceiling: float
    expires_s: float

    @property
    def experimental(self) -> bool:
        """Whether its tags are never stored, whatever its state."""
        return self.rule.status == rule_pb2.RULE_STATUS_EXPERIMENTAL


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
        targets.append(
            Target(
                tactic=tactic.id,
                technique_id=parent or technique.id,
                sub_technique_id=technique.id if parent else "",
                confidence=emission.confidence,
            )
        )
    return tuple(targets)


def _live(rule: rule_pb2.Rule, catalogue: Catalogue) -> LiveRule:
    state = rule.state
    clipped = state.mode == rule_pb2.RULE_MODE_CLIPPED
    experimental = rule.status == rule_pb2.RULE_STATUS_EXPERIMENTAL
    return LiveRule(
        rule=rule,
        targets=_targets(rule, catalogue),
        withheld=experimental or state.mode == rule_pb2.RULE_MODE_DISABLED,
        ceiling=state.confidence_max if clipped else 1.0,
        expires_s=(
            state.expire_time.ToNanoseconds() / 1e9
            if state.HasField("expire_time")
            else float("inf")
        ),
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
                        lifter.compile([rule], None)
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
