# SPDX-License-Identifier: AGPL-3.0-or-later
"""Adjustments of confidence by verdicts about attackers.

The release before this one runs on this schema: what it writes is counted by its stored
confidence, which is the effective one until the first verdict comes in, and a recount mends the
roll-ups of whatever it wrote after that.
"""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_UP = (
    # Whether no verdict adjusts the confidence.
    "ALTER TABLE tags ADD COLUMN confidence_fixed boolean NOT NULL DEFAULT false",
    # The sum of an attacker's adjustments in force: what the roll-ups count its tags by.
    """
    ALTER TABLE attackers
        ADD COLUMN effect_amount double precision NOT NULL DEFAULT 0,
        ADD COLUMN effect_ceiling double precision NOT NULL DEFAULT 1
    """,
    # The last verdict of each rule, in force or not.
    """
    CREATE TABLE attacker_adjustments (
        attacker_uuid uuid NOT NULL,
        rule_id text COLLATE "C" NOT NULL,
        rule_version integer NOT NULL,
        amount double precision NOT NULL,
        reason text COLLATE "C" NOT NULL,
        source_kind text COLLATE "C" NOT NULL,
        source_id text COLLATE "C" NOT NULL,
        observed_at timestamptz NOT NULL,
        PRIMARY KEY (attacker_uuid, rule_id),
        CONSTRAINT attacker_adjustments_amount_range CHECK (amount >= -1 AND amount <= 1)
    )
    """,
)

_DOWN = (
    "DROP TABLE attacker_adjustments",
    "ALTER TABLE attackers DROP COLUMN effect_ceiling, DROP COLUMN effect_amount",
    "ALTER TABLE tags DROP COLUMN confidence_fixed",
)


def upgrade() -> None:
    """Add what is new."""
    for statement in _UP:
        op.execute(statement)


def downgrade() -> None:
    """Drop what was new; roll-ups of adjusted attackers need a recount then."""
    for statement in _DOWN:
        op.execute(statement)
