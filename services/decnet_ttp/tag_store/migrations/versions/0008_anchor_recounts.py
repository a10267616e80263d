# SPDX-License-Identifier: AGPL-3.0-or-later
"""Who is to be counted anew after a deletion that only lessened counts.

The release before this one runs on this schema; what it deletes it counts anew at once.
"""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the notes."""
    op.execute(
        """
        CREATE TABLE anchor_recounts (
            anchor text COLLATE "C" NOT NULL,
            uuid uuid NOT NULL,
            PRIMARY KEY (anchor, uuid)
        )
        """
    )


def downgrade() -> None:
    """Drop them; a recount mends whoever was noted."""
    op.execute("DROP TABLE anchor_recounts")
