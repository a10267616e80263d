# SPDX-License-Identifier: AGPL-3.0-or-later
"""Pages of the tags of a scope with many members, without reading a page of each.

A page of n tags is of the n members that tagged last, and none of it is older than what the n-th
of them tagged last (a threshold algorithm as in Fagin, Lotem and Naor, "Optimal aggregation
algorithms for middleware", 2003). `scope_newest` has the newest tag of each member that is folded
in. Whoever is marked since, or has tags above where the page begins, is looked up at the end of
its index. Only numbers are read from the indexes; rows are fetched for the page alone.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache

from decnet_ttp.tag_store.batch import TagRow
from decnet_ttp.tag_store.database import Database
from decnet_ttp.tag_store.effects import EFFECTIVE, TAG_EFFECT
from decnet_ttp.tag_store.recount import TAG_LIVE
from decnet_ttp.tag_store.scopes import MEMBERS, Scope, ScopeKind

_COLUMNS = ", ".join(f"t.{name}" for name in TagRow._fields)
_WIDTH = len(TagRow._fields)

# S608: the statements are put together from constants of ours alone; values are bound.
# $1 is the scope's key, $2 the number all lie below, $3 how many numbers are looked for, $4 how
# many rows, $5 the technique, if any. Kinds of a member are those of scope_members.
_OWN = {
    1: "t.attacker_uuid = m.uuid AND t.seq < $2",
    2: "t.attacker_uuid IS NULL AND t.identity_uuid = m.uuid AND t.seq < $2",
}
_TECHNIQUE = "AND t.technique_id = $5"
# Of fewer members than a page has tags some of each are looked at, twice as many as there must be.
_SHARE = """
    SELECT CASE WHEN count(*) < $3::bigint THEN 2 + 2 * $3::bigint / greatest(count(*), 1) ELSE 0
    END FROM last
