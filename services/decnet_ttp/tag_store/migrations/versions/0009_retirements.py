# SPDX-License-Identifier: AGPL-3.0-or-later
"""Retirement of tags that the rules of today no longer make.

The release before this one runs on this schema: it lists retired tags as if they were not, and a
recount of its counts them.
"""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_UP = (
    # Which retirement took the tag out of what is counted; absent while it counts.
    "ALTER TABLE tags ADD COLUMN retirement_uuid uuid",
    """
    CREATE TABLE retirements (
        uuid uuid PRIMARY KEY,
        requested_by text NOT NULL,
        reason text NOT NULL,
        tags bigint NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        restored_by text,
        restored_at timestamptz
    )
    """,
    # Tags that a run has to judge once it sees their events.
    """
    CREATE TABLE superseded_candidates (
        run_uuid uuid NOT NULL,
        source_kind text COLLATE "C" NOT NULL,
        source_id text COLLATE "C" NOT NULL,
        tag_uuid uuid NOT NULL,
        rule_gone boolean NOT NULL,
        noted_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (run_uuid, source_kind, source_id, tag_uuid)
    )
    """,
)

_DOWN = (
    "DROP TABLE superseded_candidates",
    "DROP TABLE retirements",
    "ALTER TABLE tags DROP COLUMN retirement_uuid",
)


def upgrade() -> None:
    """Add what is new."""
    for statement in _UP:
        op.execute(statement)


def downgrade() -> None:
    """Drop what was new; retired tags count again after a recount."""
    for statement in _DOWN:
        op.execute(statement)
