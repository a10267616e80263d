# SPDX-License-Identifier: AGPL-3.0-or-later
"""Rows of attackers and identities, made and widened by many writers at once."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any
from uuid import UUID
from zlib import crc32

from decnet_ttp.tag_store.batch import TagRow

_MAKE = """
    INSERT INTO attackers (uuid, first_seen, last_seen)
    SELECT u.uuid, u.first_seen, u.last_seen
    FROM unnest($1::uuid[], $2::timestamptz[], $3::timestamptz[]) AS u (uuid, first_seen, last_seen)
    WHERE NOT EXISTS (SELECT FROM attackers a WHERE a.uuid = u.uuid)
    ORDER BY u.uuid
    ON CONFLICT DO NOTHING
"""
# Rows that would not change are not even locked: a busy attacker is no hot row.
_WIDEN = """
    WITH wider AS (
        SELECT a.uuid, u.first_seen, u.last_seen
        FROM unnest($1::uuid[], $2::timestamptz[], $3::timestamptz[])
            AS u (uuid, first_seen, last_seen)
        JOIN attackers a ON a.uuid = u.uuid
        WHERE u.first_seen < a.first_seen OR u.last_seen > a.last_seen
        ORDER BY a.uuid
        FOR NO KEY UPDATE OF a
    )
    UPDATE attackers a
    SET first_seen = least(a.first_seen, w.first_seen),
        last_seen = greatest(a.last_seen, w.last_seen)
    FROM wider w WHERE a.uuid = w.uuid
"""
_MAKE_IDENTITIES = """
    INSERT INTO identities (uuid)
    SELECT u.uuid FROM unnest($1::uuid[]) AS u (uuid)
    WHERE NOT EXISTS (SELECT FROM identities i WHERE i.uuid = u.uuid)
    ORDER BY u.uuid
    ON CONFLICT DO NOTHING
"""
_LINK = """
    WITH loose AS (
        SELECT a.uuid, u.identity_uuid
        FROM unnest($1::uuid[], $2::uuid[]) AS u (attacker_uuid, identity_uuid)
        JOIN attackers a ON a.uuid = u.attacker_uuid
        WHERE a.identity_uuid IS NULL AND a.linked_at IS NULL
        ORDER BY a.uuid
        FOR NO KEY UPDATE OF a
    )
    UPDATE attackers a SET identity_uuid = l.identity_uuid
    FROM loose l WHERE a.uuid = l.uuid AND a.identity_uuid IS NULL AND a.linked_at IS NULL
"""

# Rows that are changed by more than one of the statements here and in `records`.
_HOLD_CHANGING = """
    SELECT a.uuid FROM attackers a
    LEFT JOIN unnest($1::uuid[], $2::timestamptz[], $3::timestamptz[])
        AS u (uuid, first_seen, last_seen) ON u.uuid = a.uuid
    WHERE a.uuid = ANY($1::uuid[] || $4::uuid[] || $5::uuid[]) AND (
        u.first_seen < a.first_seen OR u.last_seen > a.last_seen
        OR (a.uuid = ANY($4::uuid[]) AND a.identity_uuid IS NULL AND a.linked_at IS NULL)
        OR a.uuid = ANY($5::uuid[])
    )
    ORDER BY a.uuid
    FOR NO KEY UPDATE OF a
"""

_UNCLAIMED = """
    SELECT u.ip FROM unnest($1::text[], $2::uuid[]) AS u (ip, uuid)
    WHERE NOT EXISTS (SELECT FROM attackers a WHERE a.ip = u.ip::inet)
        AND NOT EXISTS (SELECT FROM attackers a WHERE a.uuid = u.uuid AND a.ip IS NOT NULL)
"""
_HOLD_ADDRESSES = """
    SELECT pg_advisory_xact_lock($1, u.key) FROM unnest($2::integer[]) AS u (key)
