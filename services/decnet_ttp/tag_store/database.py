# SPDX-License-Identifier: AGPL-3.0-or-later
"""The store's way to PostgreSQL: times travel as ticks."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

from decnet_ttp.runtime.pool import Pool
from decnet_ttp.tag_store.migrate import migrate

SCHEMA = "tags"


async def _init_connection(connection: Any) -> None:
    """Make times and days travel as integers; see the module `ticks`."""
    for name in ("timestamptz", "date"):
        await connection.set_type_codec(
            name,
            schema="pg_catalog",
            encoder=lambda number: (number,),
            decoder=lambda parts: parts[0],
            format="tuple",
        )


class Database(Pool):
    """The pool behind every query of the store.

    Args:
        database_url: As in the settings.
        max_connections: Connections at most, which bounds the writers at work at once.
    """

    def __init__(self, database_url: str, *, max_connections: int = 8) -> None:
        #: Held by counts beside writers, each of which takes two connections.
        self.counting = asyncio.Lock()
        super().__init__(
            database_url,
            schema=SCHEMA,
            application_name="decnet-ttp tag-store",
            migrate=partial(migrate, database_url, schema=SCHEMA),
            max_connections=max_connections,
            init=_init_connection,
        )
