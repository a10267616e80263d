# SPDX-License-Identifier: AGPL-3.0-or-later
"""A batch of events through the rules in force: tags, failures, and what was held back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from decnet_ttp.core.source_kinds import SourceKind
from decnet_ttp.matching import SessionTimelines
from decnet_ttp.tagger.drafts import drafts_of, write_again, write_shift, write_tags
from decnet_ttp.tagger.evidence import timeline_evidence
from decnet_ttp.tagger.excerpt import Lifted
from decnet_ttp.tagger.lifter import Finding, Lifter, reads_messages, waits_for_messages
from decnet_ttp.tagger.lifting import Failures, KindLifting, Lifting, tolerant
from decnet_ttp.tagger.messages import Messages
from decnet_ttp.tagger.rule_set import RuleSet
from decnet_ttp.tagger.statistics import RuleNumbers, RuleStatistics
from decnet_ttp.v1 import event_pb2, tag_pb2, tagger_service_pb2

#: Events between two looks at the clock, and how long the event loop may wait for its turn.
_EVENTS_PER_LOOK = 32
_MAX_HOLD_S = 0.02


@dataclass(slots=True)
class _Batch:
    """What one batch is evaluated with, and what it gave.

    Attributes:
        rules: The rules in force at its begin.
        response: The answer.
        now_s: Its begin, in seconds since the epoch.
        counted: Numbers of the rules that fired.
        again: How often each of what was found before was found again, and became tags at once.
    """

    rules: RuleSet
    response: tagger_service_pb2.TagEventsResponse
    now_s: float
    counted: dict[str, RuleNumbers] = field(default_factory=dict)
    again: dict[Lifted, int] = field(default_factory=dict)


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
        self._waits = any(map(waits_for_messages, lifters))
        self._clock = clock
        self.statistics = RuleStatistics(clock)
        self._failures = Failures(self.statistics)
        self._lifting = Lifting(lifters, RuleSet.empty())

    async def tag(
        self, request: tagger_service_pb2.TagEventsRequest, rules: RuleSet
    ) -> tagger_service_pb2.TagEventsResponse:
        """Tag a batch with one set of rules, letting the event loop breathe between events."""
        response = tagger_service_pb2.TagEventsResponse()
        now_s = self._clock()
        looked_s = began_s = time.monotonic()
        count = 0
        kinds: dict[str, int] = {}
        batch = _Batch(rules, response, now_s)
        lifting = self._lifting_by(rules)
        until_sample = self.statistics.until_sample
        for group in request.groups:
            answers = _Answers(group)
            for position, event in enumerate(group.events):
                count += 1
                if not count % _EVENTS_PER_LOOK and time.monotonic() - looked_s > _MAX_HOLD_S:
                    await asyncio.sleep(0)
                    looked_s = time.monotonic()
                kind = event.source_kind
                kinds[kind] = kinds.get(kind, 0) + 1
                lifters = lifting.of(kind)
                until_sample -= 1
                if until_sample <= 0:
                    until_sample = self.statistics.next_interval()
                    self._sample(lifters, event)
                if lifters.mails:
                    await self._attach(group, event, response)
                self._evaluate(batch, answers, lifters, event, position)
                if lifters.mails:
                    # What was read of one mail is not kept while others are evaluated.
                    event.ClearField("mail_content")
            await self._finish(batch, answers)
        self._count_again(batch)
        self.statistics.until_sample = until_sample
        took_s = time.monotonic() - began_s
        self.statistics.count_batch(rules, kinds, began_s=now_s, took_s=took_s)
        return response

    def _lifting_by(self, rules: RuleSet) -> Lifting:
        """Return the lifters with some rules; nothing found by other rules is remembered."""
        if self._lifting.rules is not rules:
            self._lifting = Lifting(self._lifters, rules)
        return self._lifting

    def _evaluate(
        self,
        batch: _Batch,
        answers: _Answers,
        lifters: KindLifting,
        event: event_pb2.Event,
        position: int,
    ) -> None:
        """Evaluate an event: take its steps, write its tags, name what failed."""
        lifted, failed = lifters.lift(event)
        for each in failed:
            self._failures.report(each, answers.group, event, batch.response)
        if lifted.steps:
            answers.timelines.take(lifted.steps, event, position)
        # The tags of what was told before were made then.
        if not lifted.findings or event.told_before:
            return
        if lifted.recalled and self._plain(batch, event, lifted):
            write_again(answers.out(batch.response, identity_only=False), event, lifted.drafts)
            batch.again[lifted] = batch.again.get(lifted, 0) + 1
            return
        for finding in lifted.findings:
            self._settle(batch, answers, event, finding)

    def _plain(self, batch: _Batch, event: event_pb2.Event, lifted: Lifted) -> bool:
        """Return whether findings give the same tags for every event; makes these once."""
        if lifted.plain is None:
            lives = [batch.rules.rules[each.rule.rule_id] for each in lifted.findings]
            lifted.plain = all(live.plain for live in lives) and not any(
                each.identity_only or each.shift is not None for each in lifted.findings
            )
            if lifted.plain:
                lifted.drafts = tuple(
                    draft
                    for finding, live in zip(lifted.findings, lives, strict=True)
                    for draft in drafts_of(finding, live, event.source_kind, self._release)
                )
        return lifted.plain

    def _count_again(self, batch: _Batch) -> None:
        """Count what was found again."""
        for lifted, times in batch.again.items():
            for finding in lifted.findings:
                self._matched(batch, finding, times)
            for draft in lifted.drafts:
                batch.counted[draft.rule_id].tags += times

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
        if self._messages is None:
            return
        reason = await self._messages.attach(group, event)
        if reason is not None:
            response.unread_messages.add(
                origin_id=group.origin_id,
                source_id=event.source_id,
                reason=reason.value,
                retryable=reason.retryable and self._waits,
            )

    def _settle(
        self,
        batch: _Batch,
        answers: _Answers,
        event: event_pb2.Event,
        finding: Finding,
    ) -> None:
        """Count a finding, and write its tags unless its rule's state withholds them."""
        group = answers.group
        if finding.identity_only and not group.anchor.identity_uuid:
            return  # there is nobody it could be about
        live = batch.rules.rules[finding.rule.rule_id]
        numbers = self._matched(batch, finding)
        if finding.shift is not None:
            # Whatever the rule's state: the tag-store applies that.
            if group.anchor.attacker_uuid and not live.experimental:
                out = answers.out(batch.response, identity_only=False)
                write_shift(out, event, finding)
            return
        state = live.state_for(group, event.source_kind, batch.now_s)
        if live.experimental or state.disabled:
            numbers.withheld += len(finding.emissions)
            batch.response.withheld_count += len(finding.emissions)
            return
        out = answers.out(batch.response, identity_only=finding.identity_only)
        numbers.tags += write_tags(
            out, event, finding, live, ceiling=state.ceiling, release=self._release
        )

    def _matched(self, batch: _Batch, finding: Finding, times: int = 1) -> RuleNumbers:
        """Count a match; returns the rule's numbers, which a batch looks up once."""
        rule_id = finding.rule.rule_id
        numbers = batch.counted.get(rule_id)
        if numbers is None:
            numbers = batch.counted[rule_id] = self.statistics.of(rule_id)
        if not finding.continued:
            numbers.matches += times
        numbers.last_fired_s = batch.now_s
        return numbers

    def _sample(self, lifters: KindLifting, event: event_pb2.Event) -> None:
        """Time one rule of each lifter on an event."""
        for lifter, evaluator in lifters.evaluators:
            rule_ids = evaluator.rule_ids(event.source_kind)
            if not rule_ids:
                continue
            turn = self.statistics.next_turn(f"{lifter} {event.source_kind}", len(rule_ids))
            # The first run makes whatever is made once.
            tolerant(evaluator.lift_rule, event, rule_ids[turn])
            began = time.perf_counter()
            tolerant(evaluator.lift_rule, event, rule_ids[turn])
            self.statistics.count_sample(rule_ids[turn], time.perf_counter() - began)
