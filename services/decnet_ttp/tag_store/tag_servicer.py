# SPDX-License-Identifier: AGPL-3.0-or-later
"""TagStoreService on the wire."""

from __future__ import annotations

from collections import Counter
from typing import Any
from uuid import UUID

import grpc

from decnet_ttp.core.errors import InvalidArgumentError
from decnet_ttp.core.tags import CONFIDENCE_FLOOR
from decnet_ttp.runtime.paging import encode_token, page_limit, request_arguments
from decnet_ttp.tag_store.adjustment_drafts import read_adjustments
from decnet_ttp.tag_store.adjustments import Adjustments
from decnet_ttp.tag_store.convert import read_time, retirement_message, tag_message
from decnet_ttp.tag_store.database import Database
from decnet_ttp.tag_store.directory import Directory
from decnet_ttp.tag_store.fields import check_text, page_key
from decnet_ttp.tag_store.life_cycle import LifeCycle
from decnet_ttp.tag_store.names import Names
from decnet_ttp.tag_store.outbox_gauge import OutboxGauge
from decnet_ttp.tag_store.retirement_servicer import RetirementServicer
from decnet_ttp.tag_store.scopes import Scope, parse_scope
from decnet_ttp.tag_store.tag_reader import TagFilter, read_page
from decnet_ttp.tag_store.ticks import to_timestamp
from decnet_ttp.tag_store.writer import TagWriter
from decnet_ttp.v1 import tag_store_service_pb2 as pb

_FILTERS = (
    "technique_id",
    "sub_technique_id",
    "tactic",
    "rule_id",
    "source_kind",
    "attack_release",
)


def _read_filter(request: pb.ListTagsRequest) -> TagFilter:
    if not 0.0 <= request.min_confidence <= 1.0:
        raise InvalidArgumentError(
            f"min_confidence is {request.min_confidence}; use 0 to 1", field="min_confidence"
        )
    texts = {name: check_text(getattr(request, name), name) for name in _FILTERS}
    # The technique has an index where the sub-technique has none.
    texts["technique_id"] = texts["technique_id"] or texts["sub_technique_id"].partition(".")[0]
    return TagFilter(
        technique_id=texts["technique_id"],
        sub_technique_id=texts["sub_technique_id"],
        tactic=texts["tactic"],
        rule_id=texts["rule_id"],
        source_kind=texts["source_kind"],
        attack_release=texts["attack_release"],
        min_confidence=request.min_confidence,
        include_retired=request.include_retired,
    )


class TagServicer(RetirementServicer):
    """Writes tags and lists them with their evidence."""

    def __init__(
        self,
        writer: TagWriter,
        database: Database,
        directory: Directory,
        names: Names,
        gauge: OutboxGauge,
        adjustments: Adjustments,
    ) -> None:
        super().__init__(database)
        self._writer = writer
        self._adjustments = adjustments
        self._database = database
        self._directory = directory
        self._names = names
        self._gauge = gauge
        self._life_cycle = LifeCycle(database)

    async def InsertTags(
        self, request: pb.InsertTagsRequest, _context: grpc.aio.ServicerContext[Any, Any]
    ) -> pb.InsertTagsResponse:
        """Store what is new."""
        adjustments = read_adjustments(request.groups)
        written = await self._writer.write(
            request.groups, silent=request.silent, count_origins=request.count_origins
        )
        adjusted = await self._adjustments.take(adjustments)
        answer = pb.InsertTagsResponse(
            inserted_count=written.inserted,
            known_count=written.known,
            below_floor_count=written.below_floor,
            announced_count=written.announced,
            suppressed_count=written.held_back,
            adjusted_count=adjusted,
        )
        if request.count_origins:
            stored: Counter[str] = Counter()
            for group in request.groups:
                stored[group.origin_id] += sum(
                    tag.confidence >= CONFIDENCE_FLOOR for tag in group.tags
                )
            for origin_id, count in stored.items():
                inserted = written.inserted_by_origin.get(origin_id, 0)
                answer.origins.add(
                    origin_id=origin_id, inserted_count=inserted, known_count=count - inserted
                )
        return answer

    async def ListTags(
        self, request: pb.ListTagsRequest, _context: grpc.aio.ServicerContext[Any, Any]
    ) -> pb.ListTagsResponse:
        """List tags, newest first."""
        scope = parse_scope(request.scope)
        limit = page_limit(request.page_size)
        asked = _read_filter(request)
        arguments = request_arguments(request)
        key = page_key(request.page_token, arguments, (int,))
        located = await self._directory.locate(scope)
        if located is None:
            return pb.ListTagsResponse()
        page = await read_page(
            self._database, located, asked, limit=limit, below=key[0] if key else None
        )
        token = "" if page.next_below is None else encode_token([page.next_below], arguments)
        standing = await self._adjustments.of_tags(page.rows)
        tags = [tag_message(row, self._names, standing.get(row.attacker_uuid)) for row in page.rows]
        if asked.include_retired:
            retired = await self._retirements.of_tags([row.uuid for row in page.rows])
            for row, tag in zip(page.rows, tags, strict=True):
                if row.uuid in retired:
                    tag.retirement.CopyFrom(retirement_message(*retired[row.uuid]))
        return pb.ListTagsResponse(tags=tags, next_page_token=token)

    async def PurgeTags(
        self, request: pb.PurgeTagsRequest, _context: grpc.aio.ServicerContext[Any, Any]
    ) -> pb.PurgeTagsResponse:
        """Delete everything of somebody."""
        scope = parse_scope(request.scope)
        requested_by = check_text(request.requested_by, "requested_by")
        reason = check_text(request.reason, "reason")
        if scope.by_address:
            scope = await self._directory.locate(scope) or Scope(scope.kind, UUID(int=0))
        purged = await self._life_cycle.purge(scope, requested_by=requested_by, reason=reason)
        return pb.PurgeTagsResponse(deleted_count=purged.tags, purge_uuid=str(purged.record))

    async def VacuumTags(
        self, request: pb.VacuumTagsRequest, _context: grpc.aio.ServicerContext[Any, Any]
    ) -> pb.VacuumTagsResponse:
        """Delete by age."""
        if not request.HasField("before_time"):
            raise InvalidArgumentError(
                "before_time is not set; say from when on tags are kept", field="before_time"
            )
        deleted = await self._life_cycle.vacuum(
            read_time(request.before_time, "before_time"),
            source_kind=check_text(request.source_kind, "source_kind"),
            dry_run=request.dry_run,
            requested_by=check_text(request.requested_by, "requested_by"),
            reason=check_text(request.reason, "reason"),
        )
        return pb.VacuumTagsResponse(
            deleted_count=deleted.tags,
            deleted_session_count=deleted.sessions,
            deleted_fact_count=deleted.facts,
        )

    async def GetStatus(
        self, _request: pb.GetStatusRequest, _context: grpc.aio.ServicerContext[Any, Any]
    ) -> pb.GetStatusResponse:
        """Tell how the store stands."""
        status = await self._gauge.status()
        return pb.GetStatusResponse(
            schema_version=status.schema_version,
            estimated_tag_count=status.estimated_tags,
            outbox_count=status.outbox,
            outbox_oldest_time=None if status.oldest is None else to_timestamp(status.oldest),
            outbox_limit=status.limit,
        )