"""
# Behind a SELECT the planner sees no value, so that no plan looks cheaper for one than the plan for
# all: planning anew takes longer than the question.
_HIDDEN = {"$1": "(SELECT $1::uuid)", "$2": "(SELECT $2::bigint)"}
_FROM_BOUND = "AND t.seq >= (SELECT b.seq FROM bound b)"


def _each(source: str, condition: str, last: str) -> str:
    """Return the query for numbers of tags of each member of `source`, by kind of member."""
    return " UNION ALL ".join(
        f"SELECT m.uuid, m.kind, n.seq FROM {source} m CROSS JOIN LATERAL ("  # noqa: S608 - texts of ours; values are parameters
        f"SELECT t.seq FROM tags t WHERE {own} {condition} "
        f"ORDER BY t.seq DESC {last}) n WHERE m.kind = {kind}"
        for kind, own in _OWN.items()
    )


def _members(kind: ScopeKind) -> str:
    attackers, identities = MEMBERS[kind]
    return (
        f"SELECT 1::smallint AS kind, x.uuid FROM ({attackers}) x "  # noqa: S608 - texts of ours; values are parameters
        f"UNION ALL SELECT 2::smallint, x.uuid FROM ({identities}) x"
    )


def _known(kind: ScopeKind, technique: str) -> str:
    """Return the tables behind `near`, and the query for members and their newest tags.

    What is known of a member is never older than its newest tag, unless it is marked.
    """
    newest = f"scope_newest{'_technique' if technique else ''} n"
    of_scope = f"""
        n.{kind}_uuid = $1 {"AND n.technique_id = $5" if technique else ""}
        AND NOT ((n.kind, n.member_uuid) IN (SELECT k.kind, k.uuid FROM marked k))
    """  # noqa: S608 - texts of ours; values are parameters
    return f"""
        marked AS MATERIALIZED (
            SELECT DISTINCT c.kind, u.uuid
            FROM scope_changes c CROSS JOIN LATERAL unnest(c.members) AS u (uuid)
        ),
        looked AS MATERIALIZED (
            SELECT k.kind, k.uuid FROM marked k WHERE (k.kind, k.uuid) IN ({_members(kind)})
            UNION ALL
            SELECT n.kind, n.member_uuid FROM {newest} WHERE {of_scope} AND n.seq >= $2
        ),
        near AS (
            (
                SELECT n.member_uuid AS uuid, n.kind, n.seq FROM {newest}
                WHERE {of_scope} AND n.seq < $2 ORDER BY n.seq DESC LIMIT $3::bigint
            )
            UNION ALL {_each("looked", technique, "LIMIT 1")}
        )
    """  # noqa: S608 - texts of ours; values are parameters


def _every(kind: ScopeKind, technique: str) -> str:
    """Return the same, of every member there is, looked up among the tags."""
    return f"""
        members AS MATERIALIZED ({_members(kind)}),
        near AS ({_each("members", technique, "LIMIT 1")})
    """


@cache
def _sql(
    kind: ScopeKind, conditions: tuple[str, ...], *, by_technique: bool, thorough: bool
) -> str:
    technique = _TECHNIQUE if by_technique else ""
    near = (_every if thorough else _known)(kind, technique)
    from_bound = f"{technique} {_FROM_BOUND}"
    where = " AND ".join(("true", *conditions))
    sql = f"""
        WITH {near},
        last AS MATERIALIZED (SELECT * FROM near ORDER BY seq DESC LIMIT $3::bigint),
        deep AS MATERIALIZED (
            SELECT d.seq FROM ({_each("last", technique, f"LIMIT ({_SHARE})")}) d
            ORDER BY d.seq DESC LIMIT $3::bigint
        ),
        bound AS MATERIALIZED (
            SELECT CASE
                WHEN l.count = $3::bigint THEN l.seq WHEN d.count = $3::bigint THEN d.seq ELSE 0
            END AS seq
            FROM (SELECT count(*), min(seq) AS seq FROM last) l,
                (SELECT count(*), min(seq) AS seq FROM deep) d
        ),
        found AS MATERIALIZED (
            SELECT p.seq FROM ({_each("last", from_bound, "LIMIT $3::bigint")}) p
            ORDER BY p.seq DESC LIMIT $3::bigint
        )
        SELECT {_COLUMNS}, x.found < $3::bigint AND x.bound > 0, x.further
        FROM (
            SELECT count(*) AS found, (SELECT b.seq FROM bound b),
                CASE WHEN count(*) = $3::bigint
                    THEN (SELECT f.seq FROM found f ORDER BY f.seq OFFSET 1 LIMIT 1) END
            FROM found
        ) x (found, bound, further)
        LEFT JOIN LATERAL (
            SELECT t.* FROM (
                SELECT f.seq FROM found f WHERE f.seq >= coalesce(x.further, 0)
                ORDER BY f.seq DESC
            ) f
            JOIN tags t ON t.seq = f.seq {TAG_EFFECT if EFFECTIVE in where else ""}
            WHERE {where} ORDER BY f.seq DESC LIMIT $4::bigint
        ) t ON true
        ORDER BY t.seq DESC
    """  # noqa: S608 - texts of ours; values are parameters
    return re.sub(r"\$[12]\b", lambda place: _HIDDEN[place[0]], sql)


async def member_page(
    database: Database,
    scope: Scope,
    conditions: Sequence[tuple[str, object]],
    *,
    technique_id: str,
    include_retired: bool,
    limit: int,
    scan: int,
    below: int | None,
) -> tuple[Sequence[TagRow], int | None]:
    """Return those of the newest tags of an identity or campaign that are asked for.

    Args:
        database: Where.
        scope: Whose; an identity that is not merged, or a campaign.
        conditions: On `tags t`, each with the value for its place.
        technique_id: Technique; empty for all.
        include_retired: Whether tags are asked for that count no more.
        limit: Rows at most.
        scan: Tags of the technique to look through.
        below: Number they all lie below; None for the newest there are.

    Returns:
        The tags, newest first, and the number the next page goes on below; None at the end.

    Raises:
        UnavailableError: The database is away.
    """
    values: list[object] = [scope.key, 2**63 - 1 if below is None else below, scan + 1, limit + 1]
    if technique_id:
        values.append(technique_id)
    places = [text.format(f"${at}") for at, (text, _) in enumerate(conditions, len(values) + 1)]
    values += [value for _, value in conditions]
    if not include_retired:
        places.append(TAG_LIVE)
    # Members of whom nothing counts any more are not folded in.
    for thorough in (True,) if include_retired else (False, True):
        sql = _sql(scope.kind, tuple(places), by_technique=bool(technique_id), thorough=thorough)
        found = await database.fetch(sql, *values)
        too_few, further = found[0][_WIDTH:]
        # Less than the bound promised: tags went otherwise than through this store.
        if not too_few:
            break
    rows = [TagRow._make(row[:_WIDTH]) for row in found if row[0] is not None]
    if len(rows) > limit:
        return rows[:limit], rows[limit - 1].seq
    return rows, further
