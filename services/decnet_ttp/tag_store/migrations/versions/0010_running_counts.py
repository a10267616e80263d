# SPDX-License-Identifier: AGPL-3.0-or-later
"""Counts of an attacker's tags that are under way beside its writers.

The release before this one runs on this schema. What it writes meanwhile is missing in a count
under way, which sees so at its end and begins anew.
"""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_UP = (
    # The effect that is being counted for.
    """
    CREATE TABLE running_counts (
        attacker_uuid uuid PRIMARY KEY,
        run_uuid uuid NOT NULL,
        amount double precision NOT NULL,
        ceiling double precision NOT NULL,
        began_at timestamptz NOT NULL DEFAULT now()
    )
    """,
    # What tags that were written since give under it.
    """
    CREATE TABLE running_count_additions (
        run_uuid uuid NOT NULL,
        day date NOT NULL,
        cell_id integer NOT NULL,
        band smallint NOT NULL,
        count bigint NOT NULL,
        first_seen timestamptz NOT NULL,
        last_seen timestamptz NOT NULL,
        confidence_max double precision NOT NULL
    ) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000)
    """,
    "CREATE INDEX running_count_additions_run ON running_count_additions (run_uuid)",
)


def upgrade() -> None:
    """Add what is new."""
    for statement in _UP:
        op.execute(statement)


def downgrade() -> None:
    """Drop what was new; what was under way is begun anew when somebody asks for it."""
    op.execute("DROP TABLE running_count_additions")
    op.execute("DROP TABLE running_counts")
