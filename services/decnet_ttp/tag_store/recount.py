# SPDX-License-Identifier: AGPL-3.0-or-later
"""Counting all tags anew, and holding the roll-ups against the result."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, NamedTuple

from decnet_ttp.tag_store import scope_fold
from decnet_ttp.tag_store.database import Database
from decnet_ttp.tag_store.effects import EFFECTIVE, TAG_EFFECT
from decnet_ttp.tag_store.rollup_counts import HIGH_FROM, MEDIUM_FROM
from decnet_ttp.tag_store.scope_recount import compare_scopes

_log = logging.getLogger(__name__)


def tag_key(confidence: str) -> str:
    """Return day, cell and band of a row of `tags t JOIN cells c`, as the roll-ups' keys have them.

    Args:
        confidence: Expression of the confidence that counts.
    """
    return f"""
    (coalesce(t.observed_at, t.created_at) AT TIME ZONE 'UTC')::date AS day, c.id AS cell_id,
    (CASE WHEN {confidence} < {MEDIUM_FROM} THEN 1
        WHEN {confidence} < {HIGH_FROM} THEN 2 ELSE 3 END)::smallint AS band
    """


def tag_figures(confidence: str) -> str:
    """Return what roll-ups keep of tags.

    Args:
        confidence: Expression of the confidence that counts.
    """
    return f"""
    count(*) AS count, min(coalesce(t.observed_at, t.created_at)) AS first_seen,
    max(coalesce(t.observed_at, t.created_at)) AS last_seen, max({confidence}) AS confidence_max
    """


#: How a tag leads to its cell.
TAG_CELL = """
    c.tactic = t.tactic AND c.technique_id = t.technique_id
    AND c.sub_technique_id IS NOT DISTINCT FROM t.sub_technique_id
"""
#: Which tags count.
TAG_LIVE = "t.retirement_uuid IS NULL"
#: What roll-ups keep, of roll-ups `r` that are added up.
SUMS = """
    sum(r.count)::bigint AS count, min(r.first_seen) AS first_seen, max(r.last_seen) AS last_seen,
    max(r.confidence_max) AS confidence_max
"""

#: Writers take these in this order, too; whoever holds all four sees tags and roll-ups agree.
LOCK_ROLLUPS = """
    LOCK TABLE rollup_identity, rollup_attacker, rollup_fleet_day, rollup_fleet
    IN SHARE ROW EXCLUSIVE MODE
"""

# S608: the statements are put together from constants of this module alone.
_COUNT = f"""
    CREATE TEMPORARY TABLE recounted ON COMMIT DROP AS
    SELECT t.attacker_uuid,
        CASE WHEN t.attacker_uuid IS NULL THEN t.identity_uuid END AS identity_uuid,
        {tag_key(EFFECTIVE)}, {tag_figures(EFFECTIVE)}
    FROM tags t JOIN cells c ON {TAG_CELL} {TAG_EFFECT}
    WHERE {TAG_LIVE}
    GROUP BY 1, 2, 3, 4, 5
