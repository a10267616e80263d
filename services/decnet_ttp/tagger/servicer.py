# SPDX-License-Identifier: AGPL-3.0-or-later
"""TaggerService."""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import grpc

from decnet_ttp import program_version
from decnet_ttp.core.errors import InvalidArgumentError, NotFoundError, UnavailableError
from decnet_ttp.runtime import tracing
from decnet_ttp.runtime.paging import decode_token, encode_token, page_limit, request_arguments
from decnet_ttp.tagger.artifacts import Artifacts
from decnet_ttp.tagger.evaluation import Evaluation
from decnet_ttp.tagger.explanation import explain_event
from decnet_ttp.tagger.lifter import Evaluator, Lifter, reads_messages
from decnet_ttp.tagger.rule_follower import RuleFollower
from decnet_ttp.tagger.statistics import RuleNumbers
from decnet_ttp.v1 import tagger_service_pb2, tagger_service_pb2_grpc

Context = grpc.aio.ServicerContext[Any, Any]

#: Events of one call (the bound of TagEvents).
MAX_EVENTS = 10_000
#: Longest wait of DescribeTagger for a change, in seconds.
_MAX_WAIT_S = 30.0


def _kinds_read(evaluator: Evaluator | None) -> Sequence[frozenset[str]]:
    return () if evaluator is None else (evaluator.source_kinds,)


def _digest(kinds: Mapping[str, Sequence[str]]) -> str:
    # Hex and short: it is compared, and nothing else.
    told = "\n".join(f"{name} {' '.join(read)}" for name, read in kinds.items())
    return hashlib.sha256(told.encode()).hexdigest()[:32]


def statistics_message(rule_id: str, numbers: RuleNumbers) -> tagger_service_pb2.RuleStatistics:
    """Return the numbers of a rule as they travel."""
    message = tagger_service_pb2.RuleStatistics(
        rule_id=rule_id,
        evaluation_count=numbers.evaluations,
        match_count=numbers.matches,
        tag_count=numbers.tags,
        withheld_count=numbers.withheld,
        failure_count=numbers.failures,
    )
    if numbers.samples:
        message.spent_duration.FromNanoseconds(int(numbers.spent_s * 1e9))
    if numbers.last_fired_s:
        message.last_fired_time.FromNanoseconds(int(numbers.last_fired_s * 1e9))
    return message


def _trace_rules(answer: tagger_service_pb2.TagEventsResponse) -> None:
    """Leave a span of each rule that fired in a batch, with how many tags it made."""
    fired = Counter(
        (tag.rule_id, tag.rule_version, tag.technique_id)
        for group in answer.groups
        for tag in group.tags
    )
    for (rule_id, version, technique_id), tags in fired.items():
        with tracing.span(
            "ttp.rule.fire",
            rule_id=rule_id,
            rule_version=version,
            technique_id=technique_id,
            tags=tags,
        ):
            pass


class RulesNotLoadedError(UnavailableError):
    """No snapshot of the rules has arrived yet."""

    reason = "RULES_NOT_LOADED"


