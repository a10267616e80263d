# SPDX-License-Identifier: AGPL-3.0-or-later
"""The directory: which attacker an address is, and what is known of attackers."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

from decnet_ttp.core.addresses import attacker_uuid
from decnet_ttp.tag_store.database import Database
from decnet_ttp.tag_store.directory_sql import (
    Sightings,
    hold_changing,
    hold_unclaimed,
    widen,
)
from decnet_ttp.tag_store.scopes import Scope, ScopeKind

# Keyed by our text of the address: PostgreSQL writes some of IPv6 otherwise.
_FIND = """
    SELECT u.ip, a.uuid, coalesce(i.root_uuid, a.identity_uuid)
    FROM unnest($1::text[]) AS u (ip) JOIN attackers a ON a.ip = u.ip::inet
    LEFT JOIN identities i ON i.uuid = a.identity_uuid
"""
_CREATE = """
    INSERT INTO attackers (uuid, ip, first_seen, last_seen)
    SELECT u.uuid, u.ip::inet, coalesce(u.first_seen, u.last_seen, now()),
        coalesce(u.last_seen, u.first_seen, now())
    FROM unnest($1::uuid[], $2::text[], $3::timestamptz[], $4::timestamptz[])
        AS u (uuid, ip, first_seen, last_seen)
    ORDER BY u.uuid
    ON CONFLICT DO NOTHING
"""
# A tag may have come before the first sighting, from a producer that derives the uuid itself.
_GIVE_ADDRESS = """
    UPDATE attackers a SET ip = u.ip::inet
    FROM unnest($1::uuid[], $2::text[]) AS u (uuid, ip)
    WHERE a.uuid = u.uuid AND a.ip IS NULL
        AND NOT EXISTS (SELECT FROM attackers o WHERE o.ip = u.ip::inet)
"""
_IDENTITIES_OF = """
    SELECT a.uuid, coalesce(i.root_uuid, i.uuid) FROM attackers a
    JOIN identities i ON i.uuid = a.identity_uuid WHERE a.uuid = ANY($1::uuid[])
"""
_ROOT = "SELECT root_uuid FROM identities WHERE uuid = $1 AND root_uuid IS NOT NULL"
_BY_ADDRESS = "SELECT uuid FROM attackers WHERE ip = $1::text::inet"
_ATTACKERS = """
    SELECT a.uuid, coalesce(host(a.ip), ''), coalesce(i.root_uuid, a.identity_uuid),
        a.first_seen, a.last_seen, r.tags, r.techniques
    FROM (
        SELECT * FROM attackers x WHERE {condition} ORDER BY x.last_seen DESC, x.uuid DESC LIMIT $1
    ) a
    LEFT JOIN identities i ON i.uuid = a.identity_uuid
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(x.tags), 0)::bigint AS tags,
            count(DISTINCT (c.technique_id, c.sub_technique_id)) AS techniques
        FROM (
            SELECT y.cell_id, sum(y.count) AS tags FROM rollup_attacker y
            WHERE y.attacker_uuid = a.uuid GROUP BY y.cell_id
        ) x JOIN cells c ON c.id = x.cell_id
    ) r
    ORDER BY a.last_seen DESC, a.uuid DESC
