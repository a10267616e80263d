# SPDX-License-Identifier: AGPL-3.0-or-later
"""RollupService on the wire."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import grpc

from decnet_ttp.runtime.paging import encode_token, page_limit, request_arguments
from decnet_ttp.tag_store.convert import phases_message, read_time, technique_message
from decnet_ttp.tag_store.database import Database
from decnet_ttp.tag_store.directory import Directory
from decnet_ttp.tag_store.fields import page_key
from decnet_ttp.tag_store.fleet_settling import settle
from decnet_ttp.tag_store.names import Names
from decnet_ttp.tag_store.phases import read_phases
from decnet_ttp.tag_store.recount import recount
from decnet_ttp.tag_store.rollup_reader import CellCount, RollupFilter, read_cells
from decnet_ttp.tag_store.scope_folder import fold_all
from decnet_ttp.tag_store.scopes import Scope, parse_scope
from decnet_ttp.tag_store.ticks import day_of
from decnet_ttp.v1 import rollup_service_pb2 as pb
from decnet_ttp.v1.rollup_service_pb2_grpc import RollupServiceServicer

_DEFAULT_TECHNIQUES = 500


def _read_filter(request: pb.ListTechniquesRequest) -> RollupFilter:
    def day(name: str) -> int | None:
        if not request.HasField(name):
            return None
        return day_of(read_time(getattr(request, name), name))

    return RollupFilter(
        min_band=request.min_band, from_day=day("start_time"), before_day=day("end_time")
    )


class RollupServicer(RollupServiceServicer):
    """Says which techniques a scope showed."""

    def __init__(self, database: Database, directory: Directory, names: Names) -> None:
        self._database = database
        self._directory = directory
        self._names = names

    async def _cells(self, scope: Scope, asked: RollupFilter) -> list[CellCount]:
        located = await self._directory.locate(scope)
        return [] if located is None else await read_cells(self._database, located, asked)

    def _key(self, order: int) -> tuple[Callable[[CellCount], list[Any]], Sequence[type]]:
        """Return a sort key that no two cells of a scope share, and the types of its parts."""

        def by_count(cell: CellCount) -> list[Any]:
            return [-cell.tags, cell.technique_id, cell.sub_technique_id, cell.tactic]

        def by_last_seen(cell: CellCount) -> list[Any]:
            return [-cell.last_seen, *by_count(cell)]

        def by_tactic(cell: CellCount) -> list[Any]:
            return [self._names.tactic_order(cell.tactic), *by_count(cell)]

        if order == pb.TECHNIQUE_ORDER_COUNT:
            return by_count, (int, str, str, str)
        key = by_last_seen if order == pb.TECHNIQUE_ORDER_LAST_SEEN else by_tactic
        return key, (int, int, str, str, str)

    async def ListTechniques(
        self, request: pb.ListTechniquesRequest, _context: grpc.aio.ServicerContext[Any, Any]
    ) -> pb.ListTechniquesResponse:
        """List cells in the order asked for."""
        scope = parse_scope(request.scope)
        limit = page_limit(request.page_size, _DEFAULT_TECHNIQUES)
        asked = _read_filter(request)
        arguments = request_arguments(request)
        key, kinds = self._key(request.order)
        past = page_key(request.page_token, arguments, kinds)
        cells = sorted(await self._cells(scope, asked), key=key)
        if past is not None:
            cells = [cell for cell in cells if key(cell) > past]
        page = cells[:limit]
        return pb.ListTechniquesResponse(
            techniques=[technique_message(cell, self._names) for cell in page],
            next_page_token=encode_token(key(page[-1]), arguments) if len(cells) > limit else "",
        )

    async def ListTactics(
        self, request: pb.ListTacticsRequest, _context: grpc.aio.ServicerContext[Any, Any]
    ) -> pb.ListTacticsResponse:
        """Add the cells of each tactic up, in the order of the matrix."""
        scope = parse_scope(request.scope)
        limit = page_limit(request.page_size)
        arguments = request_arguments(request)
        past = page_key(request.page_token, arguments, (int, str))
        counts: dict[str, int] = {}
        techniques: dict[str, int] = {}
        for cell in await self._cells(scope, RollupFilter()):
            counts[cell.tactic] = counts.get(cell.tactic, 0) + cell.tags
            techniques[cell.tactic] = techniques.get(cell.tactic, 0) + 1
        order = self._names.tactic_order
        tactics = sorted((order(tactic), tactic) for tactic in counts)
        if past is not None:
            tactics = [key for key in tactics if key > (past[0], past[1])]
        page = tactics[:limit]
        return pb.ListTacticsResponse(
            tactics=[
                pb.TacticRow(
                    tactic=tactic,
                    tactic_name=self._names.tactic(tactic),
                    count=counts[tactic],
                    technique_count=techniques[tactic],
                )
                for _, tactic in page
            ],
            next_page_token=encode_token(page[-1], arguments) if len(tactics) > limit else "",
        )

    async def ListPhases(
        self, request: pb.ListPhasesRequest, _context: grpc.aio.ServicerContext[Any, Any]
    ) -> pb.ListPhasesResponse:
        """List the decoys of an attacker or identity by id."""
        scope = parse_scope(request.scope)
        limit = page_limit(request.page_size)
        arguments = request_arguments(request)
        key = page_key(request.page_token, arguments, (str,))
        located = await self._directory.locate(scope)
        if located is None:
            return pb.ListPhasesResponse()
        past = key[0] if key else ""
        deckies = await read_phases(self._database, located, limit=limit + 1, past=past)
        page = deckies[:limit]
        return pb.ListPhasesResponse(
            phases=map(phases_message, page),
            next_page_token=encode_token([page[-1].decky_id], arguments)
            if len(deckies) > limit
            else "",
        )

    async def RecountRollups(
        self, request: pb.RecountRollupsRequest, _context: grpc.aio.ServicerContext[Any, Any]
    ) -> pb.RecountRollupsResponse:
        """Hold the roll-ups against the tags."""
        # What is noted to be settled is no fault.
        await settle(self._database)
        await fold_all(self._database)
        found = await recount(self._database, repair=request.repair)
        return pb.RecountRollupsResponse(
            rollups=[
                pb.RollupRecount(
                    rollup=each.rollup,
                    expected_count=each.expected,
                    differing_count=each.differing,
                )
                for each in found
            ],
            repaired=request.repair and any(each.differing for each in found),
        )
