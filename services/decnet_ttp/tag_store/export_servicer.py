# SPDX-License-Identifier: AGPL-3.0-or-later
"""ExportService on the wire."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import grpc

from decnet_ttp.attack.catalogue import Catalogue
from decnet_ttp.core.errors import InvalidArgumentError
from decnet_ttp.tag_store.adjustments import Adjustments
from decnet_ttp.tag_store.convert import tag_message, technique_message
from decnet_ttp.tag_store.database import Database
from decnet_ttp.tag_store.directory import Directory
from decnet_ttp.tag_store.document_export import Documents, Form
from decnet_ttp.tag_store.names import Names
from decnet_ttp.tag_store.rollup_reader import read_attackers
from decnet_ttp.tag_store.scopes import parse_scope
from decnet_ttp.tag_store.tag_reader import TagFilter, read_tags
from decnet_ttp.v1 import export_service_pb2 as pb
from decnet_ttp.v1.export_service_pb2_grpc import ExportServiceServicer

_TAGS_PER_MESSAGE = 1_000
_FORMS = {
    pb.DOCUMENT_FORMAT_NAVIGATOR: Form.NAVIGATOR,
    pb.DOCUMENT_FORMAT_STIX: Form.STIX,
    pb.DOCUMENT_FORMAT_MISP: Form.MISP,
}


class ExportServicer(ExportServiceServicer):
    """Streams a scope, a page in memory at a time."""

    def __init__(
        self,
        database: Database,
        directory: Directory,
        names: Names,
        adjustments: Adjustments,
        catalogue: Catalogue,
    ) -> None:
        self._documents = Documents(database, directory, names, adjustments, catalogue)
        self._adjustments = adjustments
        self._database = database
        self._directory = directory
        self._names = names

    async def ExportTags(
        self, request: pb.ExportTagsRequest, _context: grpc.aio.ServicerContext[Any, Any]
    ) -> AsyncIterator[pb.ExportTagsResponse]:
        """Stream tags, oldest first.

        Pages by number instead of a cursor, so that a slow reader holds no transaction open.
        """
        scope = await self._directory.locate(parse_scope(request.scope))
        if scope is None:
            return
        past = -1
        while True:
            rows = await read_tags(
                self._database,
                scope,
                TagFilter(),
                limit=_TAGS_PER_MESSAGE,
                past_seq=past,
                oldest_first=True,
            )
            if rows:
                past = rows[-1].seq
                standing = await self._adjustments.of_tags(rows)
                yield pb.ExportTagsResponse(
                    tags=[
                        tag_message(row, self._names, standing.get(row.attacker_uuid))
                        for row in rows
                    ]
                )
            if len(rows) < _TAGS_PER_MESSAGE:
                return

    async def ExportRollups(
        self, _request: pb.ExportRollupsRequest, _context: grpc.aio.ServicerContext[Any, Any]
    ) -> AsyncIterator[pb.ExportRollupsResponse]:
        """Stream the cells of every attacker that has any, by uuid."""
        past = UUID(int=0)
        while found := await read_attackers(self._database, past):
            for past, cells in found:
                yield pb.ExportRollupsResponse(
                    attacker_uuid=str(past),
                    techniques=[technique_message(cell, self._names) for cell in cells],
                )

    async def ExportDocument(
        self, request: pb.ExportDocumentRequest, _context: grpc.aio.ServicerContext[Any, Any]
    ) -> AsyncIterator[pb.ExportDocumentResponse]:
        """Stream a document, once it is made."""
        form = _FORMS.get(request.format)
        if form is None:
            raise InvalidArgumentError(
                "format is none that is known; use one of DocumentFormat", field="format"
            )
        parse_scope(request.scope)
        async for chunk in self._documents.make(request.scope, form):
            yield pb.ExportDocumentResponse(chunk=chunk)
