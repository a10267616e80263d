# SPDX-License-Identifier: AGPL-3.0-or-later
"""The part of DirectoryService that is about facts and intel of attackers."""

from __future__ import annotations

from typing import Any

import grpc
import orjson
from google.protobuf.timestamp_pb2 import Timestamp

from decnet_ttp.core.errors import InvalidArgumentError
from decnet_ttp.runtime.paging import encode_token, page_limit, request_arguments
from decnet_ttp.tag_store.convert import read_time
from decnet_ttp.tag_store.database import Database
from decnet_ttp.tag_store.facts import FactRow, Facts, value_hash
from decnet_ttp.tag_store.fields import check_text, page_key, parse_uuid
from decnet_ttp.tag_store.intel import Intel, IntelRow
from decnet_ttp.tag_store.ticks import to_timestamp
from decnet_ttp.v1 import attacker_fact_pb2 as pb
from decnet_ttp.v1.directory_service_pb2_grpc import DirectoryServiceServicer

MAX_FACTS = 10_000
MAX_VALUE_BYTES = 4_096
MAX_ATTRIBUTES = 16
MAX_SIGNALS = 256

_MAX_COUNT = 2**62
_MAX_SCORE = 100.0


def read_optional_time(message: Any, name: str, path: str) -> int | None:
    """Return a time in ticks, None where it is absent.

    Raises:
        InvalidArgumentError: It lies outside the years 1 to 9999.
    """
    if not message.HasField(name):
        return None
    stamp: Timestamp = getattr(message, name)
    return read_time(stamp, f"{path}.{name}")


def read_fact(fact: pb.AttackerFact, path: str) -> FactRow:
    """Read a fact.

    Raises:
        InvalidArgumentError: A field cannot be kept; names it.
    """
    kinds = pb.FactKind.values()
    if fact.kind == pb.FACT_KIND_UNSPECIFIED or fact.kind not in kinds:
        raise InvalidArgumentError(
            f"{path}.kind is none that is known; use one of FactKind", field=f"{path}.kind"
        )
    if not fact.value or "\0" in fact.value or len(fact.value.encode()) > MAX_VALUE_BYTES:
        raise InvalidArgumentError(
            f"{path}.value is empty, holds a NUL or is too long; use 1 to {MAX_VALUE_BYTES} bytes",
            field=f"{path}.value",
        )
    if not 0 <= fact.count <= _MAX_COUNT:
        raise InvalidArgumentError(
            f"{path}.count is {fact.count}; use 0 or more", field=f"{path}.count"
        )
    if len(fact.attributes) > MAX_ATTRIBUTES:
        raise InvalidArgumentError(
            f"{path}.attributes are {len(fact.attributes)}; at most {MAX_ATTRIBUTES} are kept",
            field=f"{path}.attributes",
        )
    attributes = {
        check_text(name, f"{path}.attributes", required=True): check_text(
            text, f"{path}.attributes"
        )
        for name, text in fact.attributes.items()
    }
    first = read_optional_time(fact, "first_seen_time", path)
    last = read_optional_time(fact, "last_seen_time", path)
    if first is not None and last is not None and first > last:
        raise InvalidArgumentError(
            f"{path}.first_seen_time lies after last_seen_time; swap them",
            field=f"{path}.first_seen_time",
        )
    return FactRow(
        parse_uuid(fact.attacker_uuid, f"{path}.attacker_uuid"),
        fact.kind,
        fact.value,
        fact.count or 1,
        first,
        last,
        orjson.dumps(attributes, option=orjson.OPT_SORT_KEYS) if attributes else b"",
        value_hash(fact.value),
    )


def fact_message(row: FactRow) -> pb.AttackerFact:
    """Return a fact as it travels."""
    fact = pb.AttackerFact(
        attacker_uuid=str(row.attacker_uuid),
        kind=pb.FactKind.Name(row.kind) if row.kind in pb.FactKind.values() else None,
        value=row.value,
        count=row.sightings,
        attributes=orjson.loads(row.attributes) if row.attributes else None,
    )
    if row.first_seen is not None and row.last_seen is not None:
        fact.first_seen_time.CopyFrom(to_timestamp(row.first_seen))
        fact.last_seen_time.CopyFrom(to_timestamp(row.last_seen))
    return fact


