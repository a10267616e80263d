# SPDX-License-Identifier: AGPL-3.0-or-later
"""Queries for the roll-ups of one identity or campaign, with what is not folded in yet.

Each has the scope's uuid as $1 and the lowest band as $2; those by day also the first day as $3
and the day after the last as $4, both of which may be NULL. They return rows with the columns
cell_id, band, day, count, first_seen, last_seen, confidence_max and identities.
"""

from __future__ import annotations

from decnet_ttp.tag_store.scope_changes import (
    CAMPAIGN_SCOPE,
    IDENTITY_SCOPE,
    NO_PART,
    pending,
)
from decnet_ttp.tag_store.scopes import MEMBERS, ScopeKind

_FIGURES = "r.count, r.first_seen, r.last_seen, r.confidence_max"


def days_between(from_day: str, before_day: str, day: str = "r.day") -> str:
    """Return the condition on a day that indexes take, whichever of its bounds are NULL."""
    return (
        f"{day} >= coalesce({from_day}::date, '-infinity') "
        f"AND {day} < coalesce({before_day}::date, 'infinity')"
    )


# S608 below: the statements are put together from constants of ours; values are bound.
_MEMBERS = """
    SELECT 1::smallint, x.uuid FROM ({attackers}) x
    UNION ALL SELECT 2::smallint, x.uuid FROM ({identities}) x
    UNION ALL SELECT m.kind, m.member_uuid FROM scope_members m WHERE m.{scope} = $1
"""


def _members(kind: ScopeKind, scope: str) -> str:
    """Return the query for whoever belongs to a scope, or did when it was folded."""
    attackers, identities = MEMBERS[kind]
    return _MEMBERS.format(attackers=attackers, identities=identities, scope=scope)


_PENDING = {
    IDENTITY_SCOPE: pending(_members(ScopeKind.IDENTITY, "identity_uuid")),
    CAMPAIGN_SCOPE: pending(_members(ScopeKind.CAMPAIGN, "campaign_uuid")),
}
_WITH_PENDING = """
    WITH pending AS MATERIALIZED (
        SELECT p.* FROM ({pending}) p WHERE p.kind = {kind} AND p.scope_uuid = $1
    )
    SELECT r.cell_id, r.band, r.day, {figures}, 0 AS identities FROM pending r WHERE {days}
"""
_DAYS = days_between("$3", "$4")


def _folded(kind: int, *, by_day: bool) -> str:
    if by_day:
        columns, table = f"r.cell_id, r.band, r.day, {_FIGURES}, 0", "rollup_scope_day"
    else:
        identities = "r.identities" if kind == CAMPAIGN_SCOPE else "0"
        columns = f"r.cell_id, r.band, NULL::date, {_FIGURES}, {identities}"
        table = "rollup_scope"
    part = f"AND r.part_uuid = {NO_PART}" if kind == CAMPAIGN_SCOPE else ""
    return (
        f"SELECT {columns} FROM {table} r WHERE r.scope_uuid = $1 AND r.kind = {kind} {part} "  # noqa: S608 - texts of ours; values are parameters
        f"AND {_DAYS if by_day else 'true'}"
    )


def _scope(kind: int, *, by_day: bool) -> str:
    days = _DAYS if by_day else "true"
    start = _WITH_PENDING.format(pending=_PENDING[kind], kind=kind, figures=_FIGURES, days=days)
    return f"{start} UNION ALL {_folded(kind, by_day=by_day)}"


_NOTHING = "0, NULL::timestamptz, NULL::timestamptz, NULL::double precision"
# Whoever is folded in is counted; whoever is not, and shows a cell for the first time, is added.
_NEW_IDENTITIES = f"""
    SELECT p.cell_id, max(p.band), NULL::date, {_NOTHING}, 1 FROM pending p
    WHERE p.who IS NOT NULL AND p.band >= $2::smallint AND NOT EXISTS (
        SELECT FROM rollup_scope r
        WHERE r.scope_uuid = p.who AND r.kind = {IDENTITY_SCOPE} AND r.part_uuid = $1
            AND r.cell_id = p.cell_id AND r.band >= $2::smallint
    )
    GROUP BY p.cell_id, p.who
"""  # noqa: S608 - texts of ours; values are parameters
_IDENTITIES_BY_DAY = f"""
    SELECT x.cell_id, max(x.band), max(x.day), {_NOTHING}, count(DISTINCT x.who) FROM (
        SELECT r.cell_id, r.band, r.day, r.who FROM pending r WHERE r.who IS NOT NULL AND {_DAYS}
        UNION ALL
        SELECT r.cell_id, r.band, r.day, r.scope_uuid
        FROM (SELECT DISTINCT m.identity_uuid FROM scope_members m WHERE m.campaign_uuid = $1) i
        JOIN rollup_scope_day r ON r.scope_uuid = i.identity_uuid AND r.kind = {IDENTITY_SCOPE}
            AND r.part_uuid = $1 AND {_DAYS}
    ) x
    WHERE x.band >= $2::smallint
    GROUP BY x.cell_id
"""  # noqa: S608 - texts of ours; values are parameters


def of_identity(*, by_day: bool) -> str:
    """Return the query for an identity that is not merged; without days, one row for all time."""
    return _scope(IDENTITY_SCOPE, by_day=by_day)


def of_campaign(*, by_day: bool) -> str:
    """Return the query for a campaign; `identities` are to be added up by cell."""
    identities = _IDENTITIES_BY_DAY if by_day else _NEW_IDENTITIES
    return f"{_scope(CAMPAIGN_SCOPE, by_day=by_day)} UNION ALL {identities}"
