# SPDX-License-Identifier: AGPL-3.0-or-later
"""What each rule did and costs since this process started, counted without slowing it down.

Events are counted by kind and shared out among the rules only when somebody asks; what a rule
costs is measured on few events, one rule at a time.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from decnet_ttp.core.source_kinds import SourceKind
from decnet_ttp.matching import kinds_read
from decnet_ttp.runtime.figures import Histogram
from decnet_ttp.tagger.rule_set import RuleSet

#: On one event in this many a rule is timed. A prime, so that no regular batch hides a kind.
SAMPLE_EVENTS: Final = 509

#: The same at the start, so that quiet installations learn something too; grows with each sample.
FIRST_SAMPLE_EVENTS: Final = 17
_GROWTH_EVENTS: Final = 4

_KINDS: Final = frozenset(SourceKind)

#: Stands for every kind that is not ours: producers may name any number of them.
_OTHER: Final = "other"


@dataclass(slots=True)
class RuleNumbers:
    """The numbers of one rule.

    Attributes:
        evaluations: Events of the kinds it reads.
        matches: Events on which it fired.
        tags: Tags made.
        withheld: Tags it would have made, were it not disabled or experimental.
        failures: Events on which it failed.
        last_fired_s: When it fired last, in seconds since the epoch; 0 when it never did.
        samples: Evaluations that were timed.
        sampled_s: What these took, in seconds.
    """

    evaluations: int = 0
    matches: int = 0
    tags: int = 0
    withheld: int = 0
    failures: int = 0
    last_fired_s: float = 0.0
    samples: int = 0
    sampled_s: float = 0.0

    @property
    def spent_s(self) -> float:
        """Estimate of what all its evaluations took, in seconds; 0 before the first sample."""
        return self.sampled_s / self.samples * self.evaluations if self.samples else 0.0


class RuleStatistics:
    """The numbers of all rules that were ever in force.

    Args:
        clock: Seconds since the epoch.

    Attributes:
        since_s: When counting began, in seconds since the epoch.
        count: Events that were evaluated.
        last_batch_s: When a batch came last, in seconds since the epoch; 0 before the first.
        events: Events that a lifter looked at, by source kind and lifter.
        latency: Time of a batch.
        until_sample: Events until a rule is timed.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.since_s = clock()
        self.count = 0
        self.last_batch_s = 0.0
        self.events: Counter[tuple[str, ...]] = Counter()
        self.latency = Histogram("evaluation_seconds", "Time of a batch of events.")
        self._numbers: dict[str, RuleNumbers] = {}
        self._rules = RuleSet.empty()
        self._pending: Counter[str] = Counter()
        self.until_sample = FIRST_SAMPLE_EVENTS
        self._turn: dict[str, int] = {}
        self._interval = FIRST_SAMPLE_EVENTS

    def of(self, rule_id: str) -> RuleNumbers:
        """Return the numbers of a rule that fired or failed, to be counted up."""
        found = self._numbers.get(rule_id)
        if found is None:
            found = self._numbers[rule_id] = RuleNumbers()
        return found

    def count_batch(
        self, rules: RuleSet, kinds: Mapping[str, int], *, began_s: float, took_s: float
    ) -> None:
        """Count a batch of events.

        Args:
            rules: The rules it went through.
            kinds: Events by kind; a kind that nobody knows counts as `other`.
            began_s: When it began, in seconds since the epoch.
            took_s: How long it took, in seconds.
        """
        if rules is not self._rules:
            self._share_out()
            self._rules = rules
        if not kinds:
            return
        self.last_batch_s = began_s
        self.latency.observe(took_s)
        self._pending.update(kinds)
        for kind, count in kinds.items():
            self.count += count
            name = kind if kind in _KINDS else _OTHER
            for lifter, evaluator in rules.evaluators.items():
                if kind in evaluator.source_kinds:
                    self.events[name, lifter] += count

    def next_interval(self) -> int:
        """Return how many events pass until the next sample, now that one is due."""
        self._interval = min(SAMPLE_EVENTS, self._interval + _GROWTH_EVENTS)
        return self._interval

    def next_turn(self, kind: str, rules: int) -> int:
        """Return which of so many rules of a kind is timed now; each in its turn."""
        turn = self._turn.get(kind, -1) + 1
        self._turn[kind] = turn
        return turn % rules

    def count_sample(self, rule_id: str, took_s: float) -> None:
        """Count one evaluation of a rule that was timed."""
        numbers = self.of(rule_id)
        numbers.samples += 1
        numbers.sampled_s += took_s

    def snapshot(self, rules: RuleSet) -> Mapping[str, RuleNumbers]:
        """Return the numbers of the rules in force and of those that were evaluated, by id."""
        self._share_out()
        for rule_id in rules.rules:
            self.of(rule_id)
        return dict(sorted(self._numbers.items()))

    def _share_out(self) -> None:
        if not self._pending:
            return
        for rule_id, live in self._rules.rules.items():
            seen = sum(self._pending[kind] for kind in kinds_read(live.rule))
            if seen:
                self.of(rule_id).evaluations += seen
        self._pending.clear()
