# SPDX-License-Identifier: AGPL-3.0-or-later
"""Folding marked changes into the roll-ups of identities and campaigns.

One fold works at a time. It reads the roll-ups of members without locking them and writes tables
that nobody else writes, so writers neither wait for it nor in a ring with it.
"""

from __future__ import annotations

from typing import Any

from decnet_ttp.tag_store.scope_changes import (
    CAMPAIGN_SCOPE,
    CHANGED,
    IDENTITY_SCOPE,
    MARKED,
    MEMBERSHIP,
    NO_PART,
    SHARES,
)

#: Lets one fold, merge or change of members work at a time ("dttp" and "merg" in ASCII).
_LOCK_KEY = 0x64747470_6D657267
_LOCK = "SELECT pg_advisory_xact_lock($1)"
_TRY_LOCK = "SELECT pg_try_advisory_xact_lock($1)"
_MARKED = "SELECT EXISTS (SELECT FROM scope_changes)"

_MAKE_TABLES = """
    CREATE TEMPORARY TABLE IF NOT EXISTS fold_members (
        kind smallint, uuid uuid, had_identity uuid, had_campaign uuid, identity uuid,
        campaign uuid, from_day date, to_day date
    ) ON COMMIT DELETE ROWS;
    CREATE TEMPORARY TABLE IF NOT EXISTS fold_rows (
        LIKE fold_members, day date, cell_id integer, band smallint, count bigint,
        first_seen timestamptz, last_seen timestamptz, confidence_max double precision, was bigint,
        shrank boolean
    ) ON COMMIT DELETE ROWS;
    CREATE TEMPORARY TABLE IF NOT EXISTS fold_shares (
        kind smallint, scope_uuid uuid, part_uuid uuid, day date, cell_id integer, band smallint,
        count bigint, first_seen timestamptz, last_seen timestamptz,
        confidence_max double precision, shrank boolean
    ) ON COMMIT DELETE ROWS;
    CREATE TEMPORARY TABLE IF NOT EXISTS fold_cells (
        kind smallint, scope_uuid uuid, cell_id integer
    ) ON COMMIT DELETE ROWS;
    CREATE TEMPORARY TABLE IF NOT EXISTS fold_empty (
        kind smallint, scope_uuid uuid, part_uuid uuid, day date, cell_id integer, band smallint
    ) ON COMMIT DELETE ROWS;
    DELETE FROM fold_members; DELETE FROM fold_rows; DELETE FROM fold_shares;
    DELETE FROM fold_cells; DELETE FROM fold_empty
"""

# S608: the statements are put together from constants of this module alone; values are bound.
_TAKE = f"""
    WITH gone AS (DELETE FROM scope_changes {{which}} RETURNING *)
    INSERT INTO fold_members
    {MEMBERSHIP.format(members=MARKED.format(marks="gone"))}
"""  # noqa: S608 - texts of ours; values are parameters
_TAKE_OWN = _TAKE.format(which="WHERE xmin = pg_current_xact_id()::xid")
_TAKE_SOME = _TAKE.format(
    which="WHERE id IN (SELECT id FROM scope_changes ORDER BY id LIMIT $1::bigint)"
)
_NOBODY = "INSERT 0 0"
_MOVED = "(m.identity, m.campaign) IS DISTINCT FROM (m.had_identity, m.had_campaign)"
_MEMBER_KEY = "c.member_uuid = m.uuid AND c.kind = m.kind"
_ROW_KEY = f"{_MEMBER_KEY} AND c.day = m.day AND c.cell_id = m.cell_id AND c.band = m.band"
_DAY = ("day",)
_TOTAL = ()


def _columns(table: str, days: tuple[str, ...]) -> str:
    names = ("kind", "scope_uuid", "part_uuid", *days, "cell_id", "band")
    return ", ".join(f"{table}.{name}" for name in names)


def _same(left: str, right: str, days: tuple[str, ...]) -> str:
    names = ("kind", "scope_uuid", "part_uuid", *days, "cell_id", "band")
    return " AND ".join(f"{left}.{name} = {right}.{name}" for name in names)


