# SPDX-License-Identifier: AGPL-3.0-or-later
# ruff: noqa: INP001 - Alembic loads it by its path
"""Observations, the states merged from them, suspects and the outbox.

Text that only machines compare is in the collation "C", which is much cheaper to index.
"""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_UP = (
    # Which identity an attacker's observations count for; a copy of the directory's word.
    """
    CREATE TABLE members (
        attacker_uuid uuid PRIMARY KEY,
        identity_uuid uuid NOT NULL,
        stub boolean NOT NULL
    )
    """,
    # key is a digest of evidence_ref and primitive: a re-run of the extractor on the same
    # recording replaces what it said before. value is canonical JSON, kept as text because
    # jsonb refuses characters that attackers may send.
    """
    CREATE TABLE observations (
        key uuid PRIMARY KEY,
        identity_uuid uuid NOT NULL,
        attacker_uuid uuid NOT NULL,
        observed_at timestamptz NOT NULL,
        produced_at timestamptz NOT NULL,
        confidence double precision NOT NULL CHECK (confidence BETWEEN 0 AND 1),
        primitive text COLLATE "C" NOT NULL,
        value text COLLATE "C" NOT NULL,
        observation_id text COLLATE "C" NOT NULL,
        evidence_ref text COLLATE "C" NOT NULL,
        source text COLLATE "C" NOT NULL
    )
    """,
    # The newest samples of a series, and the pages of ListObservations.
    """
    CREATE INDEX observations_series
    ON observations (identity_uuid, primitive, observed_at, key)
    """,
    """
    CREATE TABLE states (
        identity_uuid uuid NOT NULL,
        primitive text COLLATE "C" NOT NULL,
        value text COLLATE "C",
        state text COLLATE "C" NOT NULL,
        confidence double precision NOT NULL CHECK (confidence BETWEEN 0 AND 1),
        observation_count bigint NOT NULL,
        changed_at timestamptz NOT NULL,
        observed_at timestamptz NOT NULL,
        PRIMARY KEY (identity_uuid, primitive)
    ) WITH (fillfactor = 70)
    """,
    # What the multi-actor pass reads: few rows of many.
    """
    CREATE INDEX states_multi_actor ON states (identity_uuid, primitive)
    WHERE state = 'multi_actor'
    """,
    """
    CREATE TABLE transitions (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        identity_uuid uuid NOT NULL,
        primitive text COLLATE "C" NOT NULL,
        old_state text COLLATE "C",
        new_state text COLLATE "C" NOT NULL,
        changed_at timestamptz NOT NULL
    )
    """,
    # The pages of ListStateChanges.
    "CREATE INDEX transitions_identity ON transitions (identity_uuid, changed_at, id)",
    # The memory of the multi-actor pass: what was announced of whom.
    """
    CREATE TABLE suspects (
        identity_uuid uuid PRIMARY KEY,
        primitives text[] NOT NULL,
        confidence double precision NOT NULL,
        suspected_at timestamptz NOT NULL
    )
    """,
    "CREATE INDEX suspects_newest ON suspects (suspected_at, identity_uuid)",
    """
    CREATE TABLE outbox (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        message_id uuid NOT NULL,
        subject text COLLATE "C" NOT NULL,
        body bytea NOT NULL,
        first_attempt_at timestamptz
    ) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000)
    """,
    # Messages whose attacker the directory does not know yet.
    """
    CREATE TABLE parked (
        sequence bigint PRIMARY KEY,
        subject text COLLATE "C" NOT NULL,
        body bytea NOT NULL,
        attacker_uuid uuid NOT NULL,
        published_at timestamptz NOT NULL,
        attempts integer NOT NULL,
        retry_at timestamptz NOT NULL
    )
    """,
    "CREATE INDEX parked_due ON parked (retry_at)",
    """
    CREATE TABLE refusals (
        reason text COLLATE "C" PRIMARY KEY,
        count bigint NOT NULL
    )
    """,
)

_DOWN = (
    "refusals",
    "parked",
    "outbox",
    "suspects",
    "transitions",
    "states",
    "observations",
    "members",
)


def upgrade() -> None:
    """Make everything."""
    for statement in _UP:
        op.execute(statement)


def downgrade() -> None:
    """Drop everything."""
    for table in _DOWN:
        op.execute(f"DROP TABLE {table}")
