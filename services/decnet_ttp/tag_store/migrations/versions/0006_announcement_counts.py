# SPDX-License-Identifier: AGPL-3.0-or-later
"""What was announced of each rule and attacker within the minute.

The release before this one runs on this schema and counts in each process, as it did.
"""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the counts; unlogged, since a crash may cost the counts of a minute."""
    op.execute(
        """
        CREATE UNLOGGED TABLE announcement_counts (
            minute bigint NOT NULL,
            anchor_uuid uuid NOT NULL,
            rule_id text COLLATE "C" NOT NULL,
            count bigint NOT NULL,
            PRIMARY KEY (minute, anchor_uuid, rule_id)
        ) WITH (fillfactor = 50)
        """
    )


def downgrade() -> None:
    """Drop them."""
    op.execute("DROP TABLE announcement_counts")
