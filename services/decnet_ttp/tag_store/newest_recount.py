# SPDX-License-Identifier: AGPL-3.0-or-later
"""Holding the newest tags of members, by which pages are found, against the tags.

A number above the newest tag costs a look; one below it hides tags. Members that are marked are
looked up among the tags by every question, whatever is known of them.
"""

from __future__ import annotations

from typing import Any

# S608: the statements are put together from constants of this module alone.
_OWN = {
    1: "t.attacker_uuid = w.uuid",
    2: "t.attacker_uuid IS NULL AND t.identity_uuid = w.uuid",
}
_LAST = " ".join(
    f"WHEN {kind} THEN (SELECT max(t.seq) FROM tags t "  # noqa: S608 - texts of ours; values are parameters
    f"WHERE {own} AND t.technique_id = w.technique_id)"
    for kind, own in _OWN.items()
)
_SAME = "{table}.member_uuid = w.uuid AND {table}.kind = w.kind"
_WRONG = """
    coalesce({table}.seq, -1) < w.seq
    OR ({table}.identity_uuid, {table}.campaign_uuid) IS DISTINCT FROM (w.identity, w.campaign)
"""
_COMPARE = f"""
    SELECT count(*), count(*) FILTER (
        WHERE {_WRONG.format(table="a")} OR {_WRONG.format(table="b")}
    )
    FROM (
        SELECT w.*, CASE w.kind {_LAST} END AS seq
        FROM (
            SELECT DISTINCT r.kind, r.uuid, c.technique_id, m.identity_uuid AS identity,
                m.campaign_uuid AS campaign
            FROM (
                SELECT 1 AS kind, attacker_uuid AS uuid, cell_id FROM recounted
                WHERE attacker_uuid IS NOT NULL
                UNION SELECT 2, identity_uuid, cell_id FROM recounted
                WHERE identity_uuid IS NOT NULL
            ) r
            JOIN cells c ON c.id = r.cell_id
            JOIN scope_members m ON m.member_uuid = r.uuid AND m.kind = r.kind
            WHERE (r.kind, r.uuid) NOT IN (
                SELECT x.kind, u.uuid FROM scope_changes x CROSS JOIN unnest(x.members) AS u (uuid)
            )
        ) w
    ) w
    LEFT JOIN scope_newest a ON {_SAME.format(table="a")}
    LEFT JOIN scope_newest_technique b ON {_SAME.format(table="b")}
        AND b.technique_id = w.technique_id
"""  # noqa: S608 - texts of ours; values are parameters


async def compare_newest(connection: Any) -> tuple[str, int, int]:
    """Return a name, numbers by member and technique there should be, and those that are wrong.

    Args:
        connection: In a transaction that made the table `recounted`, in a snapshot of its own.
    """
    expected, wrong = await connection.fetchrow(_COMPARE)
    return "newest", expected, wrong