"""
_FIRST_PAGE = _ATTACKERS.format(condition="true")
_NEXT_PAGE = _ATTACKERS.format(condition="(x.last_seen, x.uuid) < ($2::timestamptz, $3::uuid)")
_SOME = _ATTACKERS.format(condition="x.uuid = ANY($2::uuid[])")
_ONE = _ATTACKERS.format(condition="x.uuid = $2::uuid")


@dataclass(frozen=True, slots=True)
class Sighting:
    """An address that was seen, or an attacker by uuid; times in ticks, None when unknown."""

    ip: str
    first_seen: int | None
    last_seen: int | None
    uuid: UUID | None = None


class Resolved(NamedTuple):
    """The attacker behind an address."""

    uuid: UUID
    identity_uuid: UUID | None


class AttackerRow(NamedTuple):
    """What is known of an attacker; times in ticks."""

    uuid: UUID
    ip: str
    identity_uuid: UUID | None
    first_seen: int
    last_seen: int
    tag_count: int
    technique_count: int


class Directory:
    """Attackers by address and by uuid."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def resolve(
        self, sightings: Sequence[Sighting], *, create_missing: bool
    ) -> dict[str, Resolved]:
        """Return the attackers behind addresses, and let their times cover the sightings.

        Args:
            sightings: Canonical addresses; one may stand there more than once.
            create_missing: Whether an address without a row gets one, its uuid derived from it.

        Raises:
            AbortedError, ResourceExhaustedError, UnavailableError: The database said so.
        """
        addresses = sorted({sighting.ip for sighting in sightings})
        async with self._database.connection() as connection, connection.transaction():
            found = await _find(connection, addresses)
            missing = {ip: attacker_uuid(ip) for ip in addresses if ip not in found}
            if missing and create_missing:
                found |= await _create(connection, missing, sightings, found)
            await widen(connection, _seen(sightings, found))
        return found

    async def identities_of(self, attackers: Collection[UUID]) -> dict[UUID, UUID]:
        """Return the identities, those others were merged into, of attackers that have one.

        Raises:
            AbortedError, ResourceExhaustedError, UnavailableError: The database said so.
        """
        if not attackers:
            return {}
        return dict(await self._database.fetch(_IDENTITIES_OF, list(attackers)))

    async def by_address(self, ip: str) -> UUID | None:
        """Return the uuid of the attacker behind a canonical address, None when unknown."""
        rows = await self._database.fetch(_BY_ADDRESS, ip)
        return rows[0][0] if rows else None

    async def locate(self, scope: Scope) -> Scope | None:
        """Return a scope with its attacker by uuid; None when the address is not known.

        An identity that was merged is answered for by the one it was merged into.
        """
        if scope.kind is ScopeKind.IDENTITY:
            rows = await self._database.fetch(_ROOT, scope.key)
            return Scope(scope.kind, rows[0][0]) if rows else scope
        if not scope.by_address:
            return scope
        uuid = await self.by_address(str(scope.key))
        return None if uuid is None else Scope(scope.kind, uuid)

    async def attackers(self, limit: int, past: tuple[int, UUID] | None) -> list[AttackerRow]:
        """Return attackers, last seen first, from the one after `past` on."""
        if past is None:
            rows = await self._database.fetch(_FIRST_PAGE, limit)
        else:
            rows = await self._database.fetch(_NEXT_PAGE, limit, *past)
        return [AttackerRow(*row) for row in rows]

    async def some(self, uuids: Sequence[UUID]) -> list[AttackerRow]:
        """Return those of some attackers that are known, last seen first."""
        rows = await self._database.fetch(_SOME, len(uuids), uuids)
        return [AttackerRow(*row) for row in rows]

    async def attacker(self, uuid: UUID) -> AttackerRow | None:
        """Return one attacker, None when there is none."""
        rows = await self._database.fetch(_ONE, 1, uuid)
        return AttackerRow(*rows[0]) if rows else None


def _seen(sightings: Sequence[Sighting], found: Mapping[str, Resolved]) -> Sightings:
    """Return when those attackers were seen that are found."""
    seen = Sightings()
    for sighting in sightings:
        attacker = found.get(sighting.ip)
        times = [t for t in (sighting.first_seen, sighting.last_seen) if t is not None]
        if attacker is not None and times:
            seen.add(attacker.uuid, min(times), max(times))
    return seen


async def _find(connection: Any, addresses: Collection[str]) -> dict[str, Resolved]:
    rows = await connection.fetch(_FIND, list(addresses))
    return {ip: Resolved(uuid, identity) for ip, uuid, identity in rows}


async def _create(
    connection: Any,
    missing: Mapping[str, UUID],
    sightings: Sequence[Sighting],
    known: Mapping[str, Resolved],
) -> dict[str, Resolved]:
    """Give addresses to attackers, made where they are missing; return who has them now.

    Everybody whom the transaction changes after this is locked in it.
    """
    spans = _spans(sightings)
    await hold_unclaimed(connection, dict.fromkeys(missing))
    await connection.execute(
        _CREATE,
        list(missing.values()),
        list(missing),
        [spans[ip][0] for ip in missing],
        [spans[ip][1] for ip in missing],
    )
    found = await _find(connection, missing)
    left = {ip: uuid for ip, uuid in missing.items() if ip not in found}
    seen = _seen(sightings, {**known, **found})
    await hold_changing(connection, seen, addressed=left.values())
    if left:
        await connection.execute(_GIVE_ADDRESS, list(left.values()), list(left))
        found |= await _find(connection, left)
    return found


def _spans(sightings: Sequence[Sighting]) -> dict[str, tuple[int | None, int | None]]:
    """Return first and last time by address, None where no sighting says."""
    spans: dict[str, tuple[int | None, int | None]] = {}
    for sighting in sightings:
        times = [t for t in (sighting.first_seen, sighting.last_seen) if t is not None]
        known = spans.get(sighting.ip, (None, None))
        times += [t for t in known if t is not None]
        spans[sighting.ip] = (min(times), max(times)) if times else (None, None)
    return spans