"""  # noqa: S608 - texts of ours; values are parameters
_FIGURES = ("count", "first_seen", "last_seen", "confidence_max")
_CELL = ("cell_id", "band")


class _Rollup(NamedTuple):
    """A table of roll-ups: its name, its key without the slot, and which counted rows it has."""

    name: str
    key: Sequence[str]
    of: str

    @property
    def table(self) -> str:
        return f"rollup_{self.name}"

    @property
    def slotted(self) -> bool:
        return self.name.startswith("fleet")

    @property
    def expected(self) -> str:
        key = ", ".join(f"r.{name}" for name in self.key)
        return f"SELECT {key}, {SUMS} FROM recounted r WHERE {self.of} GROUP BY {key}"  # noqa: S608 - texts of ours; values are parameters

    @property
    def stored(self) -> str:
        key = ", ".join(f"r.{name}" for name in self.key)
        return f"SELECT {key}, {SUMS} FROM {self.table} r GROUP BY {key} HAVING sum(r.count) <> 0"  # noqa: S608 - texts of ours; values are parameters

    @property
    def compare(self) -> str:
        """Return the statement that keeps what differs; figures are the expected ones, if any."""
        keys = ", ".join(self.key)
        figures = ", ".join(f"e.{name}" for name in _FIGURES)
        differs = " OR ".join(f"e.{name} IS DISTINCT FROM s.{name}" for name in _FIGURES)
        return (
            f"CREATE TEMPORARY TABLE differing_{self.name} ON COMMIT DROP AS "  # noqa: S608 - texts of ours; values are parameters
            f"SELECT {keys}, {figures} FROM ({self.expected}) e FULL JOIN ({self.stored}) s "
            f"USING ({keys}) WHERE {differs}"
        )

    @property
    def repair(self) -> tuple[str, str]:
        """Return the statements that delete what differs, and write what was counted."""
        same = " AND ".join(f"r.{name} = d.{name}" for name in self.key)
        columns = ", ".join((*self.key, *_FIGURES))
        slot, value = (", slot", ", 0") if self.slotted else ("", "")
        return (
            f"DELETE FROM {self.table} r USING differing_{self.name} d WHERE {same}",  # noqa: S608 - texts of ours; values are parameters
            (
                f"INSERT INTO {self.table} ({columns}{slot}) "  # noqa: S608 - texts of ours; values are parameters
                f"SELECT {columns}{value} FROM differing_{self.name} WHERE count IS NOT NULL"
            ),
        )


_ROLLUPS = (
    _Rollup("identity", ("identity_uuid", "day", *_CELL), "r.attacker_uuid IS NULL"),
    _Rollup("attacker", ("attacker_uuid", "day", *_CELL), "r.attacker_uuid IS NOT NULL"),
    _Rollup("fleet_day", ("day", *_CELL), "true"),
    _Rollup("fleet", _CELL, "true"),
)


class Recount(NamedTuple):
    """What a recount found of one table of roll-ups, in rows."""

    rollup: str
    expected: int
    differing: int


async def recount(database: Database, *, repair: bool) -> list[Recount]:
    """Compare every roll-up with a full count of the tags.

    Args:
        database: Where.
        repair: Whether rows that differ are written anew. Writers then wait until the end;
            without it the count works on a snapshot and holds up nobody.

    Raises:
        AbortedError, ResourceExhaustedError, UnavailableError: The database said so.
    """
    async with database.connection() as connection:
        isolation = "read_committed" if repair else "repeatable_read"
        async with connection.transaction(isolation=isolation):
            if repair:
                await scope_fold.hold(connection)
                await connection.execute(LOCK_ROLLUPS)
            found = await _compare(connection)
            if repair and any(each.differing for each in found):
                for rollup in _ROLLUPS:
                    for statement in rollup.repair:
                        await connection.execute(statement)
                await connection.execute("DELETE FROM fleet_recounts")
                await scope_fold.rebuild(connection)
    level = logging.WARNING if any(each.differing for each in found) else logging.INFO
    differing = {each.rollup: each.differing for each in found}
    _log.log(level, "roll-ups recounted", extra={"differing": differing, "repair": repair})
    return found


async def _compare(connection: Any) -> list[Recount]:
    await connection.execute(_COUNT)
    found = []
    for rollup in _ROLLUPS:
        await connection.execute(rollup.compare)
        expected = await connection.fetchval(f"SELECT count(*) FROM ({rollup.expected}) e")  # noqa: S608 - texts of ours; values are parameters
        differing = await connection.fetchval(f"SELECT count(*) FROM differing_{rollup.name}")  # noqa: S608 - texts of ours; values are parameters
        found.append(Recount(rollup.name, expected, differing))
    return found + [Recount(*each) for each in await compare_scopes(connection)]
