# SPDX-License-Identifier: AGPL-3.0-or-later
"""Reading the roll-ups: which cells of the matrix a scope showed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

from decnet_ttp.tag_store.database import Database
from decnet_ttp.tag_store.effects import EFFECTIVE, TAG_EFFECT
from decnet_ttp.tag_store.rollup_counts import HIGH_FROM, MEDIUM_FROM
from decnet_ttp.tag_store.scope_reader import days_between, of_campaign, of_identity
from decnet_ttp.tag_store.scopes import Scope, ScopeKind


class CellCount(NamedTuple):
    """One cell of a scope; times are ticks; identity_count is 0 but for a campaign."""

    tactic: str
    technique_id: str
    sub_technique_id: str
    tags: int
    first_seen: int
    last_seen: int
    confidence_max: float
    identity_count: int


@dataclass(frozen=True, slots=True)
class RollupFilter:
    """What of a scope is asked for.

    Attributes:
        min_band: Lowest band of confidence; 0 for all.
        from_day: First day, in days since 2000-01-01; None for all.
        before_day: Day after the last; None for all.
    """

    min_band: int = 0
    from_day: int | None = None
    before_day: int | None = None

    @property
    def by_day(self) -> bool:
        """Whether days matter at all."""
        return self.from_day is not None or self.before_day is not None


_FIGURES = "r.count, r.first_seen, r.last_seen, r.confidence_max"
_BY_DAY = f"r.cell_id, r.band, r.day, {_FIGURES}"

# S608: the statements are put together from constants of ours alone; values are bound.
_ATTACKER = f"SELECT {_BY_DAY}, 0 AS identities FROM rollup_attacker r WHERE r.attacker_uuid = $1"  # noqa: S608 - texts of ours; values are parameters
_FLEET_BY_DAY = (
    f"SELECT {_BY_DAY}, 0 AS identities FROM rollup_fleet_day r WHERE {days_between('$2', '$3')}"  # noqa: S608 - texts of ours; values are parameters
)
_FLEET = f"SELECT r.cell_id, r.band, {_FIGURES}, 0 AS identities FROM rollup_fleet r"  # noqa: S608 - texts of ours; values are parameters

# Added up before cells are named: a planner that takes the rows for few would hold each of them
# against every cell.
_CELLS = """
    SELECT c.tactic, c.technique_id, coalesce(c.sub_technique_id, ''), x.count, x.first_seen,
        x.last_seen, x.confidence_max, x.identities
    FROM (
        SELECT r.cell_id, sum(r.count)::bigint AS count, min(r.first_seen) AS first_seen,
            max(r.last_seen) AS last_seen, max(r.confidence_max) AS confidence_max,
            sum(r.identities)::bigint AS identities
        FROM ({source}) r WHERE r.band >= {band}::smallint
        GROUP BY r.cell_id HAVING sum(r.count) <> 0
    ) x JOIN cells c ON c.id = x.cell_id
"""
# A session's tags are few and found through their index: no roll-up could be cheaper to read.
_SESSION = f"""
    SELECT t.tactic, t.technique_id, coalesce(t.sub_technique_id, ''), count(*),
        min(t.seen), max(t.seen), max(t.effective), 0::bigint
    FROM (
        SELECT t.*, {EFFECTIVE} AS effective, coalesce(t.observed_at, t.created_at) AS seen
        FROM tags t {TAG_EFFECT} WHERE t.session_id = $1 AND t.retirement_uuid IS NULL
    ) t
    WHERE CASE WHEN t.effective < {MEDIUM_FROM} THEN 1
            WHEN t.effective < {HIGH_FROM} THEN 2 ELSE 3 END >= $2::smallint AND {{days}}
    GROUP BY t.tactic, t.technique_id, t.sub_technique_id
"""  # noqa: S608 - texts of ours; values are parameters
_SESSION_DAYS = days_between("$3", "$4", "(t.seen AT TIME ZONE 'UTC')::date")


def _cells_of(all_days: str, some_days: str) -> tuple[str, str]:
    return (
        _CELLS.format(source=all_days, band="$2"),
        _CELLS.format(source=some_days, band="$2"),
    )


# Queries for all time, whose values end with the band, and for some days.
_BY_KEY = {
    ScopeKind.ATTACKER: _cells_of(_ATTACKER, f"{_ATTACKER} AND {days_between('$3', '$4')}"),
    ScopeKind.IDENTITY: _cells_of(of_identity(by_day=False), of_identity(by_day=True)),
    ScopeKind.CAMPAIGN: _cells_of(of_campaign(by_day=False), of_campaign(by_day=True)),
    ScopeKind.SESSION: (_SESSION.format(days="true"), _SESSION.format(days=_SESSION_DAYS)),
}
_OF_FLEET = (
    _CELLS.format(source=_FLEET, band="$1"),
    _CELLS.format(source=_FLEET_BY_DAY, band="$1"),
)

#: Attackers that are read at once for an export.
EXPORT_ATTACKERS = 200

_OF_ATTACKERS = """
    SELECT r.attacker_uuid, c.tactic, c.technique_id, coalesce(c.sub_technique_id, ''),
        sum(r.count)::bigint, min(r.first_seen), max(r.last_seen), max(r.confidence_max), 0::bigint
    FROM rollup_attacker r JOIN cells c ON c.id = r.cell_id
    WHERE r.attacker_uuid IN (
        SELECT DISTINCT x.attacker_uuid FROM rollup_attacker x WHERE x.attacker_uuid > $1
        ORDER BY x.attacker_uuid LIMIT $2
    )
    GROUP BY r.attacker_uuid, c.id
    ORDER BY r.attacker_uuid, c.tactic, c.technique_id, c.sub_technique_id NULLS FIRST
"""


async def read_cells(database: Database, scope: Scope, asked: RollupFilter) -> list[CellCount]:
    """Return the cells of a scope, in no order; none for an unknown id.

    Args:
        database: Where.
        scope: Whose; an attacker by uuid.
        asked: Which of them.

    Raises:
        UnavailableError: The database is away.
    """
    values: list[object] = [] if scope.kind is ScopeKind.FLEET else [scope.key]
    values.append(asked.min_band)
    if asked.by_day:
        values += (asked.from_day, asked.before_day)
    queries = _OF_FLEET if scope.kind is ScopeKind.FLEET else _BY_KEY[scope.kind]
    rows = await database.fetch(queries[asked.by_day], *values)
    return [CellCount(*row) for row in rows]


async def read_attackers(database: Database, past: UUID) -> list[tuple[UUID, list[CellCount]]]:
    """Return the cells of some attackers by uuid, from the one after `past` on; none at the end.

    Raises:
        UnavailableError: The database is away.
    """
    found: dict[UUID, list[CellCount]] = {}
    for attacker, *cell in await database.fetch(_OF_ATTACKERS, past, EXPORT_ATTACKERS):
        found.setdefault(attacker, []).append(CellCount(*cell))
    return list(found.items())
