# SPDX-License-Identifier: AGPL-3.0-or-later
"""Holding the roll-ups of identities and campaigns against a count of all tags."""

from __future__ import annotations

from typing import Any

from decnet_ttp.tag_store.newest_recount import compare_newest
from decnet_ttp.tag_store.scope_changes import (
    CAMPAIGN_SCOPE,
    IDENTITY_SCOPE,
    MEMBERSHIP,
    NO_PART,
    pending,
)

_KEY = "kind, scope_uuid, part_uuid"
_SUMS = """
    sum(r.count)::bigint AS count, min(r.first_seen) AS first_seen, max(r.last_seen) AS last_seen,
    max(r.confidence_max) AS confidence_max
"""
_FIGURES = ("count", "first_seen", "last_seen", "confidence_max")
_COLUMNS = f"{_KEY}, day, cell_id, band, {', '.join(_FIGURES)}"

# S608: the statements are put together from constants of this module alone.
_EXPECTED = f"""
    CREATE TEMPORARY TABLE recounted_scopes ON COMMIT DROP AS
    SELECT s.kind, s.scope_uuid, s.part_uuid, r.day, r.cell_id, r.band, {_SUMS}
    FROM ({
    MEMBERSHIP.format(
        members="SELECT DISTINCT 1 AS kind, attacker_uuid AS uuid, NULL::date AS from_day, "
        "NULL::date AS to_day FROM recounted WHERE attacker_uuid IS NOT NULL UNION ALL "
        "SELECT DISTINCT 2, identity_uuid, NULL::date, NULL::date FROM recounted "
        "WHERE identity_uuid IS NOT NULL"
    )
}) w
    JOIN recounted r
        ON (w.kind = 1 AND r.attacker_uuid = w.uuid) OR (w.kind = 2 AND r.identity_uuid = w.uuid)
    CROSS JOIN LATERAL (VALUES
        ({IDENTITY_SCOPE}, w.identity, coalesce(w.campaign, {NO_PART})),
        ({CAMPAIGN_SCOPE}, w.campaign, {NO_PART})
    ) s (kind, scope_uuid, part_uuid)
    WHERE s.scope_uuid IS NOT NULL
    GROUP BY 1, 2, 3, 4, 5, 6
"""  # noqa: S608 - texts of ours; values are parameters
_STORED = f"CREATE TEMPORARY TABLE pending_scopes ON COMMIT DROP AS {pending()}"


def _differing(table: str, days: str) -> str:
    """Return the query that counts rows that differ, and those there should be."""
    key = f"{_KEY}, {days} cell_id, band"
    total = ", ".join(f"r.{name.strip()}" for name in key.split(","))
    differs = " OR ".join(f"e.{name} IS DISTINCT FROM s.{name}" for name in _FIGURES)
    stored = _COLUMNS if days else _COLUMNS.replace("day", "NULL::date AS day")
    return f"""
        SELECT count(*) FILTER (WHERE e.count IS NOT NULL), count(*) FILTER (WHERE {differs})
        FROM (SELECT {total}, {_SUMS} FROM recounted_scopes r GROUP BY {total}) e
        FULL JOIN (
            SELECT {total}, {_SUMS} FROM (
                SELECT {stored} FROM {table} UNION ALL SELECT {_COLUMNS} FROM pending_scopes
            ) r GROUP BY {total} HAVING sum(r.count) <> 0
        ) s USING ({key})
    """  # noqa: S608 - texts of ours; values are parameters


_DAYS, _ALL_TIME = _differing("rollup_scope_day", "day,"), _differing("rollup_scope", "")
# Of cells with something pending a question counts the identities itself.
_IDENTITIES = f"""
    SELECT count(*) FROM (
        SELECT t.part_uuid AS scope_uuid, t.cell_id, t.band, count(*) AS identities FROM (
            SELECT r.part_uuid, r.cell_id, r.scope_uuid, max(r.band) AS band FROM recounted_scopes r
            WHERE r.kind = {IDENTITY_SCOPE} AND r.part_uuid <> {NO_PART} GROUP BY 1, 2, 3
        ) t GROUP BY 1, 2, 3
    ) e
    FULL JOIN (
        SELECT scope_uuid, cell_id, band, identities FROM rollup_scope
        WHERE kind = {CAMPAIGN_SCOPE} AND identities <> 0
    ) s USING (scope_uuid, cell_id, band)
    WHERE e.identities IS DISTINCT FROM s.identities AND NOT EXISTS (
        SELECT FROM pending_scopes p WHERE p.kind = {CAMPAIGN_SCOPE}
            AND p.scope_uuid = coalesce(e.scope_uuid, s.scope_uuid)
            AND p.cell_id = coalesce(e.cell_id, s.cell_id)
    )
"""  # noqa: S608 - texts of ours; values are parameters


async def compare_scopes(connection: Any) -> list[tuple[str, int, int]]:
    """Return name, rows there should be and rows that differ, for each table.

    Args:
        connection: In a transaction that made the table `recounted`, in a snapshot of its own.
    """
    await connection.execute(_EXPECTED)
    await connection.execute(_STORED)
    days = await connection.fetchrow(_DAYS)
    all_time = await connection.fetchrow(_ALL_TIME)
    identities = await connection.fetchval(_IDENTITIES)
    return [
        ("scope_day", *days),
        ("scope", all_time[0], all_time[1] + identities),
        await compare_newest(connection),
    ]
