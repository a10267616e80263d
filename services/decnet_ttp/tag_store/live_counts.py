# SPDX-License-Identifier: AGPL-3.0-or-later
"""Counting an attacker's tags anew while they are being written.

A count begins with a mark and a snapshot of one moment in which nobody writes tags of the attacker.
All tags of before are in the snapshot, and are counted there without holding anybody up. Whoever
writes after that finds the mark, and leaves beside the usual roll-ups what the new tags give under
the effect that is being counted for. The end holds writers off again, adds both together and writes
the rows that differ: so writers wait for as long as it takes to write the attacker's rows of the
roll-ups, however many tags there are.

Who changes tags otherwise than by adding some takes the mark away, and the count begins anew.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from enum import Enum
from typing import Any, NamedTuple
from uuid import UUID, uuid4

from decnet_ttp.tag_store.attacker_locks import hold_attacker_patiently, hold_to_change
from decnet_ttp.tag_store.batch import TagRow
from decnet_ttp.tag_store.contributions import Anchor, Difference, apply
from decnet_ttp.tag_store.database import Database
from decnet_ttp.tag_store.effects import Effect, effective_sql
from decnet_ttp.tag_store.recount import TAG_CELL, TAG_LIVE, tag_figures, tag_key
from decnet_ttp.tag_store.rollup_counts import Cell, Count, add_count, count_rows

#: First half of the keys of the locks that counts under way hold ("ttpC" in ASCII).
_CLASS = 0x74747043
_KEYS = 2**31

#: Rows left by writers that the end may still have to take in, and how often to look before it.
_FEW = 500
_LOOKS = 5

_FIGURES = ("count", "first_seen", "last_seen", "confidence_max")
_ADDED_COLUMNS = ("run_uuid", "day", "cell_id", "band", *_FIGURES)

# S608: the statements are put together from constants of ours; every value is bound.
_CONFIDENCE = effective_sql("$2::double precision", "$3::double precision")
_COUNT = f"""
    SELECT {tag_key(_CONFIDENCE)}, {tag_figures(_CONFIDENCE)}
    FROM tags t JOIN cells c ON {TAG_CELL}
    WHERE t.attacker_uuid = $1 AND {TAG_LIVE}
    GROUP BY 1, 2, 3
"""  # noqa: S608 - texts of ours; values are parameters
_STORED = f"SELECT day, cell_id, band, {', '.join(_FIGURES)} FROM rollup_attacker WHERE attacker_uuid = $1"  # noqa: S608, E501 - texts of ours
_MARK = """
    INSERT INTO running_counts (attacker_uuid, run_uuid, amount, ceiling) VALUES ($1, $2, $3, $4)
"""
_MARKED = "SELECT run_uuid FROM running_counts WHERE attacker_uuid = $1"
_ON = """
    SELECT u.uuid, a.effect_amount, a.effect_ceiling, r.run_uuid, r.amount, r.ceiling
    FROM unnest($1::uuid[]) AS u (uuid)
    LEFT JOIN attackers a ON a.uuid = u.uuid LEFT JOIN running_counts r ON r.attacker_uuid = u.uuid
    WHERE a.effect_amount <> 0 OR r.run_uuid IS NOT NULL
