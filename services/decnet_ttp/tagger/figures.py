# SPDX-License-Identifier: AGPL-3.0-or-later
"""What a tagger counts, for its heart-beats and its metrics page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Protocol

from decnet_ttp.runtime.figures import Family, Figure, Histogram, by_label, counter, gauge
from decnet_ttp.tagger.artifacts import Artifacts
from decnet_ttp.tagger.rule_set import RuleSet
from decnet_ttp.tagger.statistics import RuleStatistics


class Follower(Protocol):
    """Whoever knows the rules in force.

    Attributes:
        rules: The rules.
        revision: Their revision.
    """

    rules: RuleSet
    revision: int


class Figures:
    """Tells them.

    Args:
        statistics: Counts what rules did.
        follower: Knows the rules in force.
        artifacts: Stored mails.
    """

    def __init__(
        self, statistics: RuleStatistics, follower: Follower, artifacts: Artifacts
    ) -> None:
        self._statistics = statistics
        self._follower = follower
        self._artifacts = artifacts

    async def progress(self) -> Mapping[str, Figure]:
        """Return what a heart-beat carries."""
        statistics = self._statistics
        numbers = statistics.snapshot(self._follower.rules).values()
        return {
            "last_event_ts": statistics.last_batch_s or None,
            "events": statistics.count,
            "tags": sum(each.tags for each in numbers),
            "tags_withheld": sum(each.withheld for each in numbers),
            "messages_unread": self._artifacts.refused.total(),
            "failures": sum(each.failures for each in numbers),
            "rules": len(self._follower.rules.rules),
            "rules_revision": self._follower.revision,
        }

    async def counted(self) -> list[Family | Histogram]:
        """Return everything."""
        statistics = self._statistics
        rules = self._follower.rules
        numbers = statistics.snapshot(rules)
        withheld = sum(each.withheld for each in numbers.values())

        def of_rules(name: str, meaning: str, values: Mapping[str, float]) -> Family:
            # Time is an estimate, which a better sample may lower.
            kind: Literal["counter", "gauge"] = "gauge" if name.endswith("_seconds") else "counter"
            return by_label(kind, name, meaning, "rule_id", values)

        return [
            Family(
                "events_evaluated",
                "counter",
                "Events held against the rules of a lifter.",
                dict(statistics.events),
                ("source_kind", "lifter"),
            ),
            of_rules(
                "rule_evaluations",
                "Events of the kinds that the rule reads.",
                {rule_id: each.evaluations for rule_id, each in numbers.items()},
            ),
            of_rules(
                "rule_matches",
                "Events on which the rule fired.",
                {rule_id: each.matches for rule_id, each in numbers.items()},
            ),
            of_rules(
                "rule_tags",
                "Tags that the rule made.",
                {rule_id: each.tags for rule_id, each in numbers.items()},
            ),
            of_rules(
                "rule_tags_withheld",
                "Tags not made because the rule is disabled or experimental.",
                {rule_id: each.withheld for rule_id, each in numbers.items()},
            ),
            of_rules(
                "rule_failures",
                "Events on which the rule failed.",
                {rule_id: each.failures for rule_id, each in numbers.items()},
            ),
            of_rules(
                "rule_spent_seconds",
                "Time the rule takes, as far as samples tell.",
                {rule_id: each.spent_s for rule_id, each in numbers.items()},
            ),
            by_label(
                "counter", "tags_dropped", "Tags not made.", "reason", {"rule_disabled": withheld}
            ),
            counter("messages_read", "Stored mails that were read.", self._artifacts.read_count),
            by_label(
                "counter",
                "messages_unread",
                "Stored mails that were not read.",
                "reason",
                dict(self._artifacts.refused),
            ),
            gauge("rules_in_force", "Rules in force.", len(rules.rules)),
            gauge("rules_revision", "Revision of the rules in force.", self._follower.revision),
            statistics.latency,
        ]