def _add(table: str, days: tuple[str, ...]) -> str:
    """Add shares up; note rows that are empty then, and cells of scopes that got or lose a row."""
    key = _columns("s", days)
    names = key.replace("s.", "")
    return f"""
        WITH written AS (
            INSERT INTO {table} AS r ({names}, count, first_seen, last_seen, confidence_max)
            SELECT {key}, sum(s.count), coalesce(min(s.first_seen), 'infinity'),
                coalesce(max(s.last_seen), '-infinity'), coalesce(max(s.confidence_max), 0)
            FROM fold_shares s GROUP BY {key}
            ON CONFLICT ({names}) DO UPDATE SET count = r.count + excluded.count,
                first_seen = least(r.first_seen, excluded.first_seen),
                last_seen = greatest(r.last_seen, excluded.last_seen),
                confidence_max = greatest(r.confidence_max, excluded.confidence_max)
            RETURNING {_columns("r", days)}, r.count, r.xmax = 0 AS fresh
        ),
        noted AS (
            INSERT INTO fold_cells
            SELECT kind, scope_uuid, cell_id FROM written WHERE fresh OR count = 0
        )
        INSERT INTO fold_empty ({names}) SELECT {names} FROM written WHERE count = 0
    """  # noqa: S608 - texts of ours; values are parameters


def _drop_empty(table: str, days: tuple[str, ...]) -> str:
    # By keys alone: a condition on the count lets the planner look for one row among all.
    return f"DELETE FROM {table} r USING fold_empty e WHERE {_same('r', 'e', days)}"  # noqa: S608 - texts of ours; values are parameters


def _recount_extremes(table: str, days: tuple[str, ...], source: str) -> str:
    """Tell times and confidences anew where the one that set them may be gone."""
    return f"""
        UPDATE {table} r SET first_seen = x.first_seen, last_seen = x.last_seen,
            confidence_max = x.confidence_max
        FROM (
            SELECT {_columns("x", days)}, min(x.first_seen) AS first_seen,
                max(x.last_seen) AS last_seen, max(x.confidence_max) AS confidence_max
            FROM ({source}) x GROUP BY {_columns("x", days)}
        ) x WHERE {_same("r", "x", days)}
    """  # noqa: S608 - texts of ours; values are parameters


_SHRUNK = "(SELECT DISTINCT {} FROM fold_shares s WHERE s.shrank)"
_FIGURES = "c.first_seen, c.last_seen, c.confidence_max"
_COUNTED_OF = f"""
    SELECT s.*, c.day, c.cell_id, c.band, {_FIGURES}
    FROM (
        SELECT DISTINCT s.kind, s.scope_uuid, s.part_uuid FROM fold_shares s
        WHERE s.shrank AND s.kind = {{kind}}
    ) s
    JOIN scope_members m ON {{membership}}
    JOIN scope_counted c ON c.member_uuid = m.member_uuid AND c.kind = m.kind
"""  # noqa: S608 - texts of ours; values are parameters
_MEMBERS = " UNION ALL ".join(
    _COUNTED_OF.format(kind=kind, membership=membership)
    for kind, membership in (
        (
            IDENTITY_SCOPE,
            f"""m.identity_uuid = s.scope_uuid
            AND coalesce(m.campaign_uuid, {NO_PART}) = s.part_uuid""",
        ),
        (CAMPAIGN_SCOPE, "m.campaign_uuid = s.scope_uuid"),
    )
)
# All rows of the members, read once: a look for each key at each member takes far longer.
_COUNTED = f"""
    WITH counted AS MATERIALIZED ({_MEMBERS})
    SELECT c.* FROM counted c
    JOIN {_SHRUNK.format(_columns("s", _DAY))} s ON {_same("c", "s", _DAY)}
"""  # noqa: S608 - texts of ours; values are parameters
_DAYS = f"""
    SELECT s.*, {_FIGURES} FROM {_SHRUNK.format(_columns("s", _TOTAL))} s
    JOIN rollup_scope_day c ON {_same("c", "s", _TOTAL)}
"""  # noqa: S608 - texts of ours; values are parameters

