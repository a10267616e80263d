# SPDX-License-Identifier: AGPL-3.0-or-later
"""The part of TagStoreService that is about tags the rules of today no longer make."""

from __future__ import annotations

from typing import Any

import grpc

from decnet_ttp.core.errors import InvalidArgumentError
from decnet_ttp.tag_store.database import Database
from decnet_ttp.tag_store.fields import check_text, parse_uuid
from decnet_ttp.tag_store.retirement import Retirements
from decnet_ttp.tag_store.superseded import Candidate, RuleOfToday, Superseded
from decnet_ttp.v1 import tag_store_service_pb2 as pb
from decnet_ttp.v1.tag_store_service_pb2_grpc import TagStoreServiceServicer

MAX_EVENTS = 20_000
MAX_RULES = 100_000


def _kind(candidate: Candidate, made: set[tuple[str, str, str, str, str]]) -> pb.SupersededKind:
    if candidate.rule_gone:
        return pb.SUPERSEDED_KIND_RULE_GONE
    if candidate.said in made:
        return pb.SUPERSEDED_KIND_REPLACED
    return pb.SUPERSEDED_KIND_NOT_MADE


class RetirementServicer(TagStoreServiceServicer):
    """Finds, retires and restores tags."""

    def __init__(self, database: Database) -> None:
        self._superseded = Superseded(database)
        self._retirements = Retirements(database)

    async def FindSuperseded(
        self, request: pb.FindSupersededRequest, _context: grpc.aio.ServicerContext[Any, Any]
    ) -> pb.FindSupersededResponse:
        """Note the tags of other versions."""
        run = parse_uuid(request.run_uuid, "run_uuid")
        if not 0 < len(request.rules) <= MAX_RULES:
            raise InvalidArgumentError(
                f"rules are {len(request.rules)}; name every rule there is, {MAX_RULES} at most",
                field="rules",
            )
        rules = {
            rule.rule_id: RuleOfToday(rule.rule_version, rule.passed_over) for rule in request.rules
        }
        return pb.FindSupersededResponse(candidate_count=await self._superseded.find(run, rules))

    async def JudgeSuperseded(
        self, request: pb.JudgeSupersededRequest, _context: grpc.aio.ServicerContext[Any, Any]
    ) -> pb.JudgeSupersededResponse:
        """Tell which tags of some events are superseded, and retire them where asked to."""
        run = parse_uuid(request.run_uuid, "run_uuid")
        requested_by = check_text(request.requested_by, "requested_by")
        reason = check_text(request.reason, "reason")
        if len(request.events) > MAX_EVENTS:
            raise InvalidArgumentError(
                f"events are {len(request.events)}; send at most {MAX_EVENTS} at once",
                field="events",
            )
        events = [(event.source_kind, event.source_id) for event in request.events]
        made = set()
        for at, tag in enumerate(request.made):
            if not 0 <= tag.event < len(events):
                raise InvalidArgumentError(
                    f"made[{at}].event is {tag.event}; use a position in events",
                    field=f"made[{at}].event",
                )
            made.add((*events[tag.event], tag.rule_id, tag.technique_id, tag.sub_technique_id))
        found = await self._superseded.of_events(run, events) if events else []
        retired = 0
        if request.retire and found:
            retired = await self._retirements.retire(
                run, [each.uuid for each in found], requested_by=requested_by, reason=reason
            )
        if request.done:
            await self._superseded.forget(run)
        return pb.JudgeSupersededResponse(
            tags=[
                pb.SupersededTag(
                    uuid=str(each.uuid),
                    rule_id=each.rule_id,
                    rule_version=each.rule_version,
                    technique_id=each.sub_technique_id or each.technique_id,
                    source_kind=each.source_kind,
                    source_id=each.source_id,
                    kind=_kind(each, made),
                )
                for each in found
            ],
            retired_count=retired,
        )

    async def RestoreTags(
        self, request: pb.RestoreTagsRequest, _context: grpc.aio.ServicerContext[Any, Any]
    ) -> pb.RestoreTagsResponse:
        """Let the tags of a retirement count again."""
        restored = await self._retirements.restore(
            parse_uuid(request.retirement_uuid, "retirement_uuid"),
            requested_by=check_text(request.requested_by, "requested_by"),
        )
        return pb.RestoreTagsResponse(restored_count=restored)
