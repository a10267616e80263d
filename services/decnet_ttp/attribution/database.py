# SPDX-License-Identifier: AGPL-3.0-or-later
"""The service's way to PostgreSQL."""

from __future__ import annotations

from functools import partial

from decnet_ttp.attribution.migrate import SCHEMA, migrate
from decnet_ttp.runtime.pool import Pool


class Database(Pool):
    """A pool that sees the schema of attribution.

    Args:
        database_url: As in the settings.
        max_connections: Connections at most.
    """

    def __init__(self, database_url: str, *, max_connections: int = 6) -> None:
        super().__init__(
            database_url,
            schema=SCHEMA,
            application_name="decnet-ttp attribution",
            migrate=partial(migrate, database_url),
            max_connections=max_connections,
        )
