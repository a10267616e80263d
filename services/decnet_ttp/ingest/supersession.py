# SPDX-License-Identifier: AGPL-3.0-or-later
"""Looking for stored tags that the rules of today no longer make.

The rule-store says which rules there are, the taggers which of them are in force, and the tag-store
keeps what has to be judged. A rule whose state holds tags back, or that no tagger evaluates,
supersedes nothing: that it makes no tag now says nothing of its newer version.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from decnet_ttp.core.errors import FailedPreconditionError, InvalidArgumentError
from decnet_ttp.ingest.dispatch import Dispatcher
from decnet_ttp.ingest.pipeline import Seen
from decnet_ttp.runtime.clients import call
from decnet_ttp.v1 import (
    ingest_service_pb2,
    rule_pb2,
    rule_store_service_pb2,
    rule_store_service_pb2_grpc,
    tag_store_service_pb2,
    tag_store_service_pb2_grpc,
    tagger_service_pb2,
)

_TIMEOUT_S = 60.0
#: Reading all tags once takes as long as it takes.
_FIND_TIMEOUT_S = 3_600.0
_ATTEMPTS_S = 10.0
_PAGE = 1_000
#: Events judged by one call.
_EVENTS_AT_ONCE = 10_000

_WORKS = frozenset({rule_pb2.RULE_MODE_UNSPECIFIED, rule_pb2.RULE_MODE_ENABLED})


class Supersession:
    """Judges stored tags by what the rules make of their events now.

    Args:
        tag_store: Where they are.
        rule_store: The rules; None where it is not configured.
        dispatcher: The taggers.
    """

    def __init__(
        self,
        tag_store: tag_store_service_pb2_grpc.TagStoreServiceStub,
        rule_store: rule_store_service_pb2_grpc.RuleStoreServiceStub | None,
        dispatcher: Dispatcher,
    ) -> None:
        self._tag_store = tag_store
        self._rule_store = rule_store
        self._dispatcher = dispatcher

    async def find(self, request: ingest_service_pb2.RunBackfillRequest) -> None:
        """Have the tags noted that the run has to judge.

        Raises:
            FailedPreconditionError: No rule-store is configured.
            InvalidArgumentError: The run has no UUID.
            UnavailableError: A service is away.
        """
        if self._rule_store is None:
            raise FailedPreconditionError(
                "ingest does not know the rule-store; set DECNET_TTP_RULE_STORE where it runs"
            )
        if not request.retirement_uuid:
            raise InvalidArgumentError(
                "retirement_uuid is empty; choose one for the run", field="retirement_uuid"
            )
        in_force = await self._in_force()
        rules = [
            tag_store_service_pb2.RuleVersion(
                rule_id=rule.rule_id,
                rule_version=rule.rule_version,
                passed_over=rule.rule_id not in in_force or not _unhindered(rule),
            )
            for rule in await self._rules(self._rule_store)
        ]
        await call(
            self._tag_store.FindSuperseded,
            tag_store_service_pb2.FindSupersededRequest(
                run_uuid=request.retirement_uuid, rules=rules
            ),
            timeout_s=_FIND_TIMEOUT_S,
            attempts_s=_ATTEMPTS_S,
        )

    async def judge(
        self,
        request: ingest_service_pb2.RunBackfillRequest,
        seen: Seen,
        progress: ingest_service_pb2.RunBackfillResponse,
    ) -> None:
        """Judge the tags of the events of a batch, and tell in the progress what was found.

        Raises:
            UnavailableError: The tag-store is away.
        """
        progress.unjudged_count += len(seen.events & seen.unsure)
        made: dict[tuple[str, str], list[Any]] = {}
        for group in seen.groups:
            for tag in group.tags:
                made.setdefault((tag.source_kind, tag.source_id), []).append(tag)
        for events in _parts(sorted(seen.events - seen.unsure)):
            question = _question(request)
            for number, (kind, ident) in enumerate(events):
                question.events.add(source_kind=kind, source_id=ident)
                for tag in made.get((kind, ident), ()):
                    question.made.add(
                        event=number,
                        rule_id=tag.rule_id,
                        technique_id=tag.technique_id,
                        sub_technique_id=tag.sub_technique_id,
                    )
            answer = await self._ask(question)
            progress.superseded_count += len(answer.tags)
            progress.retired_count += answer.retired_count
            progress.superseded.extend(answer.tags)

    async def finish(self, request: ingest_service_pb2.RunBackfillRequest) -> None:
        """Let the notes of a run go."""
        question = _question(request)
        question.done = True
        await self._ask(question)

    async def _ask(
        self, question: tag_store_service_pb2.JudgeSupersededRequest
    ) -> tag_store_service_pb2.JudgeSupersededResponse:
        return await call(
            self._tag_store.JudgeSuperseded, question, timeout_s=_TIMEOUT_S, attempts_s=_ATTEMPTS_S
        )

    async def _rules(
        self, rule_store: rule_store_service_pb2_grpc.RuleStoreServiceStub
    ) -> list[rule_pb2.Rule]:
        request = rule_store_service_pb2.ListRulesRequest(page_size=_PAGE)
        rules: list[rule_pb2.Rule] = []
        while True:
            page = await call(
                rule_store.ListRules, request, timeout_s=_TIMEOUT_S, attempts_s=_ATTEMPTS_S
            )
            rules += page.rules
            request.page_token = page.next_page_token
            if not request.page_token:
                return rules

    async def _in_force(self) -> set[str]:
        """Return the rules that some tagger evaluates."""
        found: set[str] = set()
        for tagger in self._dispatcher.taggers:
            request = tagger_service_pb2.ListRuleStatisticsRequest(page_size=_PAGE)
            while True:
                page = await call(
                    tagger.stub.ListRuleStatistics,
                    request,
                    timeout_s=_TIMEOUT_S,
                    attempts_s=_ATTEMPTS_S,
                )
                found.update(each.rule_id for each in page.statistics)
                request.page_token = page.next_page_token
                if not request.page_token:
                    break
        return found


def _question(
    request: ingest_service_pb2.RunBackfillRequest,
) -> tag_store_service_pb2.JudgeSupersededRequest:
    return tag_store_service_pb2.JudgeSupersededRequest(
        run_uuid=request.retirement_uuid,
        retire=request.retire and not request.dry_run,
        requested_by=request.requested_by,
        reason=request.reason,
    )


def _unhindered(rule: rule_pb2.Rule) -> bool:
    """Whether everything the rule makes is stored."""
    return (
        rule.state.mode in _WORKS
        and not rule.scoped_states
        and rule.status != rule_pb2.RULE_STATUS_EXPERIMENTAL
        and not rule.load_error
    )


def _parts(events: Sequence[tuple[str, str]]) -> Iterator[list[tuple[str, str]]]:
    rest = iter(events)
    while part := list(islice(rest, _EVENTS_AT_ONCE)):
        yield part
