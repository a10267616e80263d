# SPDX-License-Identifier: AGPL-3.0-or-later
"""Attackers as events name them, their sessions, and the decoys they were seen on.

Everything is kept so that the same report again changes nothing, and reports in another order end
in the same rows: times are widened, the larger count is kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from decnet_ttp.tag_store.directory_sql import (
    Sightings,
    hold_changing,
    hold_unclaimed,
    make_attackers,
    widen,
)

_GIVE_ADDRESS = """
    UPDATE attackers a SET ip = u.ip::inet
    FROM unnest($1::uuid[], $2::text[]) AS u (uuid, ip)
    WHERE a.uuid = u.uuid AND a.ip IS NULL
        AND NOT EXISTS (SELECT FROM attackers o WHERE o.ip = u.ip::inet)
"""
_ON_DECKY = """
    INSERT INTO decky_attackers AS d (decky_id, attacker_uuid, first_seen, last_seen)
    SELECT u.decky_id, u.attacker_uuid, u.first_seen, u.last_seen
    FROM unnest($1::text[], $2::uuid[], $3::timestamptz[], $4::timestamptz[])
        AS u (decky_id, attacker_uuid, first_seen, last_seen)
    ORDER BY u.decky_id, u.attacker_uuid
    ON CONFLICT (decky_id, attacker_uuid) DO UPDATE SET
        first_seen = least(d.first_seen, excluded.first_seen),
        last_seen = greatest(d.last_seen, excluded.last_seen)
    WHERE excluded.first_seen < d.first_seen OR excluded.last_seen > d.last_seen
"""
# Last of all, since every writer comes by here.
_DECKIES = """
    INSERT INTO deckies AS d (decky_id, first_seen, last_seen)
    SELECT u.decky_id, min(u.first_seen), max(u.last_seen)
    FROM unnest($1::text[], $2::timestamptz[], $3::timestamptz[])
        AS u (decky_id, first_seen, last_seen)
    GROUP BY u.decky_id ORDER BY u.decky_id
    ON CONFLICT (decky_id) DO UPDATE SET
        first_seen = least(d.first_seen, excluded.first_seen),
        last_seen = greatest(d.last_seen, excluded.last_seen)
    WHERE excluded.first_seen < d.first_seen OR excluded.last_seen > d.last_seen
"""
_SESSIONS = """
    INSERT INTO sessions AS s (
        session_id, attacker_uuid, decky_id, service, started_at, ended_at,
        commands, requests, attempts, files
    )
    SELECT u.session_id, u.attacker_uuid, u.decky_id, u.service, u.started_at, u.ended_at,
        u.commands, u.requests, u.attempts, u.files
    FROM unnest(
        $1::text[], $2::uuid[], $3::text[], $4::text[], $5::timestamptz[], $6::timestamptz[],
        $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[]
    ) AS u (
        session_id, attacker_uuid, decky_id, service, started_at, ended_at,
        commands, requests, attempts, files
    )
    ORDER BY u.session_id, u.attacker_uuid
    ON CONFLICT (session_id, attacker_uuid) DO UPDATE SET
        decky_id = least(s.decky_id, excluded.decky_id),
        service = coalesce(least(nullif(s.service, ''), nullif(excluded.service, '')), ''),
        started_at = least(s.started_at, excluded.started_at),
        ended_at = greatest(s.ended_at, excluded.ended_at),
        commands = greatest(s.commands, excluded.commands),
        requests = greatest(s.requests, excluded.requests),
        attempts = greatest(s.attempts, excluded.attempts),
        files = greatest(s.files, excluded.files)
    WHERE (
        s.decky_id, s.service, s.started_at, s.ended_at, s.commands, s.requests, s.attempts, s.files
    ) IS DISTINCT FROM (
        excluded.decky_id, excluded.service, excluded.started_at, excluded.ended_at,
        excluded.commands, excluded.requests, excluded.attempts, excluded.files
    )
"""


class SeenAttacker(NamedTuple):
    """An attacker that was seen; times in ticks, address canonical or empty."""

    uuid: UUID
    ip: str
    decky_id: str
    first_seen: int
    last_seen: int


class SessionRow(NamedTuple):
    """A session; times in ticks."""

    session_id: str
    attacker_uuid: UUID
    decky_id: str | None
    service: str
    started_at: int
    ended_at: int
    commands: int
    requests: int
    attempts: int
    files: int

    def joined(self, other: SessionRow) -> SessionRow:
        """Return what this and another report of the session say together."""
        deckies = [each for each in (self.decky_id, other.decky_id) if each]
        services = [each for each in (self.service, other.service) if each]
        return SessionRow(
            self.session_id,
            self.attacker_uuid,
            min(deckies, default=None),
            min(services, default=""),
            min(self.started_at, other.started_at),
            max(self.ended_at, other.ended_at),
            *map(max, self[6:], other[6:]),
        )


async def keep_attackers(
    connection: Any,
    seen: Sequence[SeenAttacker],
    sessions: Sequence[SessionRow],
    spoken_of: Sightings | None = None,
) -> None:
    """Keep attackers with their times and addresses, in the caller's transaction.

    Args:
        connection: Where; nothing was written there before.
        seen: The attackers.
        sessions: Sessions that they were seen in.
        spoken_of: Others who get a row when they have none.
    """
    sightings = Sightings()
    for each in seen:
        sightings.add(each.uuid, each.first_seen, each.last_seen)
    for session in sessions:
        sightings.add(session.attacker_uuid, session.started_at, session.ended_at)
    everybody = Sightings()
    everybody.join(sightings)
    everybody.join(spoken_of or Sightings())
    # Of two that claim one address, the same one gets it whatever the order.
    claims = {each.ip: each.uuid for each in sorted(seen, reverse=True) if each.ip}
    addresses = {ip: claims[ip] for ip in await hold_unclaimed(connection, claims)}
    await make_attackers(connection, everybody, seen=False)
    if addresses:
        await hold_changing(connection, sightings, addressed=addresses.values())
    await widen(connection, sightings)
    if addresses:
        await connection.execute(_GIVE_ADDRESS, list(addresses.values()), list(addresses))


async def keep_sessions(
    connection: Any, seen: Sequence[SeenAttacker], sessions: Sequence[SessionRow]
) -> None:
    """Keep sessions, and the decoys that attackers were seen on; in the caller's transaction.

    To be called last, since every writer comes by the decoys.
    """
    reports: dict[tuple[str, UUID], SessionRow] = {}
    for session in sessions:
        key = (session.session_id, session.attacker_uuid)
        reports[key] = reports[key].joined(session) if key in reports else session
    if reports:
        await connection.execute(_SESSIONS, *_columns(reports.values()))
    await _keep_deckies(connection, seen, reports.values())


async def _keep_deckies(
    connection: Any, seen: Iterable[SeenAttacker], sessions: Iterable[SessionRow]
) -> None:
    spans: dict[tuple[str, UUID], tuple[int, int]] = {}
    places = [
        *((each.decky_id, each.uuid, each.first_seen, each.last_seen) for each in seen),
        *((each.decky_id, each.attacker_uuid, each.started_at, each.ended_at) for each in sessions),
    ]
    for decky, attacker, first, last in places:
        if decky:
            low, high = spans.get((decky, attacker), (first, last))
            spans[decky, attacker] = (min(low, first), max(high, last))
    if spans:
        rows = [(*key, *span) for key, span in spans.items()]
        await connection.execute(_ON_DECKY, *_columns(rows))
        columns = _columns(rows)
        await connection.execute(_DECKIES, columns[0], *columns[2:])


def _columns(rows: Iterable[Sequence[Any]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]
