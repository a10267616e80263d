# SPDX-License-Identifier: AGPL-3.0-or-later
"""Indexes for the tags behind a cell of an attacker, identity or campaign.

The release before this one runs on this schema: it knows nothing of its indexes. Where there are
tags already they were built beforehand, beside writers.
"""

from alembic import op
from sqlalchemy import text

from decnet_ttp.tag_store.migrations.beforehand import INDEXES

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_DOWN = ("DROP INDEX tags_identity_technique", "DROP INDEX tags_attacker_technique")


def upgrade() -> None:
    """Add what is new."""
    for name, on in INDEXES[revision].items():
        # Asked before, since IF NOT EXISTS locks the table to find out.
        if not op.get_bind().scalar(text("SELECT to_regclass(:name)"), {"name": name}):
            op.execute(f"CREATE INDEX {name} ON {on}")


def downgrade() -> None:
    """Drop what was new."""
    for statement in _DOWN:
        op.execute(statement)
