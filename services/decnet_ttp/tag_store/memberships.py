# SPDX-License-Identifier: AGPL-3.0-or-later
"""Which identities attackers belong to, many at once and without their counts."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from decnet_ttp.tag_store.database import Database
from decnet_ttp.tag_store.directory_sql import link_loose, make_identities

_FIND = """
    SELECT a.uuid, coalesce(i.root_uuid, a.identity_uuid), a.linked_at IS NULL
    FROM attackers a LEFT JOIN identities i ON i.uuid = a.identity_uuid
    WHERE a.uuid = ANY($1::uuid[])
"""


async def memberships(
    database: Database, defaults: Mapping[UUID, UUID | None]
) -> dict[UUID, UUID | None]:
    """Return the identities of those attackers that are known, None for one that has none.

    Args:
        database: Where they are.
        defaults: By attacker, the identity that it joins when it has none and nobody took it out
            of one; None for no such.

    Raises:
        AbortedError, ResourceExhaustedError, UnavailableError: The database said so.
    """
    async with database.connection() as connection, connection.transaction():
        rows = await connection.fetch(_FIND, list(defaults))
        links = {
            attacker: default
            for attacker, identity, loose in rows
            if identity is None and loose and (default := defaults[attacker]) is not None
        }
        if links:
            await make_identities(connection, set(links.values()))
            await link_loose(connection, links)
            # Another may have been quicker, or the default may have been merged away.
            rows += await connection.fetch(_FIND, list(links))
    return {row[0]: row[1] for row in rows}
