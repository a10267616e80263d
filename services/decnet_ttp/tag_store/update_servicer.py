# SPDX-License-Identifier: AGPL-3.0-or-later
"""The part of DirectoryService that takes in what batches of events said."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from uuid import UUID

import grpc

from decnet_ttp.core.addresses import canonical_ip
from decnet_ttp.core.errors import InvalidArgumentError
from decnet_ttp.tag_store.campaign_statements import CampaignStatement, MergeStatement
from decnet_ttp.tag_store.database import Database
from decnet_ttp.tag_store.directory_sql import Sightings
from decnet_ttp.tag_store.fact_servicer import read_fact, read_intel, read_optional_time
from decnet_ttp.tag_store.facts import FactRow, put_facts
from decnet_ttp.tag_store.fields import check_text, parse_uuid
from decnet_ttp.tag_store.intel import IntelRow, put_intel
from decnet_ttp.tag_store.records import SeenAttacker, SessionRow, keep_attackers, keep_sessions
from decnet_ttp.tag_store.statements import MemberStatement, Statements, keep_statements
from decnet_ttp.tag_store.ticks import from_epoch_seconds
from decnet_ttp.v1 import directory_update_pb2 as pb
from decnet_ttp.v1.directory_service_pb2_grpc import DirectoryServiceServicer

#: Entries of one list.
MAX_ENTRIES = 10_000

_MAX_COUNT = 2**62

T = TypeVar("T")


def _now() -> int:
    return from_epoch_seconds(time.time())


def _uuid(text: str, field: str) -> UUID | None:
    return parse_uuid(text, field) if text else None


def _span(entry: Any, path: str, first: str, last: str) -> tuple[int, int]:
    """Return first and last time, where either may be absent; a sensor's clock may run back."""
    begin, end = read_optional_time(entry, first, path), read_optional_time(entry, last, path)
    known = [each for each in (begin, end) if each is not None] or [_now()]
    return min(known), max(known)


def _stated(entry: Any, path: str) -> int:
    at = read_optional_time(entry, "state_time", path)
    if at is None:
        raise InvalidArgumentError(
            f"{path}.state_time is absent; say when it was stated", field=f"{path}.state_time"
        )
    return at


def _read_attacker(entry: pb.AttackerSighting, path: str) -> SeenAttacker:
    return SeenAttacker(
        parse_uuid(entry.attacker_uuid, f"{path}.attacker_uuid"),
        canonical_ip(entry.ip) or "",
        check_text(entry.decky_id, f"{path}.decky_id"),
        *_span(entry, path, "first_seen_time", "last_seen_time"),
    )


def _read_session(entry: pb.SessionRecord, path: str) -> SessionRow:
    counts = (
        entry.command_count,
        entry.request_count,
        entry.auth_attempt_count,
        entry.file_count,
    )
    if not all(0 <= count <= _MAX_COUNT for count in counts):
        raise InvalidArgumentError(f"{path} has a count below 0; use 0 or more", field=path)
    return SessionRow(
        check_text(entry.session_id, f"{path}.session_id", required=True),
        parse_uuid(entry.attacker_uuid, f"{path}.attacker_uuid"),
        check_text(entry.decky_id, f"{path}.decky_id") or None,
        check_text(entry.service, f"{path}.service"),
        *_span(entry, path, "start_time", "end_time"),
        *counts,
    )


def _read_member(entry: pb.Membership, path: str) -> MemberStatement:
    return MemberStatement(
        parse_uuid(entry.attacker_uuid, f"{path}.attacker_uuid"),
        _uuid(entry.identity_uuid, f"{path}.identity_uuid"),
        read_optional_time(entry, "state_time", path),
    )


def _read_merge(entry: pb.IdentityMerge | pb.CampaignMerge, path: str) -> MergeStatement:
    loser = parse_uuid(entry.loser_uuid, f"{path}.loser_uuid")
    winner = _uuid(entry.winner_uuid, f"{path}.winner_uuid")
    if winner == loser:
        raise InvalidArgumentError(
            f"{path}.winner_uuid is the loser's; name two", field=f"{path}.winner_uuid"
        )
    return MergeStatement(loser, winner, _stated(entry, path))


def _read_campaign(entry: pb.CampaignMembership, path: str) -> CampaignStatement:
    return CampaignStatement(
        _uuid(entry.identity_uuid, f"{path}.identity_uuid"),
        _uuid(entry.campaign_uuid, f"{path}.campaign_uuid"),
        check_text(entry.name, f"{path}.name"),
        _stated(entry, path),
    )


def _read_all(entries: Sequence[Any], name: str, read: Callable[[Any, str], T]) -> list[T]:
    if len(entries) > MAX_ENTRIES:
        raise InvalidArgumentError(
            f"{name} are {len(entries)}; send at most {MAX_ENTRIES} at once", field=name
        )
    return [read(entry, f"{name}[{index}]") for index, entry in enumerate(entries)]


def _spoken_of(facts: Sequence[FactRow], intel: Sequence[IntelRow]) -> Sightings:
    """Return those whom facts and intel are about, who may have no rows yet."""
    found = Sightings()
    now = _now()
    for fact in facts:
        known = [each for each in (fact.first_seen, fact.last_seen) if each is not None] or [now]
        found.add(fact.attacker_uuid, min(known), max(known))
    for record in intel:
        at = now if record.observed_at is None else record.observed_at
        found.add(record.attacker_uuid, at, at)
    return found


class UpdateServicer(DirectoryServiceServicer):
    """Keeps what events said."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def UpdateDirectory(
        self, request: pb.UpdateDirectoryRequest, _context: grpc.aio.ServicerContext[Any, Any]
    ) -> pb.UpdateDirectoryResponse:
        """Keep everything of a request, in two steps that may each be repeated."""
        seen = _read_all(request.attackers, "attackers", _read_attacker)
        sessions = _read_all(request.sessions, "sessions", _read_session)
        facts = _read_all(request.facts, "facts", read_fact)
        intel = _read_all(request.intel_records, "intel_records", read_intel)
        told = Statements(
            _read_all(request.identity_uuids, "identity_uuids", parse_uuid),
            _read_all(request.memberships, "memberships", _read_member),
            _read_all(request.identity_merges, "identity_merges", _read_merge),
            _read_all(request.campaign_memberships, "campaign_memberships", _read_campaign),
            _read_all(request.campaign_merges, "campaign_merges", _read_merge),
        )
        new_facts = superseded = 0
        if seen or sessions or facts or intel:
            new_facts = await self._keep_records(seen, sessions, facts, intel)
        if any(told):
            async with self._database.connection() as connection, connection.transaction():
                superseded = await keep_statements(connection, told)
        return pb.UpdateDirectoryResponse(new_fact_count=new_facts, superseded_count=superseded)

    async def _keep_records(
        self,
        seen: Sequence[SeenAttacker],
        sessions: Sequence[SessionRow],
        facts: Sequence[FactRow],
        intel: Sequence[IntelRow],
    ) -> int:
        async with self._database.connection() as connection, connection.transaction():
            await keep_attackers(connection, seen, sessions, _spoken_of(facts, intel))
            new_facts = await put_facts(connection, facts)
            await put_intel(connection, intel)
            await keep_sessions(connection, seen, sessions)
        return new_facts
