# SPDX-License-Identifier: AGPL-3.0-or-later
"""Alembic migrations of the schema `tags`."""
