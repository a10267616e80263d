# SPDX-License-Identifier: AGPL-3.0-or-later
"""The end of sessions, facts and intel by age.

A session is old when it both ended and was stored before a time, so that history that is read in
today stays for as long as its tags. Facts and intel go with the last tag and session of their
attacker; of one that is still heard of they stay.

Rows that a writer holds are passed over: it is reporting them anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID

from decnet_ttp.tag_store.database import Database

_SESSIONS_AT_ONCE = 1_000
_ATTACKERS_AT_ONCE = 200

#: Ticks before every time, and none that PostgreSQL refuses.
_LONG_AGO = -(2**57)

# In the order of the index on the end; those of equal ends by key.
_NEXT_SESSIONS = """
    SELECT session_id, attacker_uuid, ended_at, stored_at < $1::timestamptz AS old FROM sessions
    WHERE ended_at < $1::timestamptz AND ended_at >= $2::timestamptz
        AND (ended_at, session_id, attacker_uuid) > ($2::timestamptz, $3::text, $4::uuid)
    ORDER BY ended_at, session_id, attacker_uuid LIMIT $5
"""
_DELETE_SESSIONS = """
    WITH gone AS (
        DELETE FROM sessions WHERE ctid = ANY(ARRAY(
            SELECT s.ctid FROM sessions s
            JOIN unnest($2::text[], $3::uuid[]) AS u (session_id, attacker_uuid)
                USING (session_id, attacker_uuid)
            WHERE s.ended_at < $1::timestamptz FOR UPDATE OF s SKIP LOCKED
        )) RETURNING 1
    )
    SELECT count(*) FROM gone
"""
# The newest tag is looked for at the end of the index, which is in the order of storage.
_NEXT_ATTACKERS = """
    SELECT a.uuid, a.last_seen,
        coalesce((
            SELECT t.created_at < $1::timestamptz FROM tags t
            WHERE t.attacker_uuid = a.uuid ORDER BY t.seq DESC LIMIT 1
        ), true) AND NOT EXISTS (
            SELECT FROM sessions s WHERE s.attacker_uuid = a.uuid
                AND (s.ended_at >= $1::timestamptz OR s.stored_at >= $1::timestamptz)
        ) AS gone
    FROM attackers a
    WHERE a.last_seen < $1::timestamptz
        AND (a.last_seen, a.uuid) > ($2::timestamptz, $3::uuid)
    ORDER BY a.last_seen, a.uuid LIMIT $4
"""
#: Table and time of what is known of attackers; the last are no facts and not counted.
_KNOWN = (
    ("attacker_facts", "last_seen"),
    ("attacker_intel", "observed_at"),
    ("decky_attackers", "last_seen"),
)
_COUNT = """
    SELECT count(*) FROM {table}
    WHERE attacker_uuid = ANY($2::uuid[]) AND {time} < $1::timestamptz
"""
_DELETE = """
    WITH gone AS (
        DELETE FROM {table} WHERE ctid = ANY(ARRAY(
            SELECT ctid FROM {table} WHERE attacker_uuid = ANY($2::uuid[])
                AND {time} < $1::timestamptz FOR UPDATE SKIP LOCKED
        )) RETURNING 1
    )
    SELECT count(*) FROM gone
"""


class Deleted(NamedTuple):
    """How much a deletion by age took, or would."""

    tags: int
    sessions: int
    facts: int


async def delete_sessions(database: Database, before: int, *, dry_run: bool) -> int:
    """Delete sessions that ended and were stored before a time (ticks), oldest first.

    Returns:
        How many, or how many there are.
    """
    deleted = 0
    past: tuple[int, str, UUID] = (_LONG_AGO, "", UUID(int=0))
    while rows := await database.fetch(_NEXT_SESSIONS, before, *past, _SESSIONS_AT_ONCE):
        last = rows[-1]
        past = (last["ended_at"], last["session_id"], last["attacker_uuid"])
        old = [(row["session_id"], row["attacker_uuid"]) for row in rows if row["old"]]
        if dry_run:
            deleted += len(old)
        elif old:
            columns = [list(column) for column in zip(*old, strict=True)]
            deleted += (await database.fetch(_DELETE_SESSIONS, before, *columns))[0][0]
    return deleted


async def delete_facts(database: Database, before: int, *, dry_run: bool) -> int:
    """Delete facts and intel of before a time (ticks) whose attackers have left nothing since.

    Returns:
        How many, or how many there are.
    """
    deleted = 0
    past: tuple[int, UUID] = (_LONG_AGO, UUID(int=0))
    while rows := await database.fetch(_NEXT_ATTACKERS, before, *past, _ATTACKERS_AT_ONCE):
        past = (rows[-1]["last_seen"], rows[-1]["uuid"])
        gone = [row["uuid"] for row in rows if row["gone"]]
        if gone:
            deleted += await _of_attackers(database, before, gone, dry_run=dry_run)
    return deleted


async def _of_attackers(
    database: Database, before: int, attackers: Sequence[UUID], *, dry_run: bool
) -> int:
    counts: list[Any] = []
    for table, time in _KNOWN:
        sql = (_COUNT if dry_run else _DELETE).format(table=table, time=time)
        counts.append((await database.fetch(sql, before, attackers))[0][0])
    return int(sum(counts[:2]))
