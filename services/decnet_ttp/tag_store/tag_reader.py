# SPDX-License-Identifier: AGPL-3.0-or-later
"""Reading the tags themselves, newest first or oldest first, a page at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from decnet_ttp.tag_store.batch import TagRow
from decnet_ttp.tag_store.database import Database
from decnet_ttp.tag_store.scopes import MEMBERS, TAG_CONDITIONS, Scope, ScopeKind

_COLUMNS = ", ".join(f"t.{name}" for name in TagRow._fields)


@dataclass(frozen=True, slots=True)
class TagFilter:
    """Which tags of a scope are asked for; empty fields ask for all."""

    technique_id: str = ""
    sub_technique_id: str = ""
    tactic: str = ""
    rule_id: str = ""
    source_kind: str = ""
    min_confidence: float = 0.0


async def read_tags(
    database: Database,
    scope: Scope,
    asked: TagFilter,
    *,
    limit: int,
    past_seq: int | None = None,
    oldest_first: bool = False,
) -> Sequence[TagRow]:
    """Return tags of a scope by time of storage.

    Args:
        database: Where.
        scope: Whose; an attacker by uuid.
        asked: Which of them.
        limit: Rows at most.
        past_seq: Number of the tag the page begins after; None for the first page.
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
    for column in ("technique_id", "sub_technique_id", "tactic", "rule_id", "source_kind"):
        if value := getattr(asked, column):
            where(f"t.{column} = {{}}", value)
    if asked.min_confidence > 0:
        where("t.confidence >= {}", asked.min_confidence)
    if past_seq is not None:
        where("t.seq > {}" if oldest_first else "t.seq < {}", past_seq)
    values.append(limit)
    page = f"ORDER BY t.seq {'ASC' if oldest_first else 'DESC'} LIMIT ${len(values)}"
    if scope.kind in MEMBERS:
        sql = _of_members(scope.kind, conditions, page)
    else:
        sql = _select(conditions, page)
    return [TagRow(*row) for row in await database.fetch(sql, *values)]


# S608 below: the statements are put together from constants of ours; every value is bound.
def _select(conditions: Sequence[str], page: str) -> str:
    where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
    return f"SELECT {_COLUMNS} FROM tags t {where} {page}"  # noqa: S608


def _of_members(kind: ScopeKind, conditions: Sequence[str], page: str) -> str:
    """Return the query over many anchors: a page of each, and the page of those.

    One condition over all of them would make the database walk the whole table in order.
    """
    attackers, identities = MEMBERS[kind]
    of_attacker = _select(["t.attacker_uuid = m.uuid", *conditions], page)
    of_identity = _select(
        ["t.attacker_uuid IS NULL", "t.identity_uuid = m.uuid", *conditions], page
    )
    return (
        f"SELECT t.* FROM (SELECT t.* FROM ({attackers}) m CROSS JOIN LATERAL ({of_attacker}) t "  # noqa: S608
        f"UNION ALL SELECT t.* FROM ({identities}) m CROSS JOIN LATERAL ({of_identity}) t) t {page}"
    )