def read_intel(record: pb.IntelRecord, path: str = "record") -> IntelRow:
    """Read a record.

    Raises:
        InvalidArgumentError: A field cannot be kept; names it.
    """
    score = record.score if record.HasField("score") else None
    if score is not None and not 0.0 <= score <= _MAX_SCORE:
        raise InvalidArgumentError(
            f"{path}.score is {score}; use 0 to {_MAX_SCORE:g}", field=f"{path}.score"
        )
    if len(record.signals) > MAX_SIGNALS:
        raise InvalidArgumentError(
            f"{path}.signals are {len(record.signals)}; at most {MAX_SIGNALS} are kept",
            field=f"{path}.signals",
        )
    return IntelRow(
        parse_uuid(record.attacker_uuid, f"{path}.attacker_uuid"),
        check_text(record.provider, f"{path}.provider", required=True),
        check_text(record.verdict, f"{path}.verdict"),
        score,
        [check_text(text, f"{path}.signals[{at}]") for at, text in enumerate(record.signals)],
        read_optional_time(record, "observe_time", path),
    )


def intel_message(row: IntelRow) -> pb.IntelRecord:
    """Return a record as it travels."""
    record = pb.IntelRecord(
        attacker_uuid=str(row.attacker_uuid),
        provider=row.provider,
        verdict=row.verdict,
        score=row.score,
        signals=row.signals,
    )
    if row.observed_at is not None:
        record.observe_time.CopyFrom(to_timestamp(row.observed_at))
    return record


class FactServicer(DirectoryServiceServicer):
    """Keeps and lists what is known of attackers besides their tags."""

    def __init__(self, database: Database) -> None:
        self._facts = Facts(database)
        self._intel = Intel(database)

    async def PutFacts(
        self, request: pb.PutFactsRequest, _context: grpc.aio.ServicerContext[Any, Any]
    ) -> pb.PutFactsResponse:
        """Keep facts."""
        if len(request.facts) > MAX_FACTS:
            raise InvalidArgumentError(
                f"facts are {len(request.facts)}; send at most {MAX_FACTS} at once", field="facts"
            )
        rows = [read_fact(fact, f"facts[{at}]") for at, fact in enumerate(request.facts)]
        return pb.PutFactsResponse(inserted_count=await self._facts.put(rows))

    async def ListFacts(
        self, request: pb.ListFactsRequest, _context: grpc.aio.ServicerContext[Any, Any]
    ) -> pb.ListFactsResponse:
        """List facts by kind, last seen first."""
        attacker = parse_uuid(request.attacker_uuid, "attacker_uuid")
        limit = page_limit(request.page_size)
        arguments = request_arguments(request)
        key = page_key(request.page_token, arguments, (int, int, str))
        past = (key[0], key[1], bytes.fromhex(key[2])) if key else None
        rows = await self._facts.page(attacker, request.kind, limit + 1, past)
        page = rows[:limit]
        token = ""
        if len(rows) > limit:
            last = page[-1]
            token = encode_token([last.kind, last.last_seen, last.value_hash.hex()], arguments)
        return pb.ListFactsResponse(facts=map(fact_message, page), next_page_token=token)

    async def PutIntel(
        self, request: pb.PutIntelRequest, _context: grpc.aio.ServicerContext[Any, Any]
    ) -> pb.PutIntelResponse:
        """Keep what a provider says."""
        row = await self._intel.put(read_intel(request.record))
        return pb.PutIntelResponse(record=intel_message(row))

    async def ListIntel(
        self, request: pb.ListIntelRequest, _context: grpc.aio.ServicerContext[Any, Any]
    ) -> pb.ListIntelResponse:
        """List records by provider."""
        attacker = parse_uuid(request.attacker_uuid, "attacker_uuid")
        limit = page_limit(request.page_size)
        arguments = request_arguments(request)
        key = page_key(request.page_token, arguments, (str,))
        rows = await self._intel.page(attacker, limit + 1, key[0] if key else "")
        page = rows[:limit]
        return pb.ListIntelResponse(
            records=map(intel_message, page),
            next_page_token=encode_token([page[-1].provider], arguments)
            if len(rows) > limit
            else "",
        )
