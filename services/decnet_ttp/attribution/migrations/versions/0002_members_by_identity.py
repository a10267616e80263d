# SPDX-License-Identifier: AGPL-3.0-or-later
# ruff: noqa: INP001 - Alembic loads it by its path
"""Members of an identity, for word from the bus that names identities."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the index."""
    op.execute("CREATE INDEX members_identity ON members (identity_uuid)")


def downgrade() -> None:
    """Drop it."""
    op.execute("DROP INDEX members_identity")
