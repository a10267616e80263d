# SPDX-License-Identifier: AGPL-3.0-or-later
"""Roll-ups of identities and campaigns, and the marks that keep them.

The release before this one runs on this schema: what it writes is marked by triggers, and the
identities and campaigns that it changes are marked too. Every member there is gets a mark here, so
that the roll-ups are filled in the background, and questions are right meanwhile.
"""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_FIGURES = """
    count bigint NOT NULL,
    first_seen timestamptz NOT NULL,
    last_seen timestamptz NOT NULL,
    confidence_max double precision NOT NULL
"""

# A mark names members and the days that changed of them; all days where the membership did.
# Kind of a member: 1 an attacker, 2 an identity with the tags that name it alone.
# Kind of a scope: 1 an identity that stands, 2 a campaign. An identity's rows are kept apart by the
# campaign they count for, its part; all zeros for none, and for campaigns.
_TABLES = (
    """
    CREATE TABLE scope_changes (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        kind smallint NOT NULL,
        members uuid[] NOT NULL,
        from_day date NOT NULL DEFAULT '-infinity',
        to_day date NOT NULL DEFAULT 'infinity'
    ) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500)
    """,
    """
    CREATE TABLE scope_members (
        member_uuid uuid NOT NULL,
        kind smallint NOT NULL,
        identity_uuid uuid NOT NULL,
        campaign_uuid uuid,
        PRIMARY KEY (member_uuid, kind)
    )
    """,
    "CREATE INDEX scope_members_identity ON scope_members (identity_uuid)",
    """
    CREATE INDEX scope_members_campaign ON scope_members (campaign_uuid)
        WHERE campaign_uuid IS NOT NULL
    """,
    f"""
    CREATE TABLE scope_counted (
        member_uuid uuid NOT NULL,
        kind smallint NOT NULL,
        day date NOT NULL,
        cell_id integer NOT NULL,
        band smallint NOT NULL,
        {_FIGURES},
        PRIMARY KEY (member_uuid, kind, day, cell_id, band)
    ) WITH (fillfactor = 80)
    """,
    f"""
    CREATE TABLE rollup_scope_day (
        scope_uuid uuid NOT NULL,
        kind smallint NOT NULL,
        part_uuid uuid NOT NULL,
        day date NOT NULL,
        cell_id integer NOT NULL,
        band smallint NOT NULL,
        {_FIGURES},
        PRIMARY KEY (scope_uuid, kind, part_uuid, day, cell_id, band)
    ) WITH (fillfactor = 80)
    """,
    f"""
    CREATE TABLE rollup_scope (
        scope_uuid uuid NOT NULL,
        kind smallint NOT NULL,
        part_uuid uuid NOT NULL,
        cell_id integer NOT NULL,
        band smallint NOT NULL,
        {_FIGURES},
        identities integer NOT NULL DEFAULT 0,
        PRIMARY KEY (scope_uuid, kind, part_uuid, cell_id, band)
    ) WITH (fillfactor = 50)
    """,
)

# Bound to this schema: whoever writes need not have it in its search path.
_AS_FUNCTION = "RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS"


def _mark_rows(name: str, kind: int) -> str:
    return f"""
    CREATE FUNCTION mark_{name}_rollups() {_AS_FUNCTION} $$
    BEGIN
        INSERT INTO scope_changes (kind, members, from_day, to_day)
        SELECT {kind}, m.uuids, m.from_day, m.to_day FROM (
            SELECT array_agg(DISTINCT c.{name}_uuid) AS uuids,
                min(c.day) AS from_day, max(c.day) AS to_day
            FROM changed c
        ) m WHERE m.uuids IS NOT NULL;
        RETURN NULL;
    END $$
    """  # noqa: S608 - constants of ours


def _after(name: str, event: str, image: str) -> str:
    return f"""
    CREATE TRIGGER mark_{event.lower()} AFTER {event} ON rollup_{name}
    REFERENCING {image} TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION mark_{name}_rollups()
    """


