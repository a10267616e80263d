# SPDX-License-Identifier: AGPL-3.0-or-later
"""The newest tag of each member of an identity or campaign, by technique, to find pages by.

Triggers keep the numbers whenever marks are folded, whichever release folds them: the one before
this runs on this schema. Every member gets a mark here, so that the numbers are filled in the
background; whoever is marked is looked up among the tags meanwhile.
"""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

# Kinds of a member are those of scope_members. Of techniques the number is in no index, so that a
# fold changes it in place; a page sorts those of the members who showed the technique.
_TABLES = (
    """
    CREATE TABLE scope_newest (
        member_uuid uuid NOT NULL,
        kind smallint NOT NULL,
        identity_uuid uuid NOT NULL,
        campaign_uuid uuid,
        seq bigint NOT NULL,
        PRIMARY KEY (member_uuid, kind)
    )
    """,
    "CREATE INDEX scope_newest_identity ON scope_newest (identity_uuid, seq)",
    """
    CREATE INDEX scope_newest_campaign ON scope_newest (campaign_uuid, seq)
        WHERE campaign_uuid IS NOT NULL
    """,
    """
    CREATE TABLE scope_newest_technique (
        member_uuid uuid NOT NULL,
        kind smallint NOT NULL,
        technique_id text COLLATE "C" NOT NULL,
        identity_uuid uuid NOT NULL,
        campaign_uuid uuid,
        seq bigint NOT NULL,
        PRIMARY KEY (member_uuid, kind, technique_id)
    ) WITH (fillfactor = 70)
    """,
    """
    CREATE INDEX scope_newest_technique_identity
        ON scope_newest_technique (identity_uuid, technique_id)
    """,
    """
    CREATE INDEX scope_newest_technique_campaign
        ON scope_newest_technique (campaign_uuid, technique_id) WHERE campaign_uuid IS NOT NULL
    """,
)
_NEWEST = ("scope_newest", "scope_newest_technique")

# Bound to this schema: whoever folds need not have it in its search path.
_AS_FUNCTION = "LANGUAGE plpgsql SET search_path FROM CURRENT AS"
_LAST = "ORDER BY t.seq DESC LIMIT 1"
# Each member and technique is a look into an index: the planner cannot know how few they are.
_MEMBER = """
    CROSS JOIN LATERAL (
        SELECT * FROM scope_members x WHERE x.member_uuid = u.uuid AND x.kind = u.kind LIMIT 1
    ) m
"""
_OF_MEMBER = {
    1: "t.attacker_uuid = u.uuid",
    2: "t.attacker_uuid IS NULL AND t.identity_uuid = u.uuid",
}


def _newest(condition: str) -> str:
    """Return the expression of the newest tag of a member `u`."""
    branches = "".join(
        f" WHEN {kind} THEN (SELECT t.seq FROM tags t WHERE {own} {condition} {_LAST})"  # noqa: S608 - constants of ours
        for kind, own in _OF_MEMBER.items()
    )
    return f"CASE u.kind{branches} END"


def _refresh_table(table: str, source: str, key: tuple[str, ...], seq: str) -> str:
    """Return the statement that brings the rows of `source` up to date, or deletes them."""
    names = ", ".join(key)
    same = " AND ".join(f"n.{name} = e.{name}" for name in key)
    techniques = ", u.technique_id" if "technique_id" in key else ""
    return f"""
        WITH newest AS MATERIALIZED (
            SELECT m.member_uuid, m.kind{techniques}, m.identity_uuid, m.campaign_uuid,
                {seq} AS seq
            FROM ({source}) u {_MEMBER}
        ),
        gone AS (DELETE FROM {table} n USING newest e WHERE e.seq IS NULL AND {same})
        INSERT INTO {table} AS n ({names}, identity_uuid, campaign_uuid, seq)
        SELECT {names}, identity_uuid, campaign_uuid, seq FROM newest e
        WHERE seq IS NOT NULL
            AND (SELECT n.seq FROM {table} n WHERE {same}) IS DISTINCT FROM e.seq
        ON CONFLICT ({names}) DO UPDATE SET seq = excluded.seq;
    """  # noqa: S608 - constants of ours


_ROWS = "unnest(members, kinds, techniques) AS r (uuid, kind, technique_id)"
_KEY = ("member_uuid", "kind")
_MEMBERS = _refresh_table(
    "scope_newest",
    f"SELECT DISTINCT r.uuid, r.kind FROM {_ROWS}",  # noqa: S608 - constants of ours
    _KEY,
    _newest(""),
)
_TECHNIQUES = _refresh_table(
    "scope_newest_technique",
    f"SELECT * FROM {_ROWS} WHERE r.technique_id IS NOT NULL",  # noqa: S608 - constants of ours
    (*_KEY, "technique_id"),
    _newest("AND t.technique_id = u.technique_id"),
)
_REFRESH = f"""
    CREATE FUNCTION refresh_scope_newest(members uuid[], kinds smallint[], techniques text[])
    RETURNS void {_AS_FUNCTION} $$
    BEGIN
        {_MEMBERS}
        {_TECHNIQUES}
    END $$
"""


