# SPDX-License-Identifier: AGPL-3.0-or-later
"""Sessions, decoys and who was seen on them; times of what was stated of members and merges.

The release before this one runs on this schema: its links and merges have no time, so that any
statement may follow them, and it writes neither sessions nor decoys.
"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_UP = (
    # When somebody said last where the attacker belongs; absent while it only followed from tags.
    "ALTER TABLE attackers ADD COLUMN linked_at timestamptz",
    """
    ALTER TABLE identities ADD COLUMN merge_stated_at timestamptz,
        ADD COLUMN campaign_stated_at timestamptz, ADD COLUMN stated_campaign_uuid uuid
    """,
    "UPDATE identities SET stated_campaign_uuid = campaign_uuid WHERE campaign_uuid IS NOT NULL",
    """
    CREATE INDEX identities_stated_campaign ON identities (stated_campaign_uuid)
        WHERE stated_campaign_uuid IS NOT NULL
    """,
    """
    ALTER TABLE campaigns ADD COLUMN merged_into_uuid uuid, ADD COLUMN merge_stated_at timestamptz,
        ADD COLUMN named_at timestamptz
    """,
    """
    CREATE TABLE sessions (
        session_id text COLLATE "C" NOT NULL,
        attacker_uuid uuid NOT NULL,
        decky_id text COLLATE "C",
        service text COLLATE "C" NOT NULL,
        started_at timestamptz NOT NULL,
        ended_at timestamptz NOT NULL,
        commands bigint NOT NULL,
        requests bigint NOT NULL,
        attempts bigint NOT NULL,
        files bigint NOT NULL,
        PRIMARY KEY (session_id, attacker_uuid),
        CONSTRAINT sessions_in_order CHECK (started_at <= ended_at)
    ) WITH (fillfactor = 90)
    """,
    "CREATE INDEX sessions_attacker ON sessions (attacker_uuid, ended_at DESC)",
    "CREATE INDEX sessions_ended ON sessions (ended_at DESC)",
    "CREATE INDEX sessions_decky ON sessions (decky_id, ended_at DESC) WHERE decky_id IS NOT NULL",
    """
    CREATE TABLE deckies (
        decky_id text COLLATE "C" PRIMARY KEY,
        first_seen timestamptz NOT NULL,
        last_seen timestamptz NOT NULL
    ) WITH (fillfactor = 50)
    """,
    """
    CREATE TABLE decky_attackers (
        decky_id text COLLATE "C" NOT NULL,
        attacker_uuid uuid NOT NULL,
        first_seen timestamptz NOT NULL,
        last_seen timestamptz NOT NULL,
        PRIMARY KEY (decky_id, attacker_uuid)
    ) WITH (fillfactor = 80)
    """,
    "CREATE INDEX decky_attackers_attacker ON decky_attackers (attacker_uuid)",
)

_DOWN = (
    "DROP TABLE decky_attackers",
    "DROP TABLE deckies",
    "DROP TABLE sessions",
    """
    ALTER TABLE campaigns DROP COLUMN merged_into_uuid, DROP COLUMN merge_stated_at,
        DROP COLUMN named_at
    """,
    """
    ALTER TABLE identities DROP COLUMN merge_stated_at, DROP COLUMN campaign_stated_at,
        DROP COLUMN stated_campaign_uuid
    """,
    "ALTER TABLE attackers DROP COLUMN linked_at",
)


def upgrade() -> None:
    """Add what is new."""
    for statement in _UP:
        op.execute(statement)


def downgrade() -> None:
    """Drop what was new; members, merges and campaigns stay as they are."""
    for statement in _DOWN:
        op.execute(statement)
