# SPDX-License-Identifier: AGPL-3.0-or-later
# ruff: noqa: INP001 - Alembic loads it by its path
"""How far the input stream was read, kept with what was read from it."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table; it has one row at most."""
    op.execute(
        """
        CREATE TABLE place (
            one boolean PRIMARY KEY DEFAULT true CHECK (one),
            stream_created_at timestamptz NOT NULL,
            sequence bigint NOT NULL
        )
        """
    )


def downgrade() -> None:
    """Drop it."""
    op.execute("DROP TABLE place")
