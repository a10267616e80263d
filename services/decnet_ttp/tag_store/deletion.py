# SPDX-License-Identifier: AGPL-3.0-or-later
"""Deleting tags and what was counted of them, some at a time, beside writers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from decnet_ttp.tag_store.contributions import hold, recontribute

#: Tags deleted in one transaction.
BATCH_TAGS = 5_000

_ANCHORS = """
    SELECT DISTINCT t.attacker_uuid,
        CASE WHEN t.attacker_uuid IS NULL THEN t.identity_uuid END AS identity_uuid
    FROM tags t WHERE t.uuid = ANY($1::uuid[])
"""
_DELETE = "DELETE FROM tags WHERE uuid = ANY($1::uuid[]) RETURNING uuid"


async def delete_tags(connection: Any, uuids: Sequence[UUID]) -> int:
    """Delete tags and take them out of the roll-ups, in the caller's transaction.

    Returns:
        How many there were.
    """
    anchors = await connection.fetch(_ANCHORS, uuids)
    attackers = [attacker for attacker, _ in anchors if attacker is not None]
    identities = [identity for _, identity in anchors if identity is not None]
    await hold(connection, attackers, identities)
    gone = await connection.fetch(_DELETE, uuids)
    if gone:
        await recontribute(connection, attackers, identities)
    return len(gone)
