# SPDX-License-Identifier: AGPL-3.0-or-later
"""Adding to the roll-ups, inside the transaction that wrote the tags.

Every statement takes its rows in the order of their keys, so that writers at the same rows wait
for each other and never in a ring. The fleet's rows, which every writer adds to, exist once per
slot; a connection stays with the slot of its server process.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from decnet_ttp.tag_store.rollup_counts import AnchorKey, Count, RollupCounts

#: Copies of each row of the fleet's roll-ups; as many writers never wait for each other there.
SLOTS = 16


def _upsert(table: str, keys: tuple[tuple[str, str], ...], *, slotted: bool = False) -> str:
    names = [name for name, _ in keys]
    arrays = [f"${index}::{kind}[]" for index, (_, kind) in enumerate(keys, 1)]
    first = len(keys) + 1
    arrays += [
        f"${first}::bigint[]",
        f"${first + 1}::timestamptz[]",
        f"${first + 2}::timestamptz[]",
        f"${first + 3}::double precision[]",
    ]
    figures = ["count", "first_seen", "last_seen", "confidence_max"]
    slot, slot_value = (["slot"], [f"pg_backend_pid() % {SLOTS}"]) if slotted else ([], [])
    return (
        f"INSERT INTO {table} AS r ({', '.join(names + slot + figures)}) "  # noqa: S608 - names of ours
        f"SELECT {', '.join('u.' + name for name in names)}"
        f"{''.join(', ' + value for value in slot_value)}, "
        f"{', '.join('u.' + name for name in figures)} "
        f"FROM unnest({', '.join(arrays)}) AS u ({', '.join(names + figures)}) "
        f"ON CONFLICT ({', '.join(names + slot)}) DO UPDATE SET "
        "count = r.count + excluded.count, "
        "first_seen = least(r.first_seen, excluded.first_seen), "
        "last_seen = greatest(r.last_seen, excluded.last_seen), "
        "confidence_max = greatest(r.confidence_max, excluded.confidence_max)"
    )


_CELL = (("cell_id", "integer"), ("band", "smallint"))
_DAY = ("day", "date")
_ATTACKER = _upsert("rollup_attacker", (("attacker_uuid", "uuid"), _DAY, *_CELL))
_IDENTITY = _upsert("rollup_identity", (("identity_uuid", "uuid"), _DAY, *_CELL))
_FLEET_DAY = _upsert("rollup_fleet_day", (_DAY, *_CELL), slotted=True)
_FLEET = _upsert("rollup_fleet", _CELL, slotted=True)


async def _add(
    connection: Any, sql: str, counts: Mapping[Any, Count], *, anchored: bool = False
) -> None:
    if not counts:
        return
    items = sorted(counts.items(), key=lambda item: item[0])
    columns: list[list[Any]] = [
        list(column) for column in zip(*(key for key, _ in items), strict=True)
    ]
    if anchored:
        columns[0] = [UUID(int=number) for number in columns[0]]
    await connection.execute(
        sql,
        *columns,
        [count.count for _, count in items],
        [count.first_seen for _, count in items],
        [count.last_seen for _, count in items],
        [count.confidence_max for _, count in items],
    )


async def _add_anchored(connection: Any, sql: str, counts: Mapping[AnchorKey, Count]) -> None:
    await _add(connection, sql, counts, anchored=True)


async def add(connection: Any, counts: RollupCounts) -> None:
    """Add counts of new tags.

    The rows that writers contend for most come last, so that they are held shortest.
    """
    await _add_anchored(connection, _IDENTITY, counts.identities)
    await _add_anchored(connection, _ATTACKER, counts.attackers)
    await _add(connection, _FLEET_DAY, counts.fleet_days)
    await _add(connection, _FLEET, counts.fleet)