def _refresh(source: str) -> str:
    """Return the body of a trigger for rows of members and techniques, or NULL, each once."""
    return f"""
    BEGIN
        PERFORM refresh_scope_newest(
            array_agg(r.uuid), array_agg(r.kind), array_agg(r.technique_id)
        )
        FROM ({source}) r HAVING count(*) > 0;
        RETURN NULL;
    END
    """


# What tags of members count for, on days that may have changed.
_SHOWN = """
    SELECT m.member_uuid AS uuid, m.kind, x.technique_id FROM {members} m
    CROSS JOIN LATERAL (
        SELECT NULL::text AS technique_id
        UNION
        SELECT (SELECT c.technique_id FROM cells c WHERE c.id = r.cell_id) FROM (
            SELECT DISTINCT d.cell_id FROM (
                SELECT y.cell_id FROM rollup_attacker y
                WHERE m.kind = 1 AND y.attacker_uuid = m.member_uuid
                    AND y.day BETWEEN m.from_day AND m.to_day
                UNION ALL
                SELECT y.cell_id FROM rollup_identity y
                WHERE m.kind = 2 AND y.identity_uuid = m.member_uuid
                    AND y.day BETWEEN m.from_day AND m.to_day
            ) d
        ) r
    ) x
"""
_FOLDED = f"""
    WITH folded AS MATERIALIZED (
        SELECT m.member_uuid, m.kind, g.from_day, g.to_day
        FROM (
            SELECT c.kind, u.uuid, min(c.from_day) AS from_day, max(c.to_day) AS to_day
            FROM changed c CROSS JOIN LATERAL unnest(c.members) AS u (uuid)
            GROUP BY c.kind, u.uuid
        ) g
        CROSS JOIN LATERAL (
            SELECT * FROM scope_members x
            WHERE x.member_uuid = g.uuid AND x.kind = g.kind LIMIT 1
        ) m
    )
    {_SHOWN.format(members="folded")}
"""  # noqa: S608 - constants of ours
_JOINED = f"""
    WITH joined AS MATERIALIZED (
        SELECT c.member_uuid, c.kind, '-infinity'::date AS from_day, 'infinity'::date AS to_day
        FROM changed c
    )
    {_SHOWN.format(members="joined")}
"""  # noqa: S608 - constants of ours
# Where no other row vouches for the technique on that day, a fold would not look at it.
_SHRUNK = """
    SELECT DISTINCT c.member_uuid AS uuid, c.kind, x.technique_id
    FROM changed c JOIN cells x ON x.id = c.cell_id
"""
_MOVED = "".join(
    f"""
        UPDATE {table} n SET identity_uuid = c.identity_uuid, campaign_uuid = c.campaign_uuid
        FROM changed c WHERE n.member_uuid = c.member_uuid AND n.kind = c.kind
            AND (n.identity_uuid, n.campaign_uuid)
                IS DISTINCT FROM (c.identity_uuid, c.campaign_uuid);
    """  # noqa: S608 - constants of ours
    for table in _NEWEST
)
_LEFT = "".join(
    f"""
        DELETE FROM {table} n USING changed c
        WHERE n.member_uuid = c.member_uuid AND n.kind = c.kind;
    """  # noqa: S608 - constants of ours
    for table in _NEWEST
)
# Name of the trigger, its table, event and rows, and the body of its function.
_TRIGGERS = (
    ("newest_folded", "scope_changes", "DELETE", "OLD", _refresh(_FOLDED)),
    ("newest_shrunk", "scope_counted", "DELETE", "OLD", _refresh(_SHRUNK)),
    ("newest_joined", "scope_members", "INSERT", "NEW", _refresh(_JOINED)),
    ("newest_moved", "scope_members", "UPDATE", "NEW", f"BEGIN {_MOVED} RETURN NULL; END"),
    ("newest_left", "scope_members", "DELETE", "OLD", f"BEGIN {_LEFT} RETURN NULL; END"),
)
_FILL = (
    """
    INSERT INTO scope_changes (kind, members)
    SELECT m.kind, array_agg(m.member_uuid) FROM (
        SELECT kind, member_uuid, row_number() OVER () / 20 AS part FROM scope_members
    ) m GROUP BY m.kind, m.part
    """,
)


def upgrade() -> None:
    """Add what is new, and mark every member."""
    for statement in (*_TABLES, _REFRESH):
        op.execute(statement)
    for name, table, event, image, body in _TRIGGERS:
        op.execute(f"CREATE FUNCTION {name}() RETURNS trigger {_AS_FUNCTION} $${body}$$")
        op.execute(
            f"""
            CREATE TRIGGER {name} AFTER {event} ON {table} REFERENCING {image} TABLE AS changed
            FOR EACH STATEMENT EXECUTE FUNCTION {name}()
            """
        )
    for statement in _FILL:
        op.execute(statement)


def downgrade() -> None:
    """Drop what was new; pages look at every member again."""
    for name, table, *_ in _TRIGGERS:
        op.execute(f"DROP TRIGGER {name} ON {table}")
        op.execute(f"DROP FUNCTION {name}()")
    op.execute("DROP FUNCTION refresh_scope_newest(uuid[], smallint[], text[])")
    for table in _NEWEST:
        op.execute(f"DROP TABLE {table}")
