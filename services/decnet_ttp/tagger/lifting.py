# SPDX-License-Identifier: AGPL-3.0-or-later
"""Lifters run on events, with what one of them raises contained to the rule it arose in."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from decnet_ttp.core.source_kinds import SourceKind
from decnet_ttp.matching import StepMet
from decnet_ttp.tagger.excerpt import REPEATED_KINDS, Excerpt, Lifted, Memory
from decnet_ttp.tagger.lifter import Evaluator, Finding, Lifter, unread_fields
from decnet_ttp.tagger.rule_set import RuleSet
from decnet_ttp.tagger.statistics import RuleStatistics
from decnet_ttp.v1 import event_pb2, tagger_service_pb2

_log = logging.getLogger(__name__)

Named = tuple[str, Evaluator]


def tolerant(
    lift: Callable[..., Iterable[Finding]], *arguments: object
) -> tuple[list[Finding], Exception | None]:
    """Run a lifter; what it raises is returned instead."""
    try:
        return list(lift(*arguments)), None
    except Exception as error:  # noqa: BLE001 - the one tolerant wrapper around lifters
        return [], error


def _place(error: Exception) -> str:
    """Return file and line an error arose at."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""


@dataclass(frozen=True, slots=True)
class Failed:
    """A rule, or a lifter as a whole, that failed on an event.

    Attributes:
        lifter: The lifter.
        rule_id: The rule; empty when none alone fails.
        error: What was raised.
    """

    lifter: str
    rule_id: str
    error: Exception


class KindLifting:
    """The lifters that read events of one kind.

    Args:
        kind: The kind.
        evaluators: Their rules.
        memory: What events gave before.

    Attributes:
        evaluators: Their rules.
        mails: Whether the events are mails, whose stored message may be read.
    """

    def __init__(self, kind: str, evaluators: Sequence[Named], memory: Memory) -> None:
        self.evaluators = evaluators
        self.mails = kind == SourceKind.EMAIL
        self._memory = memory
        self._pure: Sequence[Named] = ()
        self._others = evaluators
        self._excerpt: Excerpt | None = None
        if kind not in REPEATED_KINDS:
            return
        unread = {name: unread_fields(each, kind) for name, each in evaluators}
        self._pure = [each for each in evaluators if unread[each[0]] is not None]
        self._others = [each for each in evaluators if unread[each[0]] is None]
        if self._pure:
            everywhere = [fields for fields in unread.values() if fields is not None]
            self._excerpt = Excerpt(kind, frozenset.intersection(*everywhere))

    def lift(self, event: event_pb2.Event) -> tuple[Lifted, Sequence[Failed]]:
        """Run the lifters on an event, or remember what they gave on one that says the same."""
        if self._excerpt is None:
            return _lift(self._others, event)
        content = self._excerpt.content(event)
        found = None if content is None else self._memory.get(content)
        failed: Sequence[Failed] = ()
        if found is not None:
            found.recalled = True
        else:
            # Looked at alone even the first time, it cannot give what the next would not give.
            seen = event if content is None else self._excerpt.event(content)
            found, failed = _lift(self._pure, seen)
            if content is not None and not failed:
                found.content_bytes = len(content[1]) + len(content[2])
                self._memory.put(content, found)
        if not self._others:
            return found, failed
        others, more = _lift(self._others, event)
        steps, findings = found.steps + others.steps, found.findings + others.findings
        return Lifted(steps, findings), (*failed, *more)


def _lift(evaluators: Sequence[Named], event: event_pb2.Event) -> tuple[Lifted, Sequence[Failed]]:
    """Run lifters on an event; a rule that fails costs its own tags of this event only."""
    steps: list[StepMet] = []
    found: list[Finding] = []
    failed: list[Failed] = []
    for name, evaluator in evaluators:
        findings, error = tolerant(evaluator.lift, event)
        if error is not None:
            findings, errors = _one_by_one(name, evaluator, event)
            failed += errors or [Failed(name, "", error)]
        for finding in findings:
            if finding.step is None:
                found.append(finding)
            else:
                steps.append(StepMet(finding.rule, finding.step))
    return Lifted(tuple(steps), tuple(found)), failed


def _one_by_one(
    lifter: str, evaluator: Evaluator, event: event_pb2.Event
) -> tuple[list[Finding], list[Failed]]:
    findings: list[Finding] = []
    failed = []
    for rule_id in evaluator.rule_ids(event.source_kind):
        found, error = tolerant(evaluator.lift_rule, event, rule_id)
        findings += found
        if error is not None:
            failed.append(Failed(lifter, rule_id, error))
    return findings, failed


class Lifting:
    """The lifters of a process with one set of rules.

    Args:
        lifters: The lifters.
        rules: The rules in force.
    """

    def __init__(self, lifters: Sequence[Lifter], rules: RuleSet) -> None:
        self.rules = rules
        self._lifters = lifters
        self._memory = Memory()
        self._by_kind: dict[str, KindLifting] = {}

    def of(self, kind: str) -> KindLifting:
        """Return the lifters that read a kind."""
        found = self._by_kind.get(kind)
        if found is None:
            evaluators = self._evaluators(kind)
            found = KindLifting(kind, evaluators, self._memory)
            # Of kinds that nobody reads producers may name any number.
            if evaluators:
                self._by_kind[kind] = found
        return found

    def _evaluators(self, kind: str) -> list[Named]:
        evaluators: Mapping[str, Evaluator] = self.rules.evaluators
        return [
            (lifter.name, evaluators[lifter.name])
            for lifter in self._lifters
            if lifter.name in evaluators and kind in evaluators[lifter.name].source_kinds
        ]


class Failures:
    """Names what failed; the log gets each kind of failure once, with ids only.

    Args:
        statistics: Where failures of rules are counted.
    """

    def __init__(self, statistics: RuleStatistics) -> None:
        self._statistics = statistics
        self._logged: set[tuple[str, str, str, str]] = set()

    def report(
        self,
        failed: Failed,
        group: event_pb2.EventGroup,
        event: event_pb2.Event,
        response: tagger_service_pb2.TagEventsResponse,
    ) -> None:
        """Tell of a failure on an event."""
        if failed.rule_id:
            self._statistics.of(failed.rule_id).failures += 1
        reason = type(failed.error).__name__
        response.failures.add(
            origin_id=group.origin_id,
            source_kind=event.source_kind,
            source_id=event.source_id,
            rule_id=failed.rule_id,
            lifter=failed.lifter,
            reason=reason,
        )
        key = (failed.lifter, failed.rule_id, event.source_kind, reason)
        if key in self._logged:
            return
        self._logged.add(key)
        # The message of the error may quote the event; where it arose may be told.
        _log.error(
            "lifter failed; further failures of this kind are only counted",
            extra={
                "lifter": failed.lifter,
                "rule_id": failed.rule_id,
                "source_kind": event.source_kind,
                "reason": reason,
                "place": _place(failed.error),
            },
        )
