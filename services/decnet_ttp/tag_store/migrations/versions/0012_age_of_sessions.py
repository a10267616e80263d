# SPDX-License-Identifier: AGPL-3.0-or-later
"""When sessions were stored, and records of what was deleted by age.

The release before this one runs on this schema: what it stores gets the time of storage, and it
deletes no sessions by age.
"""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_UP = (
    # Sessions of before count as stored now, which rewrites no row.
    "ALTER TABLE sessions ADD COLUMN stored_at timestamptz NOT NULL DEFAULT now()",
    """
    ALTER TABLE purges
        ADD COLUMN sessions bigint NOT NULL DEFAULT 0,
        ADD COLUMN facts bigint NOT NULL DEFAULT 0
    """,
)
_DOWN = (
    "ALTER TABLE purges DROP COLUMN facts, DROP COLUMN sessions",
    "ALTER TABLE sessions DROP COLUMN stored_at",
)


def upgrade() -> None:
    """Add what is new."""
    for statement in _UP:
        op.execute(statement)


def downgrade() -> None:
    """Drop what was new."""
    for statement in _DOWN:
        op.execute(statement)
