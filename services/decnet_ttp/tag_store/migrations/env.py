# SPDX-License-Identifier: AGPL-3.0-or-later
"""What Alembic runs: the migrations on the connection the runner holds the lock with."""

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    version_table_schema=context.config.attributes["schema"],
)
with context.begin_transaction():
    context.run_migrations()