#: Highest band in which each identity of the campaigns of `{cells}` shows a cell, by campaign.
TOP_BANDS = f"""
    SELECT f.campaign_uuid, f.cell_id, r.scope_uuid AS identity_uuid, max(r.band) AS band
    FROM ({{cells}}) f
    JOIN (SELECT DISTINCT campaign_uuid, identity_uuid FROM scope_members) p USING (campaign_uuid)
    JOIN rollup_scope r ON r.scope_uuid = p.identity_uuid AND r.kind = {IDENTITY_SCOPE}
        AND r.part_uuid = f.campaign_uuid AND r.cell_id = f.cell_id
    GROUP BY 1, 2, 3
"""  # noqa: S608 - texts of ours; values are parameters
_CAMPAIGN_CELLS = f"""
    SELECT DISTINCT m.campaign_uuid, f.cell_id FROM fold_cells f
    JOIN scope_members m ON m.identity_uuid = f.scope_uuid
    WHERE f.kind = {IDENTITY_SCOPE} AND m.campaign_uuid IS NOT NULL
    UNION SELECT f.scope_uuid, f.cell_id FROM fold_cells f WHERE f.kind = {CAMPAIGN_SCOPE}
    UNION SELECT r.scope_uuid, r.cell_id FROM rollup_scope r
    WHERE r.kind = {CAMPAIGN_SCOPE} AND r.scope_uuid IN (
        SELECT m.campaign FROM fold_members m WHERE {_MOVED}
        UNION SELECT m.had_campaign FROM fold_members m WHERE {_MOVED}
    )
"""  # noqa: S608 - texts of ours; values are parameters
_COUNT_IDENTITIES = f"""
    WITH cells AS MATERIALIZED ({_CAMPAIGN_CELLS}),
    counted AS (
        SELECT t.campaign_uuid, t.cell_id, t.band, count(*) AS identities
        FROM ({TOP_BANDS.format(cells="SELECT * FROM cells")}) t GROUP BY 1, 2, 3
    )
    UPDATE rollup_scope r SET identities = coalesce(n.identities, 0)
    FROM cells f JOIN rollup_scope o ON o.scope_uuid = f.campaign_uuid
        AND o.kind = {CAMPAIGN_SCOPE} AND o.part_uuid = {NO_PART} AND o.cell_id = f.cell_id
    LEFT JOIN counted n ON n.campaign_uuid = f.campaign_uuid AND n.cell_id = f.cell_id
        AND n.band = o.band
    WHERE r.scope_uuid = o.scope_uuid AND r.kind = o.kind AND r.part_uuid = o.part_uuid
        AND r.cell_id = o.cell_id AND r.band = o.band
        AND r.identities <> coalesce(n.identities, 0)
"""  # noqa: S608 - texts of ours; values are parameters

