# SPDX-License-Identifier: AGPL-3.0-or-later
"""RuleStoreService over the rule book."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import AsyncIterator
from typing import Any

from decnet_ttp.core.errors import UnimplementedError
from decnet_ttp.rule_store.problems import Problem
from decnet_ttp.rule_store.rule_book import RuleBook
from decnet_ttp.rule_store.state_plane import StatePlane
from decnet_ttp.rule_store.state_store import StateChange
from decnet_ttp.runtime.paging import decode_token, encode_token, page_limit, request_arguments
from decnet_ttp.v1 import rule_pb2, rule_store_service_pb2_grpc
from decnet_ttp.v1 import rule_store_service_pb2 as pb


class StatesNotKeptError(UnimplementedError):
    """This rule-store runs without a database and so keeps no states."""

    reason = "RULE_STATES_NOT_KEPT"


def _load_error(problem: Problem) -> pb.RuleLoadError:
    return pb.RuleLoadError(location=problem.location, message=problem.message)


def _state_change(change: StateChange) -> pb.RuleStateChange:
    message = pb.RuleStateChange(rule_id=change.rule_id, state=change.state, expired=change.expired)
    message.change_time.FromDatetime(change.time)
    return message


class RuleStoreServicer(rule_store_service_pb2_grpc.RuleStoreServiceServicer):
    """Answers from the book; changes of state go through the state plane.

    Args:
        book: The rules.
        states: Where states are changed; None when there is no database.
    """

    def __init__(self, book: RuleBook, states: StatePlane | None) -> None:
        self._book = book
        self._states = states

    async def ListRules(self, request: pb.ListRulesRequest, context: Any) -> pb.ListRulesResponse:
        """List rules by id, a page at a time."""
        self._book.check_loaded()
        limit = page_limit(request.page_size)
        arguments = request_arguments(request)
        after = decode_token(request.page_token, arguments)
        ids = self._book.rule_ids
        first = 0 if after is None else bisect_right(ids, str(after[0]))
        page = ids[first : first + limit]
        more = first + limit < len(ids)
        return pb.ListRulesResponse(
            rules=[self._book.rule(rule_id) for rule_id in page],
            next_page_token=encode_token([page[-1]], arguments) if more else "",
            load_errors=[_load_error(p) for p in self._book.problems] if after is None else [],
        )

    async def GetRule(self, request: pb.GetRuleRequest, context: Any) -> pb.GetRuleResponse:
        """Return one rule."""
        self._book.check_loaded()
        return pb.GetRuleResponse(rule=self._book.rule(request.rule_id))

    async def WatchRules(
        self, request: pb.WatchRulesRequest, context: Any
    ) -> AsyncIterator[pb.WatchRulesResponse]:
        """Stream a snapshot or what was missed, then every change."""
        self._book.check_loaded()
        async for message in self._book.follow(request.after_revision, request.epoch):
            yield message

    async def SetRuleState(
        self, request: pb.SetRuleStateRequest, context: Any
    ) -> pb.SetRuleStateResponse:
        """Set the state of a rule."""
        state = rule_pb2.RuleState(
            mode=request.mode,
            confidence_max=request.confidence_max,
            reason=request.reason,
            set_by=request.set_by,
        )
        if request.HasField("scope"):
            state.scope.CopyFrom(request.scope)
        if request.HasField("expire_time"):
            state.expire_time.CopyFrom(request.expire_time)
        return pb.SetRuleStateResponse(rule=await self._plane.set(request.rule_id, state))

    async def ClearRuleState(
        self, request: pb.ClearRuleStateRequest, context: Any
    ) -> pb.ClearRuleStateResponse:
        """Return a rule to its default state."""
        rule = await self._plane.clear(
            request.rule_id,
            request.scope if request.HasField("scope") else None,
            set_by=request.set_by,
            reason=request.reason,
        )
        return pb.ClearRuleStateResponse(rule=rule)

    async def ListRuleStateChanges(
        self, request: pb.ListRuleStateChangesRequest, context: Any
    ) -> pb.ListRuleStateChangesResponse:
        """List the history of states, newest first."""
        limit = page_limit(request.page_size)
        arguments = request_arguments(request)
        after = decode_token(request.page_token, arguments)
        before = None if after is None else int(after[0])
        # One more than asked tells whether another page follows.
        found = await self._plane.list_changes(request.rule_id, before=before, limit=limit + 1)
        page = found[:limit]
        more = len(found) > limit
        return pb.ListRuleStateChangesResponse(
            changes=[_state_change(change) for change in page],
            next_page_token=encode_token([page[-1].number], arguments) if more else "",
        )

    @property
    def _plane(self) -> StatePlane:
        self._book.check_loaded()
        if self._states is None:
            raise StatesNotKeptError(
                "this rule-store has no database and keeps no states; "
                "set DECNET_TTP_DATABASE_URL and start it again"
            )
        return self._states
