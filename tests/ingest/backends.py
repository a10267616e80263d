# SPDX-License-Identifier: AGPL-3.0-or-later
"""The neighbours of ingest as tests drive them: real gRPC servers with answers set by the test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc

from decnet_ttp.core.addresses import attacker_uuid
from decnet_ttp.core.errors import DecnetError, InvalidArgumentError
from decnet_ttp.runtime.boundary import ErrorInterceptor
from decnet_ttp.v1 import (
    directory_service_pb2,
    directory_service_pb2_grpc,
    directory_update_pb2,
    tag_store_service_pb2,
    tag_store_service_pb2_grpc,
    tagger_service_pb2,
    tagger_service_pb2_grpc,
)


class Tagger(tagger_service_pb2_grpc.TaggerServiceServicer):
    """Tags every command with its own text as rule id; fails as long as `error` is set."""

    def __init__(self) -> None:
        self.kinds = ["command"]
        self.calls: list[int] = []
        self.times: list[tuple[str, int]] = []
        self.error: DecnetError | None = None
        self.poison = ""
        self.delay_s = 0.0

    async def DescribeTagger(self, request: Any, context: Any) -> Any:
        answer = tagger_service_pb2.DescribeTaggerResponse(attack_release="enterprise-v17")
        answer.lifters.add(name="rule_engine", source_kinds=self.kinds)
        return answer

    async def ListRuleStatistics(self, request: Any, context: Any) -> Any:
        answer = tagger_service_pb2.ListRuleStatisticsResponse()
        answer.statistics.add(rule_id="R0001")
        return answer

    async def TagEvents(self, request: Any, context: Any) -> Any:
        if self.error is not None:
            raise self.error
        self.calls.append(sum(len(group.events) for group in request.groups))
        await asyncio.sleep(self.delay_s)
        answer = tagger_service_pb2.TagEventsResponse()
        for group in request.groups:
            out = answer.groups.add(origin_id=group.origin_id, anchor=group.anchor)
            for event in group.events:
                self.times.append((event.source_id, event.observe_time.ToSeconds()))
                if self.poison and self.poison in event.command.command_text:
                    raise ValueError("poison")
                out.tags.add(
                    source_kind=event.source_kind,
                    source_id=event.source_id,
                    rule_id="R0001",
                    rule_version=1,
                    tactic="TA0002",
                    technique_id="T1059",
                    confidence=0.9,
                )
        return answer


class Store(
    tag_store_service_pb2_grpc.TagStoreServiceServicer,
    directory_service_pb2_grpc.DirectoryServiceServicer,
):
    """Keeps tags by source id and counts calls; fails while `error` is set, waits to be `open`."""

    def __init__(self) -> None:
        self.tags: dict[str, str] = {}
        self.announced: list[str] = []
        self.inserts = 0
        self.resolves: list[list[str]] = []
        self.unknown: set[str] = set()
        self.identities: dict[str, str] = {}
        self.anchors: dict[str, tuple[str, str]] = {}
        self.refused_session = ""
        self.updates: list[directory_update_pb2.UpdateDirectoryRequest] = []
        self.refused_origin = ""
        self.error: DecnetError | None = None
        self.open = asyncio.Event()
        self.open.set()
        self.waiting = self.most_waiting = 0
        self.found: list[tag_store_service_pb2.FindSupersededRequest] = []
        self.judged: list[tag_store_service_pb2.JudgeSupersededRequest] = []

    async def FindSuperseded(self, request: Any, context: Any) -> Any:
        self.found.append(request)
        return tag_store_service_pb2.FindSupersededResponse(candidate_count=1)

    async def JudgeSuperseded(self, request: Any, context: Any) -> Any:
        """Every event of the request has one superseded tag."""
        self.judged.append(request)
        answer = tag_store_service_pb2.JudgeSupersededResponse()
        for event in request.events:
            answer.tags.add(uuid=event.source_id, source_id=event.source_id)
        answer.retired_count = len(answer.tags) if request.retire else 0
        return answer

    async def InsertTags(self, request: Any, context: Any) -> Any:
        if self.error is not None:
            raise self.error
        self.waiting += 1
        self.most_waiting = max(self.waiting, self.most_waiting)
        await self.open.wait()
        self.waiting -= 1
        self.inserts += 1
        if any(group.origin_id == self.refused_origin for group in request.groups):
            raise InvalidArgumentError("cannot store that", field="groups")
        new = known = 0
        answer = tag_store_service_pb2.InsertTagsResponse()
        for group in request.groups:
            self.anchors[group.origin_id] = (group.anchor.attacker_uuid, group.anchor.identity_uuid)
            fresh = [tag.source_id for tag in group.tags if tag.source_id not in self.tags]
            new += len(fresh)
            known += len(group.tags) - len(fresh)
            for source_id in fresh:
                self.tags[source_id] = group.anchor.attacker_uuid
            if fresh and not request.silent:
                self.announced.append(group.origin_id)
            if request.count_origins:
                answer.origins.add(
                    origin_id=group.origin_id,
                    inserted_count=len(fresh),
                    known_count=len(group.tags) - len(fresh),
                )
        answer.inserted_count, answer.known_count = new, known
        return answer

    async def ResolveAttackers(self, request: Any, context: Any) -> Any:
        if self.error is not None:
            raise self.error
        self.resolves.append([each.ip for each in request.sightings if each.ip])
        answer = directory_service_pb2.ResolveAttackersResponse()
        for sighting in request.sightings:
            if sighting.attacker_uuid:
                answer.attackers.add(
                    attacker_uuid=sighting.attacker_uuid,
                    identity_uuid=self.identities.get(sighting.attacker_uuid, ""),
                )
                continue
            known = sighting.ip not in self.unknown
            answer.attackers.add(
                ip=sighting.ip, attacker_uuid=str(attacker_uuid(sighting.ip)) if known else ""
            )
        return answer

    async def UpdateDirectory(self, request: Any, context: Any) -> Any:
        if self.error is not None:
            raise self.error
        if any(each.session_id == self.refused_session for each in request.sessions):
            raise InvalidArgumentError("cannot keep that", field="sessions")
        self.updates.append(request)
        return directory_update_pb2.UpdateDirectoryResponse()


@asynccontextmanager
async def serving(path: Path, *servicers: object) -> AsyncIterator[str]:
    """Serve the servicers on a Unix socket; yields its gRPC target."""
    server = grpc.aio.server(interceptors=[ErrorInterceptor()])
    for servicer in servicers:
        if isinstance(servicer, Tagger):
            tagger_service_pb2_grpc.add_TaggerServiceServicer_to_server(servicer, server)
        if isinstance(servicer, Store):
            tag_store_service_pb2_grpc.add_TagStoreServiceServicer_to_server(servicer, server)
            directory_service_pb2_grpc.add_DirectoryServiceServicer_to_server(servicer, server)
    target = f"unix:{path}"
    server.add_insecure_port(target)
    await server.start()
    try:
        yield target
    finally:
        await server.stop(0)


async def until(condition: Any, within_s: float = 60.0) -> None:
    """Wait for a condition; fails the test when it does not come true in time."""
    async with asyncio.timeout(within_s):
        while not (await condition() if asyncio.iscoroutinefunction(condition) else condition()):
            await asyncio.sleep(0.02)