_EVENTS = (("INSERT", "NEW"), ("UPDATE", "NEW"), ("DELETE", "OLD"))
_MARKS = (
    *(_mark_rows(name, kind) for kind, name in ((1, "attacker"), (2, "identity"))),
    *(_after(name, event, image) for name in ("attacker", "identity") for event, image in _EVENTS),
    f"""
    CREATE FUNCTION mark_attacker() {_AS_FUNCTION} $$
    BEGIN
        INSERT INTO scope_changes (kind, members) VALUES (1, ARRAY[coalesce(NEW.uuid, OLD.uuid)]);
        RETURN NULL;
    END $$
    """,  # noqa: S608 - constants of ours
    """
    CREATE TRIGGER mark_insert AFTER INSERT ON attackers
    FOR EACH ROW WHEN (NEW.identity_uuid IS NOT NULL) EXECUTE FUNCTION mark_attacker()
    """,
    """
    CREATE TRIGGER mark_update AFTER UPDATE OF identity_uuid ON attackers
    FOR EACH ROW WHEN (OLD.identity_uuid IS DISTINCT FROM NEW.identity_uuid)
    EXECUTE FUNCTION mark_attacker()
    """,
    """
    CREATE TRIGGER mark_delete AFTER DELETE ON attackers
    FOR EACH ROW WHEN (OLD.identity_uuid IS NOT NULL) EXECUTE FUNCTION mark_attacker()
    """,
    # Everybody below it, for whom it decides who answers and for which campaign.
    f"""
    CREATE FUNCTION mark_identity() {_AS_FUNCTION} $$
    DECLARE
        whole uuid[];
    BEGIN
        SELECT array_agg(t.uuid) INTO whole FROM (
            SELECT coalesce(NEW.uuid, OLD.uuid) AS uuid
            UNION ALL
            SELECT i.uuid FROM identities i WHERE i.root_uuid = coalesce(NEW.uuid, OLD.uuid)
        ) t;
        INSERT INTO scope_changes (kind, members) VALUES (2, whole);
        INSERT INTO scope_changes (kind, members)
        SELECT 1, m.uuids FROM (
            SELECT array_agg(a.uuid) AS uuids FROM attackers a WHERE a.identity_uuid = ANY(whole)
        ) m WHERE m.uuids IS NOT NULL;
        RETURN NULL;
    END $$
    """,  # noqa: S608 - constants of ours
    """
    CREATE TRIGGER mark_insert_delete AFTER INSERT OR DELETE ON identities
    FOR EACH ROW EXECUTE FUNCTION mark_identity()
    """,
    """
    CREATE TRIGGER mark_update AFTER UPDATE OF campaign_uuid, root_uuid ON identities
    FOR EACH ROW WHEN (
        OLD.campaign_uuid IS DISTINCT FROM NEW.campaign_uuid
        OR OLD.root_uuid IS DISTINCT FROM NEW.root_uuid
    ) EXECUTE FUNCTION mark_identity()
    """,
)
_FILL = (
    """
    INSERT INTO scope_changes (kind, members)
    SELECT 1, array_agg(a.uuid) FROM (
        SELECT uuid, row_number() OVER () / 20 AS part
        FROM attackers WHERE identity_uuid IS NOT NULL
    ) a GROUP BY a.part
    """,
    """
    INSERT INTO scope_changes (kind, members)
    SELECT 2, array_agg(i.uuid) FROM (
        SELECT uuid, row_number() OVER () / 20 AS part FROM identities
    ) i GROUP BY i.part
    """,
)

_DOWN = (
    "DROP TRIGGER mark_insert_delete ON identities",
    "DROP TRIGGER mark_update ON identities",
    *(f"DROP TRIGGER mark_{event} ON attackers" for event in ("insert", "update", "delete")),
    *(
        f"DROP TRIGGER mark_{event.lower()} ON rollup_{name}"
        for name in ("attacker", "identity")
        for event, _ in _EVENTS
    ),
    *(
        f"DROP FUNCTION mark_{name}()"
        for name in ("identity", "attacker", "identity_rollups", "attacker_rollups")
    ),
    *(
        f"DROP TABLE {table}"
        for table in (
            *("rollup_scope", "rollup_scope_day", "scope_counted", "scope_members"),
            "scope_changes",
        )
    ),
)


def upgrade() -> None:
    """Add what is new, and mark whoever is a member."""
    for statement in (*_TABLES, *_MARKS, *_FILL):
        op.execute(statement)


def downgrade() -> None:
    """Drop what was new; questions read the members again."""
    for statement in _DOWN:
        op.execute(statement)
