# SPDX-License-Identifier: AGPL-3.0-or-later
"""A batch of events through the rules in force: tags, failures, and what was held back."""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from decnet_ttp.core.source_kinds import SourceKind
from decnet_ttp.matching import SessionTimelines
from decnet_ttp.tagger.evidence import timeline_evidence
from decnet_ttp.tagger.lifter import Evaluator, Finding, Lifter, Shift, reads_messages
from decnet_ttp.tagger.messages import Messages
from decnet_ttp.tagger.rule_set import LiveRule, RuleSet
from decnet_ttp.tagger.statistics import RuleNumbers, RuleStatistics
from decnet_ttp.v1 import event_pb2, rule_pb2, tag_pb2, tagger_service_pb2

#: Events between two looks at the clock, and how long the event loop may wait for its turn.
_EVENTS_PER_LOOK = 32
_MAX_HOLD_S = 0.02

_log = logging.getLogger(__name__)


def _tolerant(
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


def _anchored(findings: list[Finding], group: event_pb2.EventGroup) -> list[Finding]:
    """Leave out what is about an identity where no identity is known."""
    if group.anchor.identity_uuid or not any(each.identity_only for each in findings):
        return findings
    return [each for each in findings if not each.identity_only]


@dataclass(slots=True)
class _Batch:
    """What one batch is evaluated with, and what it gave.

    Attributes:
        rules: The rules in force at its begin.
        response: The answer.
        now_s: Its begin, in seconds since the epoch.
        counted: Numbers of the rules that fired.
    """

    rules: RuleSet
    response: tagger_service_pb2.TagEventsResponse
    now_s: float
    counted: dict[str, RuleNumbers] = field(default_factory=dict)


@dataclass(slots=True)
class _Answers:
    """What one group of events gave.

    Attributes:
        group: The group.
        timelines: Steps that its events take.
        outs: Its groups of tags, one for each anchor that findings have.
    """

    group: event_pb2.EventGroup
    timelines: SessionTimelines = field(default_factory=SessionTimelines)
    outs: dict[bool, tag_pb2.TagGroup] = field(default_factory=dict)

    def out(
        self, response: tagger_service_pb2.TagEventsResponse, *, identity_only: bool
    ) -> tag_pb2.TagGroup:
        """Return the group of tags for an anchor, in the answer once it is needed."""
        out = self.outs.get(identity_only)
        if out is None:
            group = self.group
            out = self.outs[identity_only] = response.groups.add(
                origin_id=group.origin_id,
                anchor=group.anchor,
                session_id=group.session_id,
                decky_id=group.decky_id,
            )
            if identity_only:
                out.anchor.attacker_uuid = ""
        return out

    def session(self) -> event_pb2.Event | None:
        """Return the session's own event.

        Of a group without one nothing can be said by its timeline: it is the rest of a session
        too large for one request.
        """
        events = self.group.events
        return next((e for e in events if e.source_kind == SourceKind.SESSION), None)


def _write_shift(
    out: tag_pb2.TagGroup, event: event_pb2.Event, rule: rule_pb2.Rule, shift: Shift
) -> None:
    draft = out.adjustments.add(
        source_kind=event.source_kind,
        source_id=event.source_id,
        rule_id=rule.rule_id,
        rule_version=rule.rule_version,
        amount=shift.amount,
        reason=shift.reason,
    )
    if event.HasField("observe_time"):
        draft.observe_time.CopyFrom(event.observe_time)


class Evaluation:
    """Evaluates batches.

    Args:
        lifters: The lifters this process hosts.
        attack_release: Release written on every tag but those of a further matrix.
        messages: Reads stored mails for lifters that look into them; None: nobody does.
        clock: Seconds since the epoch, for states that end.

    Attributes:
        statistics: What each rule did so far.
    """

    def __init__(
        self,
        lifters: Sequence[Lifter],
        *,
        attack_release: str,
        messages: Messages | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._lifters = lifters
        self._release = attack_release
        self._messages = messages if any(map(reads_messages, lifters)) else None
        self._clock = clock
        self.statistics = RuleStatistics(clock)
        self._logged: set[tuple[str, str, str, str]] = set()

    async def tag(
        self, request: tagger_service_pb2.TagEventsRequest, rules: RuleSet
    ) -> tagger_service_pb2.TagEventsResponse:
        """Tag a batch with one set of rules, letting the event loop breathe between events."""
        response = tagger_service_pb2.TagEventsResponse()
        now_s = self._clock()
        looked_s = began_s = time.monotonic()
        count = 0
        by_kind: dict[str, list[tuple[str, Evaluator]]] = {}
        kinds: dict[str, int] = {}
        batch = _Batch(rules, response, now_s)
        until_sample = self.statistics.until_sample
        for group in request.groups:
            answers = _Answers(group)
            for position, event in enumerate(group.events):
                count += 1
                if not count % _EVENTS_PER_LOOK and time.monotonic() - looked_s > _MAX_HOLD_S:
                    await asyncio.sleep(0)
                    looked_s = time.monotonic()
                kind = event.source_kind
                evaluators = by_kind.get(kind)
                if evaluators is None:
                    evaluators = by_kind[kind] = self._evaluators(kind, rules)
                    kinds[kind] = 0
                kinds[kind] += 1
                await self._attach(group, event, response)
                until_sample -= 1
                if until_sample <= 0:
                    until_sample = self.statistics.next_interval()
                    self._sample(evaluators, event)
                for lifter, evaluator in evaluators:
                    for finding in self._lift(lifter, evaluator, group, event, response):
                        if finding.step is not None:
                            answers.timelines.take(finding.rule, finding.step, event, position)
                        else:
                            self._settle(batch, answers, event, finding)
                # What was read of one mail is not kept while others are evaluated.
                event.ClearField("mail_content")
            await self._finish(batch, answers)
        self.statistics.until_sample = until_sample
        took_s = time.monotonic() - began_s
        self.statistics.count_batch(rules, kinds, began_s=now_s, took_s=took_s)
        return response

    async def _finish(self, batch: _Batch, answers: _Answers) -> None:
        """Settle the rules whose timeline the session of a group fulfils."""
        session = answers.session() if answers.timelines else None
        if session is None:
            return
        looked_s = time.monotonic()
        for result in answers.timelines.fired_one_by_one():
            if result is not None:
                evidence = timeline_evidence(session, result.steps)
                emissions = range(len(result.rule.emissions))
                self._settle(batch, answers, session, Finding(result.rule, evidence, emissions))
            if time.monotonic() - looked_s > _MAX_HOLD_S:
                await asyncio.sleep(0)
                looked_s = time.monotonic()

    async def _attach(
        self,
        group: event_pb2.EventGroup,
        event: event_pb2.Event,
        response: tagger_service_pb2.TagEventsResponse,
    ) -> None:
        """Read the stored message of a mail; what cannot be read is named in the answer."""
        if self._messages is None or event.source_kind != SourceKind.EMAIL:
            return
        reason = await self._messages.attach(group, event)
        if reason is not None:
            response.unread_messages.add(
                origin_id=group.origin_id,
                source_id=event.source_id,
                reason=reason.value,
                retryable=reason.retryable,
            )

    def _settle(
        self,
        batch: _Batch,
        answers: _Answers,
        event: event_pb2.Event,
        finding: Finding,
    ) -> None:
        """Count a finding, and write its tags unless its rule's state withholds them."""
        if event.told_before:
            return  # its tags were made when it was told first
        live = batch.rules.rules[finding.rule.rule_id]
        numbers = self._matched(batch, finding)
        if finding.shift is not None:
            # Whatever the rule's state: the tag-store applies that.
            if answers.group.anchor.attacker_uuid and not live.experimental:
                out = answers.out(batch.response, identity_only=False)
                _write_shift(out, event, finding.rule, finding.shift)
            return
        state = live.state_for(answers.group, event.source_kind, batch.now_s)
        if live.experimental or state.disabled:
            numbers.withheld += len(finding.emissions)
            batch.response.withheld_count += len(finding.emissions)
            return
        out = answers.out(batch.response, identity_only=finding.identity_only)
        numbers.tags += self._write(out, event, finding, live, state.ceiling)

    def _matched(self, batch: _Batch, finding: Finding) -> RuleNumbers:
        """Count a match; returns the rule's numbers, which a batch looks up once."""
        rule_id = finding.rule.rule_id
        numbers = batch.counted.get(rule_id)
        if numbers is None:
            numbers = batch.counted[rule_id] = self.statistics.of(rule_id)
        numbers.matches += not finding.continued
        numbers.last_fired_s = batch.now_s
        return numbers

    def _sample(self, evaluators: Sequence[tuple[str, Evaluator]], event: event_pb2.Event) -> None:
        """Time one rule of each lifter on an event."""
        for lifter, evaluator in evaluators:
            rule_ids = evaluator.rule_ids(event.source_kind)
            if not rule_ids:
                continue
            turn = self.statistics.next_turn(f"{lifter} {event.source_kind}", len(rule_ids))
            # The first run makes whatever is made once.
            _tolerant(evaluator.lift_rule, event, rule_ids[turn])
            began = time.perf_counter()
            _tolerant(evaluator.lift_rule, event, rule_ids[turn])
            self.statistics.count_sample(rule_ids[turn], time.perf_counter() - began)

    def _evaluators(self, kind: str, rules: RuleSet) -> list[tuple[str, Evaluator]]:
        return [
            (lifter.name, rules.evaluators[lifter.name])
            for lifter in self._lifters
            if lifter.name in rules.evaluators
            and kind in rules.evaluators[lifter.name].source_kinds
        ]

    def _lift(
        self,
        lifter: str,
        evaluator: Evaluator,
        group: event_pb2.EventGroup,
        event: event_pb2.Event,
        response: tagger_service_pb2.TagEventsResponse,
    ) -> Iterable[Finding]:
        """Run a lifter on an event; a rule that fails costs its own tags of this event only."""
        findings, error = _tolerant(evaluator.lift, event)
        if error is None:
            return _anchored(findings, group)
        findings, failed = [], 0
        rule_ids = evaluator.rule_ids(event.source_kind)
        for rule_id in rule_ids:
            found, error_of_rule = _tolerant(evaluator.lift_rule, event, rule_id)
            findings += found
            if error_of_rule is not None:
                failed += 1
                self.statistics.of(rule_id).failures += 1
                self._report(lifter, group, event, rule_id, error_of_rule, response)
        if failed == 0:
            self._report(lifter, group, event, "", error, response)
        return _anchored(findings, group)

    def _report(
        self,
        lifter: str,
        group: event_pb2.EventGroup,
        event: event_pb2.Event,
        rule_id: str,
        error: Exception,
        response: tagger_service_pb2.TagEventsResponse,
    ) -> None:
        """Name what failed; the log gets each kind of failure once, with ids only."""
        reason = type(error).__name__
        response.failures.add(
            origin_id=group.origin_id,
            source_kind=event.source_kind,
            source_id=event.source_id,
            rule_id=rule_id,
            lifter=lifter,
            reason=reason,
        )
        key = (lifter, rule_id, event.source_kind, reason)
        if key not in self._logged:
            self._logged.add(key)
            # The message of the error may quote the event; where it arose may be told.
            _log.error(
                "lifter failed; further failures of this kind are only counted",
                extra={
                    "lifter": lifter,
                    "rule_id": rule_id,
                    "source_kind": event.source_kind,
                    "reason": reason,
                    "place": _place(error),
                },
            )

    def _write(
        self,
        out: tag_pb2.TagGroup,
        event: event_pb2.Event,
        finding: Finding,
        live: LiveRule,
        ceiling: float,
    ) -> int:
        """Write the tags of a finding; returns how many."""
        rule = live.rule
        made = 0
        factors = finding.factors or itertools.repeat(1.0)
        for position, factor in zip(finding.emissions, factors, strict=False):
            target = live.targets[position]
            if target is None:
                continue
            made += 1
            tag = out.tags.add()
            tag.source_kind = event.source_kind
            tag.source_id = event.source_id
            if event.HasField("observe_time"):
                tag.observe_time.seconds = event.observe_time.seconds
                tag.observe_time.nanos = event.observe_time.nanos
            tag.rule_id = rule.rule_id
            tag.rule_version = rule.rule_version
            tag.tactic = target.tactic
            tag.technique_id = target.technique_id
            tag.sub_technique_id = target.sub_technique_id
            tag.confidence = min(target.confidence * factor, ceiling)
            tag.evidence.CopyFrom(finding.evidence)
            if finding.confidence_fixed:
                tag.confidence_fixed = True
            tag.attack_release = target.attack_release or self._release
        return made
