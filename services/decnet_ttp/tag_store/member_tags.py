# SPDX-License-Identifier: AGPL-3.0-or-later
"""The newest tags of a scope with many members, without reading a page of each.

A page of n tags is of the n members that tagged last, and none of it is older than what the n-th
of them tagged last. One look at the end of each member's index thus tells where to look further.
Only numbers are read from the indexes; the rows are fetched for the page alone.
"""

from __future__ import annotations

from collections.abc import Sequence

from decnet_ttp.tag_store.batch import TagRow
from decnet_ttp.tag_store.database import Database
from decnet_ttp.tag_store.scopes import MEMBERS, Scope, ScopeKind

_COLUMNS = ", ".join(f"t.{name}" for name in TagRow._fields)

# S608: the statements are put together from constants of this module alone; values are bound.
# $1 is the scope's key, $2 the number all lie below, $3 how many; $4 the technique, if any.
_OWN = {
    True: "t.attacker_uuid = m.uuid AND t.seq < $2 {technique}",
    False: "t.attacker_uuid IS NULL AND t.identity_uuid = m.uuid AND t.seq < $2 {technique}",
}
_TECHNIQUE = "AND t.technique_id = $4"


def _each(source: str, condition: str, last: str, technique: str) -> str:
    """Return the query for numbers of tags of each member of `source`, by kind of member."""
    return " UNION ALL ".join(
        f"SELECT m.uuid, m.attacker, n.seq FROM {source} m CROSS JOIN LATERAL ("  # noqa: S608 - texts of ours; values are parameters
        f"SELECT t.seq FROM tags t WHERE {own.format(technique=technique)} {condition} "
        f"ORDER BY t.seq DESC {last}) n WHERE {'' if attacker else 'NOT '}m.attacker"
        for attacker, own in _OWN.items()
    )


def _members(kind: ScopeKind) -> str:
    attackers, identities = MEMBERS[kind]
    return (
        f"members AS MATERIALIZED (SELECT x.uuid, true AS attacker FROM ({attackers}) x "  # noqa: S608 - texts of ours; values are parameters
        f"UNION ALL SELECT x.uuid, false FROM ({identities}) x)"
    )


_FROM_BOUND = "AND t.seq >= (SELECT b.seq FROM bound b)"


def _newest_sql(kind: ScopeKind, technique: str) -> str:
    return f"""
        WITH {_members(kind)},
        last AS (
            SELECT * FROM ({_each("members", "", "LIMIT 1", technique)}) l
            ORDER BY l.seq DESC LIMIT $3::bigint
        ),
        bound AS MATERIALIZED (
            SELECT CASE WHEN count(*) < $3::bigint THEN 0 ELSE min(l.seq) END AS seq FROM last l
        ),
        page AS (
            SELECT p.seq FROM ({_each("last", _FROM_BOUND, "LIMIT $3::bigint", technique)}) p
            ORDER BY p.seq DESC LIMIT $3::bigint
        )
        SELECT {_COLUMNS}, t.retirement_uuid IS NOT NULL
        FROM page p JOIN tags t ON t.seq = p.seq ORDER BY t.seq DESC
    """  # noqa: S608 - texts of ours; values are parameters


def _floor_sql(kind: ScopeKind, technique: str) -> str:
    share = "LIMIT (SELECT 2 + 2 * $3::bigint / greatest(count(*), 1) FROM members)"
    return f"""
        WITH {_members(kind)},
        last AS MATERIALIZED ({_each("members", "", share, technique)}),
        bound AS MATERIALIZED (
            SELECT CASE WHEN count(*) < $3::bigint THEN 0 ELSE min(l.seq) END AS seq
            FROM (SELECT l.seq FROM last l ORDER BY l.seq DESC LIMIT $3::bigint) l
        ),
        far AS ({_each("members", _FROM_BOUND, "OFFSET $3::bigint LIMIT 1", technique)})
        SELECT greatest((SELECT b.seq - 1 FROM bound b), (SELECT max(f.seq) FROM far f))
    """  # noqa: S608 - texts of ours; values are parameters


_NEWEST = {(kind, t): _newest_sql(kind, t) for kind in MEMBERS for t in ("", _TECHNIQUE)}
_FLOOR = {(kind, t): _floor_sql(kind, t) for kind in MEMBERS for t in ("", _TECHNIQUE)}

_NO_NUMBER = 2**63 - 1


def _values(scope: Scope, technique_id: str, count: int, below: int | None) -> Sequence[object]:
    values = [scope.key, _NO_NUMBER if below is None else below, count]
    return [*values, technique_id] if technique_id else values


async def newest_tags(
    database: Database, scope: Scope, *, technique_id: str, limit: int, below: int | None
) -> Sequence[tuple[TagRow, bool]]:
    """Return the newest tags of an identity or campaign, and whether each is retired.

    Args:
        database: Where.
        scope: Whose; an identity that is not merged, or a campaign.
        technique_id: Technique; empty for all.
        limit: Rows at most.
        below: Number they all lie below; None for the newest there are.

    Raises:
        UnavailableError: The database is away.
    """
    sql = _NEWEST[scope.kind, _TECHNIQUE if technique_id else ""]
    rows = await database.fetch(sql, *_values(scope, technique_id, limit, below))
    return [(TagRow(*row[:-1]), row[-1]) for row in map(tuple, rows)]


async def scan_floor(
    database: Database, scope: Scope, *, technique_id: str, count: int, below: int | None
) -> int | None:
    """Return the number above which some of the newest tags lie, for a filter to look through.

    They are `count` or more, of each member `count` at most; None when nothing is left below.

    Args:
        database: Where.
        scope: Whose; an identity that is not merged, or a campaign.
        technique_id: Technique; empty for all.
        count: How many tags.
        below: Number they all lie below; None for the newest there are.

    Raises:
        UnavailableError: The database is away.
    """
    sql = _FLOOR[scope.kind, _TECHNIQUE if technique_id else ""]
    rows = await database.fetch(sql, *_values(scope, technique_id, count, below))
    floor: int = rows[0][0]
    return floor if floor > 0 else None