class TaggerServicer(tagger_service_pb2_grpc.TaggerServiceServicer):
    """Answers TaggerService.

    Args:
        lifters: The lifters of this process.
        follower: The rules in force.
        evaluation: Evaluates batches.
        attack_release: Release of the loaded catalogue.
        artifacts: Stored mails; None: this tagger reads none.
    """

    def __init__(
        self,
        *,
        lifters: Sequence[Lifter],
        follower: RuleFollower,
        evaluation: Evaluation,
        attack_release: str,
        artifacts: Artifacts | None = None,
    ) -> None:
        self._lifters = lifters
        self._follower = follower
        self._evaluation = evaluation
        self._release = attack_release
        self._artifacts = artifacts if any(map(reads_messages, lifters)) else None
        self._ending = asyncio.Event()

    async def end_waits(self, stop: asyncio.Event) -> None:
        """At the stop, answer the calls that wait for a change: the server waits for them."""
        await stop.wait()
        self._ending.set()

    def _check_loaded(self) -> None:
        if not self._follower.loaded:
            raise RulesNotLoadedError("no rules are loaded yet; try again")

    async def TagEvents(
        self, request: tagger_service_pb2.TagEventsRequest, context: Context
    ) -> tagger_service_pb2.TagEventsResponse:
        """Tag a batch with the rules in force at its begin."""
        self._check_loaded()
        count = 0
        for index, group in enumerate(request.groups):
            count += len(group.events)
            for number, event in enumerate(group.events):
                if not event.source_kind or not event.source_id:
                    raise InvalidArgumentError(
                        "an event has no source_kind or source_id; give it both",
                        field=f"groups[{index}].events[{number}]",
                    )
        if count > MAX_EVENTS:
            raise InvalidArgumentError(
                f"{count} events; send at most {MAX_EVENTS} in one call", field="groups"
            )
        answer = await self._evaluation.tag(request, self._follower.rules)
        if tracing.enabled():
            _trace_rules(answer)
        return answer

    async def DescribeTagger(
        self, request: tagger_service_pb2.DescribeTaggerRequest, context: Context
    ) -> tagger_service_pb2.DescribeTaggerResponse:
        """Tell lifters, rules and releases.

        Which kinds a lifter reads depends on its rules: told before they are there, ingest would
        keep events back that some rule reads.
        """
        self._check_loaded()
        kinds = self._kinds()
        wait_s = min(request.wait_duration.ToNanoseconds() / 1e9, _MAX_WAIT_S)
        if request.known_kinds_digest and wait_s > 0:
            kinds = await self._changed_kinds(request.known_kinds_digest, wait_s)
        answer = tagger_service_pb2.DescribeTaggerResponse(
            rules_revision=self._follower.revision,
            rules_epoch=self._follower.epoch,
            attack_release=self._release,
            program_version=program_version(),
            kinds_digest=_digest(kinds),
        )
        if self._artifacts is not None:
            answer.artifact_deckies.extend(await asyncio.to_thread(self._artifacts.deckies))
        counts = self._follower.rules.counts
        for name, read in kinds.items():
            answer.lifters.add(name=name, source_kinds=read, rule_count=counts.get(name, 0))
        return answer

    def _kinds(self) -> dict[str, Sequence[str]]:
        """Return the kinds that each lifter reads, in their order."""
        evaluators = self._follower.rules.evaluators
        return {
            lifter.name: sorted(
                lifter.source_kinds.union(*_kinds_read(evaluators.get(lifter.name)))
            )
            for lifter in self._lifters
        }

    async def _changed_kinds(self, known: str, wait_s: float) -> dict[str, Sequence[str]]:
        """Return the kinds once they are others than the caller knows, or when time is over."""
        ending = asyncio.ensure_future(self._ending.wait())
        try:
            async with asyncio.timeout(wait_s):
                while _digest(kinds := self._kinds()) == known and not ending.done():
                    changed = asyncio.ensure_future(self._follower.changed())
                    try:
                        await asyncio.wait((changed, ending), return_when=asyncio.FIRST_COMPLETED)
                    finally:
                        changed.cancel()
        except TimeoutError:
            kinds = self._kinds()
        finally:
            ending.cancel()
        return kinds

    async def ExplainEvent(
        self, request: tagger_service_pb2.ExplainEventRequest, context: Context
    ) -> tagger_service_pb2.ExplainEventResponse:
        """Tell which condition of a rule held on an event."""
        live = self._follower.rules.rules.get(request.rule_id)
        if live is None:
            raise NotFoundError(
                "this tagger has no such rule; see decnet-ttp rules list", rule_id=request.rule_id
            )
        if len(request.parts) > MAX_EVENTS:
            raise InvalidArgumentError(
                f"{len(request.parts)} parts; send at most {MAX_EVENTS}", field="parts"
            )
        return explain_event(
            live.rule, request.event, self._lifters, self._follower.rules, request.parts
        )

    async def ListRuleStatistics(
        self, request: tagger_service_pb2.ListRuleStatisticsRequest, context: Context
    ) -> tagger_service_pb2.ListRuleStatisticsResponse:
        """Tell what each rule did."""
        limit = page_limit(request.page_size)
        arguments = request_arguments(request)
        after = decode_token(request.page_token, arguments)
        statistics = self._evaluation.statistics
        numbers = statistics.snapshot(self._follower.rules)
        left = [rule_id for rule_id in numbers if after is None or rule_id > after[0]]
        answer = tagger_service_pb2.ListRuleStatisticsResponse(
            statistics=[statistics_message(rule_id, numbers[rule_id]) for rule_id in left[:limit]]
        )
        answer.since_time.FromNanoseconds(int(statistics.since_s * 1e9))
        if len(left) > limit:
            answer.next_page_token = encode_token([left[limit - 1]], arguments)
        return answer
