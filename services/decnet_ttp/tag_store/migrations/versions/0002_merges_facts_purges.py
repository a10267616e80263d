# SPDX-License-Identifier: AGPL-3.0-or-later
"""Merged identities, facts and intel of attackers, records of purges.

The release before this one runs on this schema: it does not see merges, and nothing it writes
lacks a value.
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_UP = (
    # The identity at the end of a chain of merges; absent where an identity stands by itself.
    "ALTER TABLE identities ADD COLUMN root_uuid uuid REFERENCES identities ON DELETE SET NULL",
    """
    WITH RECURSIVE chain AS (
        SELECT uuid, merged_into_uuid AS root FROM identities WHERE merged_into_uuid IS NOT NULL
        UNION ALL
        SELECT c.uuid, i.merged_into_uuid FROM chain c JOIN identities i ON i.uuid = c.root
        WHERE i.merged_into_uuid IS NOT NULL
    )
    UPDATE identities i SET root_uuid = c.root
    FROM chain c JOIN identities r ON r.uuid = c.root
    WHERE i.uuid = c.uuid AND r.merged_into_uuid IS NULL
    """,
    "CREATE INDEX identities_root ON identities (root_uuid) WHERE root_uuid IS NOT NULL",
    """
    CREATE INDEX identities_merged_into ON identities (merged_into_uuid)
        WHERE merged_into_uuid IS NOT NULL
    """,
    """
    CREATE TABLE attacker_facts (
        attacker_uuid uuid NOT NULL,
        kind smallint NOT NULL,
        value_hash bytea NOT NULL,
        value text COLLATE "C" NOT NULL,
        count bigint NOT NULL,
        first_seen timestamptz NOT NULL,
        last_seen timestamptz NOT NULL,
        attributes bytea NOT NULL,
        PRIMARY KEY (attacker_uuid, kind, value_hash)
    )
    """,
    """
    CREATE TABLE attacker_intel (
        attacker_uuid uuid NOT NULL,
        provider text COLLATE "C" NOT NULL,
        verdict text COLLATE "C" NOT NULL,
        score double precision,
        signals text[] COLLATE "C" NOT NULL,
        observed_at timestamptz NOT NULL,
        PRIMARY KEY (attacker_uuid, provider)
    )
    """,
    """
    CREATE TABLE purges (
        uuid uuid PRIMARY KEY DEFAULT gen_random_uuid(),
        scope text NOT NULL,
        scope_uuid uuid NOT NULL,
        requested_by text NOT NULL,
        reason text NOT NULL,
        tags bigint NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now()
    )
    """,
    # What deletions leave to be counted anew in the roll-ups of the fleet.
    """
    CREATE TABLE fleet_recounts (
        day date NOT NULL,
        cell_id integer NOT NULL,
        band smallint NOT NULL,
        PRIMARY KEY (day, cell_id, band)
    )
    """,
)

_DOWN = (
    "DROP TABLE fleet_recounts",
    "DROP TABLE purges",
    "DROP TABLE attacker_intel",
    "DROP TABLE attacker_facts",
    "ALTER TABLE identities DROP COLUMN root_uuid",
    "DROP INDEX identities_merged_into",
)


def upgrade() -> None:
    """Add what is new."""
    for statement in _UP:
        op.execute(statement)


def downgrade() -> None:
    """Drop what was new; merges stay in merged_into_uuid."""
    for statement in _DOWN:
        op.execute(statement)
