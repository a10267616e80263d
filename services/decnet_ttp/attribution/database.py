# SPDX-License-Identifier: AGPL-3.0-or-later
"""The service's way to PostgreSQL: times travel as microseconds since the epoch.

A time object for each of ten samples of each observation would cost more than all the merging.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from decnet_ttp.attribution.migrate import SCHEMA, migrate
from decnet_ttp.runtime.pool import Pool

#: PostgreSQL counts from the year 2000.
_ITS_EPOCH = 946_684_800 * 1_000_000


async def _init_connection(connection: Any) -> None:
    await connection.set_type_codec(
        "timestamptz",
        schema="pg_catalog",
        encoder=lambda micros: (micros - _ITS_EPOCH,),
        decoder=lambda parts: parts[0] + _ITS_EPOCH,
        format="tuple",
    )


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
            init=_init_connection,
        )
