# SPDX-License-Identifier: AGPL-3.0-or-later
"""TagStoreService on the wire."""

from __future__ import annotations

from collections import Counter
from typing import Any

import grpc

from decnet_ttp.core.errors import InvalidArgumentError
from decnet_ttp.core.tags import CONFIDENCE_FLOOR
from decnet_ttp.runtime.paging import encode_token, page_limit, request_arguments
from decnet_ttp.tag_store.convert import tag_message
from decnet_ttp.tag_store.database import Database
from decnet_ttp.tag_store.directory import Directory
from decnet_ttp.tag_store.fields import check_text, page_key
from decnet_ttp.tag_store.later import not_offered
from decnet_ttp.tag_store.names import Names
from decnet_ttp.tag_store.scopes import parse_scope
from decnet_ttp.tag_store.tag_reader import TagFilter, read_page
from decnet_ttp.tag_store.writer import TagWriter
from decnet_ttp.v1 import tag_store_service_pb2 as pb
from decnet_ttp.v1.tag_store_service_pb2_grpc import TagStoreServiceServicer

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
    return TagFilter(**texts, min_confidence=request.min_confidence)


class TagServicer(TagStoreServiceServicer):
    """Writes tags and lists them with their evidence."""

    def __init__(
        self, writer: TagWriter, database: Database, directory: Directory, names: Names
    ) -> None:
        self._writer = writer
        self._database = database
        self._directory = directory
        self._names = names

    async def InsertTags(
        self, request: pb.InsertTagsRequest, _context: grpc.aio.ServicerContext[Any, Any]
    ) -> pb.InsertTagsResponse:
        """Store what is new."""
        written = await self._writer.write(
            request.groups, silent=request.silent, count_origins=request.count_origins
        )
        answer = pb.InsertTagsResponse(
            inserted_count=written.inserted,
            known_count=written.known,
            below_floor_count=written.below_floor,
            announced_count=written.announced,
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
        return pb.ListTagsResponse(
            tags=[tag_message(row, self._names) for row in page.rows], next_page_token=token
        )

    async def PurgeTags(
        self, _request: pb.PurgeTagsRequest, _context: grpc.aio.ServicerContext[Any, Any]
    ) -> pb.PurgeTagsResponse:
        """Not offered yet."""
        not_offered("PurgeTags", "ask for a later release")

    async def VacuumTags(
        self, _request: pb.VacuumTagsRequest, _context: grpc.aio.ServicerContext[Any, Any]
    ) -> pb.VacuumTagsResponse:
        """Not offered yet."""
        not_offered("VacuumTags", "keep the tags, or ask for a later release")
