# SPDX-License-Identifier: AGPL-3.0-or-later
"""Writing a batch of tags with everything that follows from it, in one transaction."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import asyncpg

from decnet_ttp.core.errors import InvalidArgumentError
from decnet_ttp.tag_store import rollup_sql
from decnet_ttp.tag_store.announcement_limit import AnnouncementLimit
from decnet_ttp.tag_store.announcements import encode_body
from decnet_ttp.tag_store.attacker_locks import share_attackers
from decnet_ttp.tag_store.batch import MAX_TAGS, Batch, MessageTags, TagRow, TagShapes
from decnet_ttp.tag_store.cells import Cells
from decnet_ttp.tag_store.database import Database
from decnet_ttp.tag_store.directory_sql import make_attackers, note_anchors, sightings_of
from decnet_ttp.tag_store.figures import Tally
from decnet_ttp.tag_store.live_counts import leave_additions, read_effects
from decnet_ttp.tag_store.outbox_gauge import OutboxGauge
from decnet_ttp.tag_store.rollup_counts import count_rows
from decnet_ttp.tag_store.tag_copy import copy_tags
from decnet_ttp.v1 import tag_pb2

#: Tags checked at one go before other calls get their turn.
_TAGS_PER_TURN = 2_000

_BEGIN_BATCH = "SELECT nextval('tag_batches') AS number, now() AS now"
_KNOWN = "SELECT uuid FROM tags WHERE uuid = ANY($1::uuid[])"
_MAKE_STAGE = "CREATE TEMPORARY TABLE IF NOT EXISTS tag_stage (LIKE tags) ON COMMIT DELETE ROWS"
_FROM_STAGE = (
    f"INSERT INTO tags ({', '.join(TagRow._fields)}) "  # noqa: S608 - column names of ours
    f"SELECT {', '.join(TagRow._fields)} FROM tag_stage ORDER BY uuid "
    "ON CONFLICT DO NOTHING RETURNING uuid"
)
_OUTBOX_COLUMNS = ("announcement", "body", "created_at")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Written:
    """What became of a batch, in tags; announcements in upstream messages."""

    inserted: int
    known: int
    below_floor: int
    announced: int
    held_back: int = 0
    inserted_by_origin: Mapping[str, int] = field(default_factory=dict)


class TagWriter:
    """Stores tags.

    Args:
        database: Where.
        announce: Called after a commit that left something in the outbox.
        tally: What was stored is counted here.
        limit: How much is announced of one rule and attacker; everything by default.
        gauge: Says when the outbox is full; never by default.
    """

    def __init__(
        self,
        database: Database,
        announce: Callable[[], None],
        tally: Tally | None = None,
        *,
        limit: AnnouncementLimit | None = None,
        gauge: OutboxGauge | None = None,
    ) -> None:
        self._database = database
        self._announce = announce
        self._tally = tally or Tally()
        self._cells = Cells(database)
        self._shapes = TagShapes()
        self._limit = limit or AnnouncementLimit(0)
        self._gauge = gauge

    async def write(
        self, groups: Sequence[tag_pb2.TagGroup], *, silent: bool, count_origins: bool = False
    ) -> Written:
        """Store what is new of the groups; all of it, or nothing.

        Args:
            groups: Tags by upstream message.
            silent: Whether nothing is announced.
            count_origins: Whether what is new is counted for each message.

        Raises:
            InvalidArgumentError: A tag cannot be stored; names it.
            OutboxFullError: Too much waits to be announced.
            AbortedError, ResourceExhaustedError, UnavailableError: The database said so.
        """
        total = sum(len(group.tags) for group in groups)
        if total > MAX_TAGS:
            raise InvalidArgumentError(
                f"groups hold {total} tags; send at most {MAX_TAGS} at once", field="groups"
            )
        if self._gauge is not None and not silent:
            self._gauge.require_room()
        began_s = time.monotonic()
        batch = await self._prepare(groups)
        rows = [row for message in batch.messages for row in message.rows]
        inserted: Sequence[TagRow] = []
        announced = held_back = 0
        if rows:
            cells = await self._cells.number(
                {(row.tactic, row.technique_id, row.sub_technique_id) for row in rows}
            )
            async with self._database.connection() as connection:
                try:
                    inserted, announced, held_back = await self._store(
                        connection, batch, rows, cells, _copy_new, silent=silent
                    )
                except asyncpg.UniqueViolationError:
                    # Another writer stored some of them between look-up and copy.
                    inserted, announced, held_back = await self._store(
                        connection, batch, rows, cells, _copy_around_conflicts, silent=silent
                    )
        if announced or held_back:
            self._announce()
        known = len(rows) - len(inserted) + batch.repeated
        self._tally.count_batch(
            inserted,
            known=known,
            below_floor=batch.below_floor,
            announced=announced,
            took_s=time.monotonic() - began_s,
        )
        return Written(
            inserted=len(inserted),
            known=known,
            below_floor=batch.below_floor,
            announced=announced,
            held_back=held_back,
            inserted_by_origin=_count_origins(batch, inserted) if count_origins else {},
        )

    async def _prepare(self, groups: Sequence[tag_pb2.TagGroup]) -> Batch:
        async with self._database.connection() as connection:
            begin = await connection.fetchrow(_BEGIN_BATCH)
        batch = Batch(number=begin["number"], now=begin["now"], shapes=self._shapes)
        turn = 0
        for index, group in enumerate(groups):
            batch.add(group, f"groups[{index}]")
            turn += len(group.tags)
            if turn >= _TAGS_PER_TURN:
                turn = 0
                await asyncio.sleep(0)
        return batch

    async def _store(
        self,
        connection: Any,
        batch: Batch,
        rows: Sequence[TagRow],
        cells: Any,
        insert: Any,
        *,
        silent: bool,
    ) -> tuple[Sequence[TagRow], int, int]:
        async with connection.transaction():
            await share_attackers(
                connection, {row.attacker_uuid for row in rows if row.attacker_uuid is not None}
            )
            new = await insert(connection, batch.messages, rows)
            if not new:
                return [], 0, 0
            sightings = sightings_of(new)
            await make_attackers(connection, sightings, seen=False)
            effects, runs = await read_effects(connection, sightings.attackers)
            await note_anchors(connection, sightings, new)
            told = (0, 0)
            if not silent:
                told = await _fill_outbox(connection, batch, rows, new, self._limit)
            await leave_additions(connection, new, cells, runs)
            # Last, since writers of one attacker wait for each other at its rows.
            await rollup_sql.add(connection, count_rows(new, cells, effects))
            return new, *told


def _count_origins(batch: Batch, inserted: Sequence[TagRow]) -> Counter[str]:
    fresh = {row.uuid for row in inserted}
    counts: Counter[str] = Counter()
    for message in batch.messages:
        counts[message.origin_id] += sum(row.uuid in fresh for row in message.rows)
    return counts


async def _copy_new(
    connection: Any, messages: Sequence[MessageTags], rows: Sequence[TagRow]
) -> Sequence[TagRow]:
    """Copy the rows that are not there yet straight into the table, the cheapest way there is."""
    known = {uuid for (uuid,) in await connection.fetch(_KNOWN, [row.uuid for row in rows])}
    new = [row for row in rows if row.uuid not in known] if known else rows
    if new:
        await copy_tags(connection, "tags", messages, known=known)
    return new


async def _copy_around_conflicts(
    connection: Any, messages: Sequence[MessageTags], rows: Sequence[TagRow]
) -> Sequence[TagRow]:
    """Insert through a temporary table, which yields to whatever other writers do meanwhile."""
    await connection.execute(_MAKE_STAGE)
    await copy_tags(connection, "tag_stage", messages)
    inserted = {uuid for (uuid,) in await connection.fetch(_FROM_STAGE)}
    return [row for row in rows if row.uuid in inserted]


async def _fill_outbox(
    connection: Any,
    batch: Batch,
    rows: Sequence[TagRow],
    new: Sequence[TagRow],
    limit: AnnouncementLimit,
) -> tuple[int, int]:
    """Leave one row per upstream message with something to tell.

    Returns:
        How many messages tell of new tags, and how many new tags are held back.
    """
    everything = len(new) == len(rows)
    fresh = set() if everything else {row.uuid for row in new}

    def new_of(message: MessageTags) -> list[TagRow]:
        if everything:
            return message.rows
        return [row for row in message.rows if row.uuid in fresh]

    records = []
    announced = held_back = 0
    told = [(message, tags) for message in batch.messages if (tags := new_of(message))]
    admissions = await limit.admit(connection, [tags for _, tags in told], batch.now)
    for (message, _), admitted in zip(told, admissions, strict=True):
        held_back += admitted.held_back
        announced += bool(admitted.tags)
        if admitted.tags or admitted.silenced:
            body = encode_body(message, admitted.tags, admitted.silenced, limit.per_minute)
            records.append((uuid4(), body, batch.now))
    await connection.copy_records_to_table("outbox", records=records, columns=_OUTBOX_COLUMNS)
    return announced, held_back
