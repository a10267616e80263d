# SPDX-License-Identifier: AGPL-3.0-or-later
"""Roll-ups equal a full GROUP BY after any history of inserts, replays and repeats."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from decnet_ttp.tag_store.database import Database
from decnet_ttp.tag_store.rollup_reader import RollupFilter, read_cells
from decnet_ttp.tag_store.scopes import Scope, ScopeKind
from decnet_ttp.tag_store.writer import TagWriter
from decnet_ttp.v1 import tag_pb2
from tag_store.samples import DAY_S, NOON, draft, group

ATTACKERS = [str(UUID(int=number)) for number in (1, 2, 3)]
IDENTITIES = [str(UUID(int=number)) for number in (101, 102)]
CELLS = (
    ("T1059.004", "TA0002"),
    ("T1059", "TA0002"),
    ("T1078", "TA0001"),
    ("T1078", "TA0003"),
    ("T1105", "TA0011"),
)

_tags = st.builds(
    lambda source, cell, confidence, at: draft(
        f"c{source}", cell[0], tactic=cell[1], confidence=confidence, at=at
    ),
    st.integers(0, 12),
    st.sampled_from(CELLS),
    st.sampled_from((0.1, 0.3, 0.59, 0.6, 0.849, 0.85, 1.0)),
    st.one_of(
        st.none(),
        st.sampled_from((NOON, NOON + 0.25, NOON - 1, NOON + DAY_S / 2, NOON - 3 * DAY_S)),
    ),
)
_groups = st.builds(
    lambda origin, tags, anchor: group(
        f"m{origin}", tags, attacker=anchor[0], identity=anchor[1], session=f"s{origin % 2}"
    ),
    st.integers(0, 3),
    st.lists(_tags, max_size=5),
    st.one_of(
        st.tuples(st.sampled_from(ATTACKERS), st.sampled_from(["", *IDENTITIES])),
        st.tuples(st.just(""), st.sampled_from(IDENTITIES)),
    ),
)
#: A history: rounds of requests that are sent at the same time, each perhaps sent twice.
_histories = st.lists(
    st.lists(st.tuples(st.lists(_groups, max_size=3), st.booleans()), min_size=1, max_size=3),
    min_size=1,
    max_size=4,
)

_RECOUNT = """
    SELECT t.tactic, t.technique_id, coalesce(t.sub_technique_id, ''), count(*),
        min(coalesce(t.observed_at, t.created_at)), max(coalesce(t.observed_at, t.created_at)),
        max(t.confidence)
    FROM tags t WHERE {where}
        AND t.confidence >= $1
        AND ($2::date IS NULL
            OR (coalesce(t.observed_at, t.created_at) AT TIME ZONE 'UTC')::date = $2)
    GROUP BY 1, 2, 3
"""
_WHERE = {
    ScopeKind.ATTACKER: "t.attacker_uuid = $3",
    ScopeKind.SESSION: "t.session_id = $3",
    ScopeKind.FLEET: "$3::text IS NULL",
    ScopeKind.IDENTITY: (
        "((t.attacker_uuid IS NULL AND t.identity_uuid = $3) OR t.attacker_uuid IN "
        "(SELECT uuid FROM attackers WHERE identity_uuid = $3))"
    ),
}
_EMPTY = """
    TRUNCATE tags, attackers, identities, outbox,
        rollup_attacker, rollup_identity, rollup_fleet, rollup_fleet_day,
        rollup_scope, rollup_scope_day, scope_changes, scope_counted, scope_members
"""
_BANDS = {1: 0.0, 2: 0.6, 3: 0.85}
#: The day of NOON, in days since 2000-01-01.
_NOON_DAY = (NOON - 946_684_800) // DAY_S


async def write(writer: TagWriter, groups: Sequence[tag_pb2.TagGroup]) -> None:
    await writer.write(groups, silent=False)


async def assert_rollups_equal_recount(database: Database) -> None:
    """Compare every scope, band and day that the histories use."""
    scopes = [Scope(ScopeKind.FLEET)]
    scopes += [Scope(ScopeKind.ATTACKER, UUID(each)) for each in ATTACKERS]
    scopes += [Scope(ScopeKind.IDENTITY, UUID(each)) for each in IDENTITIES]
    scopes += [Scope(ScopeKind.SESSION, each) for each in ("s0", "s1")]
    for scope in scopes:
        for band, confidence in _BANDS.items():
            for day in (None, _NOON_DAY):
                expected: list[Any] = await database.fetch(
                    _RECOUNT.format(where=_WHERE[scope.kind]), confidence, day, scope.key
                )
                asked = RollupFilter(band, day, None if day is None else day + 1)
                found = await read_cells(database, scope, asked)
                assert sorted(tuple(cell)[:7] for cell in found) == sorted(map(tuple, expected))


@settings(
    max_examples=40,
    # The list stands in place of that of the profile.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(history=_histories)
async def test_rollups_equal_a_recount_after_any_history(
    database: Database, history: list[list[tuple[list[tag_pb2.TagGroup], bool]]]
) -> None:
    async with database.connection() as connection:
        await connection.execute(_EMPTY)
    writer = TagWriter(database, lambda: None)
    for simultaneous in history:
        await asyncio.gather(
            *(write(writer, groups) for groups, twice in simultaneous for _ in range(1 + twice))
        )
    await assert_rollups_equal_recount(database)
