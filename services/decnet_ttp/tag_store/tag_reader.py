# SPDX-License-Identifier: AGPL-3.0-or-later
"""Reading the tags themselves, newest first or oldest first, a page at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from decnet_ttp.tag_store.batch import TagRow
from decnet_ttp.tag_store.database import Database
from decnet_ttp.tag_store.effects import EFFECTIVE, TAG_EFFECT
from decnet_ttp.tag_store.member_tags import member_page
from decnet_ttp.tag_store.recount import TAG_LIVE
from decnet_ttp.tag_store.scopes import MEMBERS, TAG_CONDITIONS, Scope, ScopeKind

#: Tags that a filter reads for one page; of many members, that lie further apart, so many.
_SCAN = 10_000
_SCAN_MEMBERS = 500

#: Scopes whose tags of one technique an index has in order.
_BY_TECHNIQUE = frozenset({ScopeKind.FLEET, ScopeKind.ATTACKER})

_EQUAL = ("technique_id", "sub_technique_id", "tactic", "rule_id", "source_kind", "attack_release")
_COLUMNS = ", ".join(f"t.{name}" for name in TagRow._fields)


@dataclass(frozen=True, slots=True)
class TagFilter:
    """Which tags of a scope are asked for; empty fields ask for all."""

    technique_id: str = ""
    sub_technique_id: str = ""
    tactic: str = ""
    rule_id: str = ""
    source_kind: str = ""
    attack_release: str = ""
    min_confidence: float = 0.0
    include_retired: bool = False

    @property
    def by_technique_alone(self) -> bool:
        """Whether nothing but a technique, if that, is asked for."""
        return self == TagFilter(
            technique_id=self.technique_id, include_retired=self.include_retired
        )


class TagPage(NamedTuple):
    """Tags newest first, and the number the next page goes on below; None at the end."""

    rows: Sequence[TagRow]
    next_below: int | None


async def read_page(
    database: Database, scope: Scope, asked: TagFilter, *, limit: int, below: int | None
) -> TagPage:
    """Return a page of a scope's tags, newest first.

    A filter that no index answers reads a bounded number of tags. The page then holds what was
    among them, which may be nothing, and the next one goes on below them.

    Args:
        database: Where.
        scope: Whose; an attacker by uuid.
        asked: Which of them.
        limit: Rows at most.
        below: What the page before said; None for the first page.

    Raises:
        UnavailableError: The database is away.
    """
    if scope.kind in MEMBERS:
        # The technique is in the index that is looked into.
        others = replace(asked, technique_id="")
        page = await member_page(
            database,
            scope,
            list(_conditions(others)),
            technique_id=asked.technique_id,
            include_retired=asked.include_retired,
            limit=limit,
            scan=limit if asked.by_technique_alone else max(limit, _SCAN_MEMBERS),
            below=below,
        )
        return TagPage(*page)
    floor = await _floor(database, scope, asked, below)
    rows = await read_tags(database, scope, asked, limit=limit + 1, past_seq=below, above_seq=floor)
    if len(rows) > limit:
        return TagPage(rows[:limit], rows[limit - 1].seq)
    return TagPage(rows, None if floor is None else floor + 1)


async def _floor(
    database: Database, scope: Scope, asked: TagFilter, below: int | None
) -> int | None:
    """Return the number above which a bounded number of tags lie; None when it bounds nothing."""
    if asked == TagFilter(include_retired=asked.include_retired) or (
        asked.by_technique_alone and scope.kind in _BY_TECHNIQUE
    ):
        return None
    values: list[object] = [] if scope.kind is ScopeKind.FLEET else [scope.key]
    conditions = [TAG_CONDITIONS[scope.kind]] if scope.kind in TAG_CONDITIONS else []
    if asked.technique_id and scope.kind in _BY_TECHNIQUE:
        values.append(asked.technique_id)
        conditions.append(f"t.technique_id = ${len(values)}")
    if below is not None:
        values.append(below)
        conditions.append(f"t.seq < ${len(values)}")
    values.append(_SCAN)
    last = f"ORDER BY t.seq DESC OFFSET ${len(values)} LIMIT 1"
    rows = await database.fetch(_select(conditions, last, "t.seq"), *values)
    return rows[0][0] if rows else None


async def read_tags(
    database: Database,
    scope: Scope,
    asked: TagFilter,
    *,
    limit: int,
    past_seq: int | None = None,
    above_seq: int | None = None,
    oldest_first: bool = False,
) -> Sequence[TagRow]:
    """Return tags of a scope by time of storage.

    Args:
        database: Where.
        scope: Whose; an attacker by uuid.
        asked: Which of them.
        limit: Rows at most.
        past_seq: Number of the tag the page begins after; None for the first page.
        above_seq: Number above which tags are looked at; None for all.
        oldest_first: Whether the order is turned round.

    Raises:
        UnavailableError: The database is away.
    """
    values: list[object] = []
    conditions: list[str] = []

    def where(condition: str, value: object) -> None:
        values.append(value)
        conditions.append(condition.format(f"${len(values)}"))

    if scope.kind is not ScopeKind.FLEET:
        values.append(scope.key)
    if scope.kind in TAG_CONDITIONS:
        conditions.append(TAG_CONDITIONS[scope.kind])
    for condition, value in _conditions(asked):
        where(condition, value)
    if not asked.include_retired:
        conditions.append(TAG_LIVE)
    if past_seq is not None:
        where("t.seq > {}" if oldest_first else "t.seq < {}", past_seq)
    if above_seq is not None:
        where("t.seq > {}", above_seq)
    values.append(limit)
    page = f"ORDER BY t.seq {'ASC' if oldest_first else 'DESC'} LIMIT ${len(values)}"
    if scope.kind in MEMBERS:
        sql = f"SELECT t.* FROM ({_of_members(scope.kind, conditions, page)}) t {page}"  # noqa: S608 - texts of ours; values are parameters
    else:
        sql = _select(conditions, page)
    return [TagRow(*row) for row in await database.fetch(sql, *values)]


def _conditions(asked: TagFilter) -> Iterator[tuple[str, object]]:
    """Yield the conditions of a filter, each with the value for its place."""
    for column in _EQUAL:
        if value := getattr(asked, column):
            yield f"t.{column} = {{}}", value
    if asked.min_confidence > 0:
        yield f"{EFFECTIVE} >= {{}}", asked.min_confidence


# S608 below: the statements are put together from constants of ours; every value is bound.
def _select(conditions: Sequence[str], page: str, columns: str = _COLUMNS) -> str:
    where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
    # The effect of the attacker is joined only where a condition speaks of it.
    join = TAG_EFFECT if EFFECTIVE in where else ""
    return f"SELECT {columns} FROM tags t {join} {where} {page}"  # noqa: S608 - texts of ours; values are parameters


def _of_members(kind: ScopeKind, conditions: Sequence[str], page: str) -> str:
    """Return the query over many anchors: a page of each.

    One condition over all of them would make the database walk the whole table in order.
    """
    attackers, identities = MEMBERS[kind]
    of_attacker = _select(["t.attacker_uuid = m.uuid", *conditions], page)
    own = ["t.attacker_uuid IS NULL", "t.identity_uuid = m.uuid", *conditions]
    of_identity = _select(own, page)
    return (
        f"SELECT t.* FROM ({attackers}) m CROSS JOIN LATERAL ({of_attacker}) t "  # noqa: S608 - texts of ours; values are parameters
        f"UNION ALL SELECT t.* FROM ({identities}) m CROSS JOIN LATERAL ({of_identity}) t"
    )