"""
#: First half of the keys of these locks ("ttpI" in ASCII); the second is the stripe.
_ADDRESS_CLASS = 0x74747049
#: Addresses that fall on one lock wait for each other.
_ADDRESS_STRIPES = 256


class Sightings:
    """When attackers were seen, first and last, in ticks."""

    def __init__(self) -> None:
        self._seen: dict[UUID, tuple[int, int]] = {}

    def add(self, attacker: UUID, first: int, last: int) -> None:
        """Take in that an attacker was seen."""
        known = self._seen.get(attacker)
        if known is not None:
            first, last = min(first, known[0]), max(last, known[1])
        self._seen[attacker] = (first, last)

    @property
    def attackers(self) -> list[UUID]:
        """Who was seen."""
        return list(self._seen)

    def join(self, other: Sightings) -> None:
        """Take in what another one has."""
        for attacker, span in other._seen.items():
            self.add(attacker, *span)

    def columns(self) -> tuple[list[UUID], list[int], list[int]]:
        """Return uuids, first and last times, as parallel lists."""
        return (
            list(self._seen),
            [first for first, _ in self._seen.values()],
            [last for _, last in self._seen.values()],
        )


async def hold_changing(
    connection: Any,
    sightings: Sightings,
    *,
    links: Collection[UUID] = (),
    addressed: Collection[UUID] = (),
) -> set[UUID]:
    """Lock the attackers that several statements are going to change, all in one order.

    Writers that each took them in several passes could wait for each other in a ring.

    Args:
        connection: Where.
        sightings: What `widen` is going to be called with.
        links: Whom `link_loose` is going to be called with.
        addressed: Who may be given an address.

    Returns:
        Whom it locked.
    """
    columns = (*sightings.columns(), list(links), list(addressed))
    return {uuid for (uuid,) in await connection.fetch(_HOLD_CHANGING, *columns)}


async def hold_unclaimed(connection: Any, claims: Mapping[str, UUID | None]) -> set[str]:
    """Let nobody else claim those of some addresses that no attacker has.

    One that has an address is given no second, so what it claims is left alone: its reports, which
    may come with that address again and again, wait for nobody.

    To be called before the transaction locks or writes any row: two that claim the same addresses,
    each for other attackers, would meet at the index of addresses in any order.

    Args:
        connection: Where.
        claims: Canonical addresses, each with the attacker that claims it; None where whoever
            claims it may have an address, too.

    Returns:
        Those that no attacker had. Who had to wait may find that one has it now.
    """
    rows = await connection.fetch(_UNCLAIMED, list(claims), list(claims.values()))
    free = {ip for (ip,) in rows}
    if free:
        stripes = sorted({crc32(ip.encode()) % _ADDRESS_STRIPES for ip in free})
        await connection.execute(_HOLD_ADDRESSES, _ADDRESS_CLASS, stripes)
    return free


async def widen(connection: Any, sightings: Sightings) -> None:
    """Let the times of attackers that have rows cover their sightings."""
    columns = sightings.columns()
    if columns[0]:
        await connection.execute(_WIDEN, *columns)


async def make_attackers(connection: Any, sightings: Sightings, *, seen: bool = True) -> None:
    """Give a row to each attacker that has none.

    Where they were `seen`, and not only spoken of, the times of all cover the sightings.
    """
    columns = sightings.columns()
    if columns[0]:
        await connection.execute(_MAKE, *columns)
        if seen:
            await connection.execute(_WIDEN, *columns)


async def make_identities(connection: Any, identities: Collection[UUID]) -> None:
    """Give a row to each identity that has none."""
    if identities:
        await connection.execute(_MAKE_IDENTITIES, list(identities))


async def link_loose(connection: Any, links: Mapping[UUID, UUID]) -> None:
    """Make attackers members of identities that belong nowhere and of whom nobody said where."""
    if links:
        await connection.execute(_LINK, list(links), list(links.values()))


def sightings_of(rows: Iterable[TagRow]) -> Sightings:
    """Return when tags saw their attackers."""
    sightings = Sightings()
    for row in rows:
        if row.attacker_uuid is not None:
            seen = row.seen_at
            sightings.add(row.attacker_uuid, seen, seen)
    return sightings


async def note_anchors(connection: Any, sightings: Sightings, rows: Iterable[TagRow]) -> None:
    """Make sure that the directory knows what new tags say of their anchors.

    A tag that names both attacker and identity makes an attacker that belongs to no identity a
    member of it, unless somebody took it out of one.

    Args:
        connection: Where.
        sightings: When the tags saw their attackers, all of whom have rows.
        rows: The tags.
    """
    identities: set[UUID] = set()
    links: dict[UUID, UUID] = {}
    for row in rows:
        if row.identity_uuid is not None:
            identities.add(row.identity_uuid)
            if row.attacker_uuid is not None:
                links.setdefault(row.attacker_uuid, row.identity_uuid)
    await make_identities(connection, identities)
    if links:
        held = await hold_changing(connection, sightings, links=links)
        links = {attacker: links[attacker] for attacker in links.keys() & held}
    await widen(connection, sightings)
    await link_loose(connection, links)
