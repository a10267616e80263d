# SPDX-License-Identifier: AGPL-3.0-or-later
"""Alembic's entry: migrates on the connection that holds the runner's lock."""

from alembic import context

_attributes = context.config.attributes
context.configure(connection=_attributes["connection"], version_table_schema=_attributes["schema"])
with context.begin_transaction():
    context.run_migrations()
