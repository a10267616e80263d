# SPDX-License-Identifier: AGPL-3.0-or-later
"""Indexes for the tags behind a cell of an attacker, identity or campaign.

The release before this one runs on this schema: it knows nothing of its indexes.
"""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_UP = (
    "CREATE INDEX tags_attacker_technique ON tags (attacker_uuid, technique_id, seq)",
    """
    CREATE INDEX tags_identity_technique ON tags (identity_uuid, technique_id, seq)
        WHERE attacker_uuid IS NULL
    """,
)
_DOWN = ("DROP INDEX tags_identity_technique", "DROP INDEX tags_attacker_technique")


def upgrade() -> None:
    """Add what is new."""
    for statement in _UP:
        op.execute(statement)


def downgrade() -> None:
    """Drop what was new."""
    for statement in _DOWN:
        op.execute(statement)