_READ = f"INSERT INTO fold_rows {CHANGED.format(membership='SELECT * FROM fold_members')}"  # noqa: S608 - texts of ours; values are parameters
_SHARE = f"""
    INSERT INTO fold_shares
    SELECT s.kind, s.scope_uuid, s.part_uuid, s.day, s.cell_id, s.band, sum(s.count)::bigint,
        min(s.first_seen), max(s.last_seen), max(s.confidence_max), bool_or(s.shrank)
    FROM ({SHARES.format(changed="SELECT * FROM fold_rows")}) s GROUP BY 1, 2, 3, 4, 5, 6
"""  # noqa: S608 - texts of ours; values are parameters
#: Rows from which on the planner is told of them; of fewer, statistics cost more than they save.
_MANY = 100
_ANALYZE = "ANALYZE fold_members, fold_rows, fold_shares"
_FOLD = (
    f"""
    DELETE FROM scope_counted c USING fold_rows m
    WHERE {_ROW_KEY} AND (m.count = 0 OR m.identity IS NULL)
    """,  # noqa: S608 - texts of ours; values are parameters
    """
    INSERT INTO scope_counted AS c
    SELECT m.uuid, m.kind, m.day, m.cell_id, m.band, m.count, m.first_seen, m.last_seen,
        m.confidence_max
    FROM fold_rows m WHERE m.count <> 0 AND m.identity IS NOT NULL
    ON CONFLICT (member_uuid, kind, day, cell_id, band) DO UPDATE SET count = excluded.count,
        first_seen = excluded.first_seen, last_seen = excluded.last_seen,
        confidence_max = excluded.confidence_max
    """,
    f"DELETE FROM scope_members c USING fold_members m WHERE {_MEMBER_KEY} AND m.identity IS NULL",  # noqa: S608 - texts of ours; values are parameters
    f"""
    INSERT INTO scope_members AS c
    SELECT m.uuid, m.kind, m.identity, m.campaign FROM fold_members m
    WHERE m.identity IS NOT NULL AND {_MOVED}
    ON CONFLICT (member_uuid, kind) DO UPDATE SET identity_uuid = excluded.identity_uuid,
        campaign_uuid = excluded.campaign_uuid
    """,  # noqa: S608 - texts of ours; values are parameters
    _add("rollup_scope_day", _DAY),
    _drop_empty("rollup_scope_day", _DAY),
    # Days that come and go say nothing of all time.
    "DELETE FROM fold_cells",
    "DELETE FROM fold_empty",
    _recount_extremes("rollup_scope_day", _DAY, _COUNTED),
    _add("rollup_scope", _TOTAL),
    _drop_empty("rollup_scope", _TOTAL),
    _recount_extremes("rollup_scope", _TOTAL, _DAYS),
    _COUNT_IDENTITIES,
)
_WRITE = ";\n".join(_FOLD)

# Without members the triggers on the rest have nothing to do.
_EMPTY = tuple(
    f"DELETE FROM {table}"  # noqa: S608 - texts of ours; values are parameters
    for table in (
        *("scope_members", "scope_newest", "scope_newest_technique"),
        *("rollup_scope", "rollup_scope_day", "scope_counted", "scope_changes"),
    )
)
_MARK_ALL = """
    INSERT INTO scope_changes (kind, members)
    SELECT 1, array_agg(uuid) FROM attackers WHERE identity_uuid IS NOT NULL HAVING count(*) > 0
    UNION ALL SELECT 2, array_agg(uuid) FROM identities HAVING count(*) > 0
"""


async def hold(connection: Any) -> None:
    """Let no other fold or change of members work until the caller's transaction ends.

    To be called before the transaction takes any row of attackers or identities.
    """
    await connection.execute(_LOCK, _LOCK_KEY)


async def fold_own(connection: Any) -> None:
    """Fold in what the caller's transaction changed; it has called `hold`."""
    await connection.execute(_MAKE_TABLES)
    if await connection.execute(_TAKE_OWN) != _NOBODY:
        await _fold(connection)


async def fold_some(connection: Any, limit: int) -> bool:
    """Fold in marks of others, oldest first, unless somebody else does.

    Args:
        connection: In a transaction.
        limit: Marks at most.

    Returns:
        Whether there may be more.
    """
    if not await connection.fetchval(_MARKED):
        return False
    if not await connection.fetchval(_TRY_LOCK, _LOCK_KEY):
        return False
    await connection.execute(_MAKE_TABLES)
    if await connection.execute(_TAKE_SOME, limit) != _NOBODY:
        await _fold(connection)
    more: bool = await connection.fetchval(_MARKED)
    return more


async def _fold(connection: Any) -> None:
    """Fold in what stands in `fold_members`."""
    status: str = await connection.execute(_READ)
    await connection.execute(_SHARE)
    if int(status.rpartition(" ")[2]) > _MANY:
        await connection.execute(_ANALYZE)
    await connection.execute(_WRITE)


async def rebuild(connection: Any) -> None:
    """Make everything anew from the roll-ups of the members; the caller has called `hold`."""
    for statement in _EMPTY:
        await connection.execute(statement)
    await connection.execute(_MARK_ALL)
    await fold_own(connection)
