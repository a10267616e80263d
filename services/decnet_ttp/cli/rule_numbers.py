# SPDX-License-Identifier: AGPL-3.0-or-later
"""What rules did and cost, from every tagger, and when the tag-store heard of them last."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from decnet_ttp.cli.connection import CALL_TIMEOUT_S, Connection, Listing, with_channel
from decnet_ttp.cli.output import Cell, moment_of, print_table

if TYPE_CHECKING:
    from grpc.aio import Channel

    from decnet_ttp.v1.rule_pb2 import Rule
    from decnet_ttp.v1.tagger_service_pb2 import RuleStatistics

# Questions to the tag-store at once.
_AT_ONCE = 16


@dataclass
class Numbers:
    """What one rule did, in all taggers together, since these started.

    Attributes:
        evaluations: Events it was held against.
        matches: Events on which it fired.
        tags: Tags made.
        withheld: Tags not made because it is disabled or experimental.
        failures: Events on which it failed.
        spent_s: Estimated time of its evaluations, in seconds.
        last_fired_s: When it fired last, in seconds since the epoch; 0 when it did not.
    """

    evaluations: int = 0
    matches: int = 0
    tags: int = 0
    withheld: int = 0
    failures: int = 0
    spent_s: float = 0.0
    last_fired_s: float = 0.0

    def add(self, row: RuleStatistics) -> None:
        """Add what one tagger counted."""
        self.evaluations += row.evaluation_count
        self.matches += row.match_count
        self.tags += row.tag_count
        self.withheld += row.withheld_count
        self.failures += row.failure_count
        self.spent_s += row.spent_duration.ToNanoseconds() / 1e9
        self.last_fired_s = max(self.last_fired_s, row.last_fired_time.ToNanoseconds() / 1e9)

    @property
    def each_us(self) -> float:
        """Microseconds of one evaluation."""
        return 1e6 * self.spent_s / self.evaluations if self.evaluations else 0.0

    def as_json(self) -> dict[str, Any]:
        """Return everything; the time of the last firing in ISO 8601 or null."""
        fired = datetime.fromtimestamp(self.last_fired_s, UTC) if self.last_fired_s else None
        return {
            "evaluations": self.evaluations,
            "matches": self.matches,
            "tags": self.tags,
            "withheld": self.withheld,
            "failures": self.failures,
            "spent_s": round(self.spent_s, 6),
            "last_fired_time": fired.isoformat(timespec="seconds") if fired else None,
        }


async def numbers_of_rules(connection: Connection) -> dict[str, Numbers]:
    """Ask every tagger.

    Raises:
        DecnetError: One is away.
        SettingsError: None is named.
    """
    from decnet_ttp.cli.taggers import with_taggers
    from decnet_ttp.v1.tagger_service_pb2 import ListRuleStatisticsRequest
    from decnet_ttp.v1.tagger_service_pb2_grpc import TaggerServiceStub

    found: dict[str, Numbers] = {}

    async def ask(channel: Channel) -> None:
        method = TaggerServiceStub(channel).ListRuleStatistics
        async for row in Listing(method, ListRuleStatisticsRequest(), "statistics"):
            found.setdefault(row.rule_id, Numbers()).add(row)

    await with_taggers(connection, ask)
    return found


async def silent_rules(
    connection: Connection, rule_ids: Iterable[str], numbers: Mapping[str, Numbers], days: int
) -> set[str]:
    """Return the rules that neither fired in a tagger nor stored a tag for some days.

    Raises:
        DecnetError: The tag-store is away.
    """
    from decnet_ttp.runtime.clients import call
    from decnet_ttp.v1.scope_pb2 import FleetScope, Scope
    from decnet_ttp.v1.tag_store_service_pb2 import ListTagsRequest, ListTagsResponse
    from decnet_ttp.v1.tag_store_service_pb2_grpc import TagStoreServiceStub

    since_s = (datetime.now(UTC) - timedelta(days=days)).timestamp()
    unheard = [each for each in rule_ids if numbers.get(each, Numbers()).last_fired_s < since_s]

    async def ask(channel: Channel) -> set[str]:
        method = TagStoreServiceStub(channel).ListTags
        turn = asyncio.Semaphore(_AT_ONCE)

        async def silent(rule_id: str) -> bool:
            request = ListTagsRequest(scope=Scope(fleet=FleetScope()), rule_id=rule_id, page_size=1)
            async with turn:
                page: ListTagsResponse = await call(method, request, timeout_s=CALL_TIMEOUT_S)
            return not page.tags or page.tags[0].create_time.ToNanoseconds() / 1e9 < since_s

        answers = await asyncio.gather(*map(silent, unheard))
        return {rule_id for rule_id, answer in zip(unheard, answers, strict=True) if answer}

    return await with_channel(connection, "tag_store", ask)


def review_due(rule: Rule, today: str) -> bool:
    """Tell whether the day of a rule's next review has come; days are ISO 8601."""
    return bool(rule.next_review_date) and rule.next_review_date <= today


def in_order(rules: Sequence[Rule], numbers: Mapping[str, Numbers], sort: str) -> list[Rule]:
    """Return rules by cost or matches, the highest first, or by name."""
    own = {rule.rule_id: numbers.get(rule.rule_id, Numbers()) for rule in rules}
    match sort:
        case "cost":
            return sorted(rules, key=lambda rule: (-own[rule.rule_id].spent_s, rule.rule_id))
        case "fired":
            return sorted(rules, key=lambda rule: (-own[rule.rule_id].matches, rule.rule_id))
        case "name":
            return sorted(rules, key=lambda rule: (rule.name, rule.rule_id))
        case _:
            return list(rules)


def print_numbers(rules: Sequence[Rule], numbers: Mapping[str, Numbers]) -> None:
    """Print one line a rule: what it did and costs."""
    from decnet_ttp.cli.rule_tables import state_text

    rows: list[list[str | Cell]] = []
    for rule in rules:
        own = numbers.get(rule.rule_id, Numbers())
        rows.append(
            [
                Cell(rule.rule_id, "bold"),
                rule.name,
                state_text(rule),
                str(own.evaluations),
                str(own.matches),
                str(own.tags),
                str(own.withheld),
                Cell(str(own.failures), "bold red" if own.failures else ""),
                f"{own.each_us:.1f}",
                f"{own.spent_s:.3f}",
                moment_of(own.last_fired_s) if own.last_fired_s else "-",
                rule.next_review_date or "-",
            ]
        )
    columns = [
        ("rule", "fixed"),
        ("name", "left"),
        ("state", "left"),
        *(
            (name, "number")
            for name in ("events", "matches", "tags", "withheld", "failures", "us/event", "s")
        ),
        ("last fired (UTC)", "fixed"),
        ("next review", "fixed"),
    ]
    print_table(columns, rows, empty="no rule is so")
