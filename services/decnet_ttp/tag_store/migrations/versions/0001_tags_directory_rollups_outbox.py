# SPDX-License-Identifier: AGPL-3.0-or-later
"""Tags, the directory, roll-ups and the outbox.

Text that only machines compare is in the collation "C": its indexes cost a third of those of a
language's collation to write. Every index is justified in docs/adr by the query it serves.
"""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_UP = (
    """
    CREATE TABLE campaigns (
        uuid uuid PRIMARY KEY,
        name text NOT NULL DEFAULT '',
        created_at timestamptz NOT NULL DEFAULT now()
    )
    """,
    """
    CREATE TABLE identities (
        uuid uuid PRIMARY KEY,
        campaign_uuid uuid REFERENCES campaigns ON DELETE SET NULL,
        merged_into_uuid uuid REFERENCES identities ON DELETE SET NULL,
        created_at timestamptz NOT NULL DEFAULT now()
    )
    """,
    """
    CREATE INDEX identities_campaign ON identities (campaign_uuid)
        WHERE campaign_uuid IS NOT NULL
    """,
    # ip is absent for an attacker that a producer named by uuid alone.
    """
    CREATE TABLE attackers (
        uuid uuid PRIMARY KEY,
        ip inet UNIQUE,
        identity_uuid uuid REFERENCES identities ON DELETE SET NULL,
        first_seen timestamptz NOT NULL,
        last_seen timestamptz NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT attackers_seen_in_order CHECK (first_seen <= last_seen)
    ) WITH (fillfactor = 80)
    """,
    "CREATE INDEX attackers_last_seen ON attackers (last_seen DESC, uuid DESC)",
    "CREATE INDEX attackers_identity ON attackers (identity_uuid) WHERE identity_uuid IS NOT NULL",
    # One value numbers a batch; a tag's seq is that number and its place in the batch.
    "CREATE SEQUENCE tag_batches AS bigint",
    """
    CREATE TABLE tags (
        uuid uuid NOT NULL,
        seq bigint NOT NULL,
        attacker_uuid uuid,
        identity_uuid uuid,
        observed_at timestamptz,
        created_at timestamptz NOT NULL,
        confidence double precision NOT NULL,
        rule_version integer NOT NULL,
        session_id text COLLATE "C",
        decky_id text COLLATE "C",
        source_kind text COLLATE "C" NOT NULL,
        source_id text COLLATE "C" NOT NULL,
        tactic text COLLATE "C" NOT NULL,
        technique_id text COLLATE "C" NOT NULL,
        sub_technique_id text COLLATE "C",
        rule_id text COLLATE "C" NOT NULL,
        attack_release text COLLATE "C" NOT NULL,
        evidence bytea NOT NULL,
        CONSTRAINT tags_pkey PRIMARY KEY (uuid),
        CONSTRAINT tags_has_anchor CHECK (attacker_uuid IS NOT NULL OR identity_uuid IS NOT NULL),
        CONSTRAINT tags_confidence_range CHECK (confidence >= 0 AND confidence <= 1)
    )
    """,
    "CREATE INDEX tags_seq ON tags (seq)",
    "CREATE INDEX tags_attacker ON tags (attacker_uuid, seq)",
    "CREATE INDEX tags_technique ON tags (technique_id, seq)",
    "CREATE INDEX tags_session ON tags (session_id, seq) WHERE session_id IS NOT NULL",
    "CREATE INDEX tags_identity_only ON tags (identity_uuid, seq) WHERE attacker_uuid IS NULL",
    """
    CREATE TABLE cells (
        id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        tactic text COLLATE "C" NOT NULL,
        technique_id text COLLATE "C" NOT NULL,
        sub_technique_id text COLLATE "C",
        CONSTRAINT cells_ids UNIQUE NULLS NOT DISTINCT (tactic, technique_id, sub_technique_id)
    )
    """,
    """
    CREATE TABLE rollup_attacker (
        attacker_uuid uuid NOT NULL,
        day date NOT NULL,
        cell_id integer NOT NULL,
        band smallint NOT NULL,
        count bigint NOT NULL,
        first_seen timestamptz NOT NULL,
        last_seen timestamptz NOT NULL,
        confidence_max double precision NOT NULL,
        PRIMARY KEY (attacker_uuid, day, cell_id, band)
    ) WITH (fillfactor = 80)
    """,
    """
    CREATE TABLE rollup_identity (
        identity_uuid uuid NOT NULL,
        day date NOT NULL,
        cell_id integer NOT NULL,
        band smallint NOT NULL,
        count bigint NOT NULL,
        first_seen timestamptz NOT NULL,
        last_seen timestamptz NOT NULL,
        confidence_max double precision NOT NULL,
        PRIMARY KEY (identity_uuid, day, cell_id, band)
    ) WITH (fillfactor = 80)
    """,
    # The slot keeps concurrent writers off each other's rows; readers add the slots up.
    """
    CREATE TABLE rollup_fleet_day (
        day date NOT NULL,
        cell_id integer NOT NULL,
        band smallint NOT NULL,
        slot smallint NOT NULL,
        count bigint NOT NULL,
        first_seen timestamptz NOT NULL,
        last_seen timestamptz NOT NULL,
        confidence_max double precision NOT NULL,
        PRIMARY KEY (day, cell_id, band, slot)
    ) WITH (fillfactor = 50)
    """,
    """
    CREATE TABLE rollup_fleet (
        cell_id integer NOT NULL,
        band smallint NOT NULL,
        slot smallint NOT NULL,
        count bigint NOT NULL,
        first_seen timestamptz NOT NULL,
        last_seen timestamptz NOT NULL,
        confidence_max double precision NOT NULL,
        PRIMARY KEY (cell_id, band, slot)
    ) WITH (fillfactor = 50)
    """,
    """
    CREATE TABLE outbox (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        announcement uuid NOT NULL,
        body bytea NOT NULL,
        created_at timestamptz NOT NULL,
        first_attempt_at timestamptz
    ) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000)
    """,
)

_DOWN = (
    "outbox",
    "rollup_fleet",
    "rollup_fleet_day",
    "rollup_identity",
    "rollup_attacker",
    "cells",
    "tags",
    "attackers",
    "identities",
    "campaigns",
)


def upgrade() -> None:
    """Make everything."""
    for statement in _UP:
        op.execute(statement)


def downgrade() -> None:
    """Drop everything; the version table stays, as Alembic's own."""
    for table in _DOWN:
        op.execute(f"DROP TABLE {table}")
    op.execute("DROP SEQUENCE tag_batches")
