# SPDX-License-Identifier: AGPL-3.0-or-later
"""Sessions and decoys of a scope, a page at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID

from decnet_ttp.core.errors import InvalidArgumentError
from decnet_ttp.tag_store.database import Database
from decnet_ttp.tag_store.scopes import MEMBERS, Scope, ScopeKind

#: Where counting ends, so that a page costs the same however busy a session or decoy is.
MOST_TAGS = 1_000
MOST_ATTACKERS = 10_000

# S608: the statements are put together from constants of this module alone; values are bound.
_PAST = "($2::timestamptz IS NULL OR (s.ended_at, s.session_id, s.attacker_uuid) < ($2, $3, $4))"
_ORDER = "s.ended_at DESC, s.session_id DESC, s.attacker_uuid DESC LIMIT $5"
_ON_DECKY = "($6::text IS NULL OR s.decky_id = $6)"
_OF_FLEET = f"""
    SELECT * FROM sessions s WHERE $1::text IS NULL AND {_PAST} AND {_ON_DECKY} ORDER BY {_ORDER}
"""  # noqa: S608 - texts of ours; values are parameters
_OF_DECKY = f"""
    SELECT * FROM sessions s
    WHERE $1::text IS NULL AND {_PAST} AND s.decky_id = $6::text ORDER BY {_ORDER}
"""  # noqa: S608 - texts of ours; values are parameters
_OF_SESSION = f"""
    SELECT * FROM sessions s WHERE s.session_id = $1::text AND {_PAST} AND {_ON_DECKY}
    ORDER BY {_ORDER}
"""  # noqa: S608 - texts of ours; values are parameters
_OF_MEMBERS = f"""
    SELECT s.* FROM ({{members}}) m CROSS JOIN LATERAL (
        SELECT * FROM sessions s WHERE s.attacker_uuid = m.uuid AND {_PAST} AND {_ON_DECKY}
        ORDER BY {_ORDER}
    ) s ORDER BY {_ORDER}
"""  # noqa: S608 - texts of ours; values are parameters
_SESSIONS = f"""
    SELECT s.session_id, s.attacker_uuid, coalesce(host(a.ip), ''), coalesce(s.decky_id, ''),
        s.service, s.started_at, s.ended_at, s.commands, s.requests, s.attempts, s.files,
        (SELECT count(*) FROM (
            SELECT FROM tags t
            WHERE t.session_id = s.session_id AND t.attacker_uuid = s.attacker_uuid
                AND t.retirement_uuid IS NULL
            LIMIT {MOST_TAGS}
        ) t)
    FROM ({{source}}) s LEFT JOIN attackers a ON a.uuid = s.attacker_uuid
    ORDER BY s.ended_at DESC, s.session_id DESC, s.attacker_uuid DESC
"""  # noqa: S608 - texts of ours; values are parameters
_ATTACKER = "SELECT $1::uuid AS uuid"
_MEMBERS = {
    ScopeKind.ATTACKER: _ATTACKER,
    ScopeKind.IDENTITY: MEMBERS[ScopeKind.IDENTITY][0],
    ScopeKind.CAMPAIGN: MEMBERS[ScopeKind.CAMPAIGN][0],
}
_SESSIONS_OF = {
    ScopeKind.FLEET: _SESSIONS.format(source=_OF_FLEET),
    ScopeKind.SESSION: _SESSIONS.format(source=_OF_SESSION),
    **{
        kind: _SESSIONS.format(source=_OF_MEMBERS.format(members=members))
        for kind, members in _MEMBERS.items()
    },
}
_SESSIONS_OF_DECKY = _SESSIONS.format(source=_OF_DECKY)
_DECKIES = f"""
    SELECT d.decky_id, d.first_seen, d.last_seen, (SELECT count(*) FROM (
        SELECT FROM decky_attackers a WHERE a.decky_id = d.decky_id LIMIT {MOST_ATTACKERS}
    ) a)
    FROM deckies d WHERE $1::text IS NULL AND d.decky_id > $2 ORDER BY d.decky_id LIMIT $3
"""  # noqa: S608 - texts of ours; values are parameters
_DECKIES_OF_MEMBERS = f"""
    SELECT d.decky_id, min(d.first_seen), max(d.last_seen), least(count(*), {MOST_ATTACKERS})
    FROM ({{members}}) m JOIN decky_attackers d ON d.attacker_uuid = m.uuid
    WHERE d.decky_id > $2 GROUP BY d.decky_id ORDER BY d.decky_id LIMIT $3
"""  # noqa: S608 - texts of ours; values are parameters
_DECKIES_OF = {
    ScopeKind.FLEET: _DECKIES,
    **{kind: _DECKIES_OF_MEMBERS.format(members=members) for kind, members in _MEMBERS.items()},
}


class SessionFound(NamedTuple):
    """A session; times in ticks, tags counted to MOST_TAGS."""

    session_id: str
    attacker_uuid: UUID
    attacker_ip: str
    decky_id: str
    service: str
    started_at: int
    ended_at: int
    commands: int
    requests: int
    attempts: int
    files: int
    tags: int

    @property
    def key(self) -> tuple[int, str, UUID]:
        """Its place in the order."""
        return (self.ended_at, self.session_id, self.attacker_uuid)


class DeckyFound(NamedTuple):
    """A decoy; times in ticks, attackers counted to MOST_ATTACKERS."""

    decky_id: str
    first_seen: int
    last_seen: int
    attackers: int


async def read_sessions(
    database: Database,
    scope: Scope,
    *,
    decky_id: str,
    limit: int,
    past: tuple[int, str, UUID] | None,
) -> list[SessionFound]:
    """Return sessions of a scope, last ended first, from the one after `past` on.

    Raises:
        AbortedError, ResourceExhaustedError, UnavailableError: The database said so.
    """
    fleet_decky = scope.kind is ScopeKind.FLEET and decky_id
    sql = _SESSIONS_OF_DECKY if fleet_decky else _SESSIONS_OF[scope.kind]
    rows: Sequence[Any] = await database.fetch(
        sql, scope.key, *(past or (None, None, None)), limit, decky_id or None
    )
    return [SessionFound(*row) for row in rows]


async def read_deckies(
    database: Database, scope: Scope, *, limit: int, past: str
) -> list[DeckyFound]:
    """Return decoys on which somebody of a scope was seen, from the one after `past` on.

    Raises:
        InvalidArgumentError: The scope is a session.
        AbortedError, ResourceExhaustedError, UnavailableError: The database said so.
    """
    if scope.kind not in _DECKIES_OF:
        raise InvalidArgumentError(
            "scope is a session; ask for an attacker, identity, campaign or the fleet",
            field="scope",
        )
    rows = await database.fetch(_DECKIES_OF[scope.kind], scope.key, past, limit)
    return [DeckyFound(*row) for row in rows]