"""
_TAKE = f"DELETE FROM running_count_additions WHERE run_uuid = $1 RETURNING day, cell_id, band, {', '.join(_FIGURES)}"  # noqa: S608, E501 - texts of ours
_UNMARK = "DELETE FROM running_counts WHERE attacker_uuid = $1 RETURNING run_uuid"
_DROP = "DELETE FROM running_count_additions WHERE run_uuid = $1"
_ALONE = "SELECT pg_advisory_lock($1, $2)"
_TRY_ALONE = "SELECT pg_try_advisory_lock($1, $2)"
_NOT_ALONE = "SELECT pg_advisory_unlock($1, $2)"
_ALL_MARKED = "SELECT attacker_uuid FROM running_counts ORDER BY attacker_uuid"

_Key = tuple[int, int, int]


class Counted(Enum):
    """How a count ended.

    Attributes:
        DONE: The roll-ups stand as they should.
        NOTHING_TO_DO: They did already.
        DISTURBED: Tags were deleted, or another effect is wanted; it may be tried again.
        CONTRADICTED: The roll-ups held another number of tags than there are.
    """

    DONE = "done"
    NOTHING_TO_DO = "nothing to do"
    DISTURBED = "disturbed"
    CONTRADICTED = "contradicted"


class Run(NamedTuple):
    """A count under way, and the effect it counts for."""

    uuid: UUID
    effect: Effect


class Task(NamedTuple):
    """What a count is for.

    Attributes:
        wanted: Returns the effect to count by, given that in force (None where the attacker is
            not known); called while writers are held off, None for nothing to be done.
        finish: Called in the transaction that writes the roll-ups, with the effect counted by.
    """

    wanted: Callable[[Any, Effect | None], Awaitable[Effect | None]]
    finish: Callable[[Any, Effect], Awaitable[None]]


class OnAttackers(NamedTuple):
    """Effects in force, where there is one, and counts under way."""

    effects: Mapping[UUID, Effect]
    runs: Mapping[UUID, Run]


async def read_effects(connection: Any, attackers: Sequence[UUID]) -> OnAttackers:
    """Return what new tags of attackers count for; the caller shares the attackers."""
    found = OnAttackers({}, {})
    if not attackers:
        return found
    effects: dict[UUID, Effect] = {}
    runs: dict[UUID, Run] = {}
    for uuid, amount, ceiling, run, run_amount, run_ceiling in await connection.fetch(
        _ON, attackers
    ):
        if amount:
            effects[uuid] = Effect(amount, ceiling)
        if run is not None:
            runs[uuid] = Run(run, Effect(run_amount, run_ceiling))
    return OnAttackers(effects, runs)


async def leave_additions(
    connection: Any,
    rows: Iterable[TagRow],
    cells: Mapping[Cell, int],
    runs: Mapping[UUID, Run],
) -> None:
    """Leave what new tags give to the counts under way of their attackers."""
    if not runs:
        return
    effects = {uuid: run.effect for uuid, run in runs.items()}
    counts = count_rows((row for row in rows if row.attacker_uuid in runs), cells, effects)
    records = [
        (
            runs[UUID(int=key[0])].uuid,
            *key[1:],
            each.count,
            each.first_seen,
            each.last_seen,
            each.confidence_max,
        )
        for key, each in counts.attackers.items()
    ]
    await connection.copy_records_to_table(
        "running_count_additions", records=records, columns=_ADDED_COLUMNS
    )


async def count_beside_writers(database: Database, attacker: UUID, task: Task) -> Counted:
    """Count an attacker's tags anew, and let all roll-ups follow.

    Raises:
        AbortedError, ResourceExhaustedError, UnavailableError: The database said so.
    """
    key = attacker.int % _KEYS
    # Each takes two connections, of which there are few.
    async with database.counting, database.connection() as looking:
        await looking.execute(_ALONE, _CLASS, key)
        try:
            async with database.connection() as working:
                return await _count(looking, working, attacker, task)
        finally:
            await looking.execute(_NOT_ALONE, _CLASS, key)


async def _count(looking: Any, working: Any, attacker: UUID, task: Task) -> Counted:
    run = uuid4()
    look = looking.transaction(isolation="repeatable_read", readonly=True)
    async with working.transaction():
        in_force = await hold_attacker_patiently(working, attacker)
        effect = await task.wanted(working, in_force)
        # One that was cut off may have left its own.
        await _unmark(working, attacker)
        if effect is None:
            return Counted.NOTHING_TO_DO
        await working.execute(_MARK, attacker, run, *effect)
        await look.start()
        # The snapshot is that of the first statement.
        await looking.execute("SELECT 1")
    try:
        counts: dict[_Key, Count] = {}
        _add(counts, await looking.fetch(_COUNT, attacker, *effect))
    finally:
        await look.rollback()
    for _ in range(_LOOKS):
        added = await working.fetch(_TAKE, run)
        _add(counts, added)
        if len(added) <= _FEW:
            break
    async with working.transaction():
        in_force = await hold_attacker_patiently(working, attacker)
        if await working.fetchval(_MARKED, attacker) != run:
            return Counted.DISTURBED
        _add(counts, await working.fetch(_TAKE, run))
        await _unmark(working, attacker)
        wanted = await task.wanted(working, in_force)
        if wanted != effect:
            return Counted.NOTHING_TO_DO if wanted is None else Counted.DISTURBED
        stored: dict[_Key, Count] = {}
        _add(stored, await working.fetch(_STORED, attacker))
        if _by_cell(stored) != _by_cell(counts):
            return Counted.CONTRADICTED
        await task.finish(working, effect)
        await apply(working, _differences(attacker, stored, counts))
    return Counted.DONE


async def forget_abandoned(database: Database) -> None:
    """Take the marks away of counts whose process is gone, so that nobody adds to them any more.

    Raises:
        AbortedError, ResourceExhaustedError, UnavailableError: The database said so.
    """
    for (attacker,) in await database.fetch(_ALL_MARKED):
        key = attacker.int % _KEYS
        async with database.connection() as connection:
            if not await connection.fetchval(_TRY_ALONE, _CLASS, key):
                continue
            try:
                async with connection.transaction():
                    await hold_to_change(connection, [attacker])
            finally:
                await connection.execute(_NOT_ALONE, _CLASS, key)


async def _unmark(connection: Any, attacker: UUID) -> None:
    run = await connection.fetchval(_UNMARK, attacker)
    if run is not None:
        await connection.execute(_DROP, run)


def _add(counts: dict[_Key, Count], rows: Iterable[Any]) -> None:
    for row in rows:
        add_count(counts, tuple(row[:3]), Count(*row[3:]))


def _by_cell(counts: Mapping[_Key, Count]) -> Counter[tuple[int, int]]:
    """Return the tags of each day and cell; an effect only moves them between bands."""
    found: Counter[tuple[int, int]] = Counter()
    for (day, cell, _), count in counts.items():
        found[day, cell] += count.count
    return found


def _differences(
    attacker: UUID, stored: Mapping[_Key, Count], counted: Mapping[_Key, Count]
) -> list[Difference]:
    return [
        Difference(Anchor.ATTACKER, attacker, *key, stored.get(key), counted.get(key))
        for key in {*stored, *counted}
        if stored.get(key) != counted.get(key)
    ]
