# SPDX-License-Identifier: AGPL-3.0-or-later
"""Phases of the Unified Kill Chain that an identity or attacker went through on each decoy.

The chain is Paul Pols', "The Unified Kill Chain" (2017, updated 2023): phases of getting in, going
through and getting out. Tactics are mapped to the phase of their name; ATT&CK 19 parted defence
evasion into Stealth (which kept TA0005) and Defense Impairment (TA0112), which stay one phase here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from decnet_ttp.core.errors import InvalidArgumentError
from decnet_ttp.tag_store.database import Database
from decnet_ttp.tag_store.scopes import MEMBERS, TAG_CONDITIONS, Scope, ScopeKind

#: Phase of each tactic; the last four are of ATT&CK for industrial control systems.
PHASE_OF: Mapping[str, str] = MappingProxyType(
    {
        "TA0043": "reconnaissance",
        "TA0042": "resource_development",
        "TA0001": "delivery",
        "TA0002": "execution",
        "TA0003": "persistence",
        "TA0004": "privilege_escalation",
        "TA0005": "defense_evasion",
        "TA0112": "defense_evasion",
        "TA0006": "credential_access",
        "TA0007": "discovery",
        "TA0008": "lateral_movement",
        "TA0009": "collection",
        "TA0011": "command_and_control",
        "TA0010": "exfiltration",
        "TA0040": "impact",
        "TA0100": "collection",
        "TA0102": "discovery",
        "TA0105": "impact",
        "TA0106": "impact",
    }
)

#: Phases that happen where no decoy can see them; a tag that claims one says nothing of a hand-off.
NOT_OBSERVABLE = frozenset(
    {"reconnaissance", "resource_development", "weaponization", "social_engineering"}
)

#: Phase of each tactic that a decoy can see.
OBSERVABLE: Mapping[str, str] = MappingProxyType(
    {tactic: phase for tactic, phase in PHASE_OF.items() if phase not in NOT_OBSERVABLE}
)

# S608: the statements are put together from constants of this module alone; values are bound.
_SEEN = "t.decky_id, t.tactic, coalesce(t.observed_at, t.created_at) AS seen"
_LIVE = "t.retirement_uuid IS NULL"
_OF_ATTACKER = f"SELECT {_SEEN} FROM tags t WHERE {TAG_CONDITIONS[ScopeKind.ATTACKER]} AND {_LIVE}"  # noqa: S608 - texts of ours; values are parameters
_OF_IDENTITY = (
    f"SELECT {_SEEN} FROM ({MEMBERS[ScopeKind.IDENTITY][0]}) m "  # noqa: S608 - texts of ours; values are parameters
    f"JOIN tags t ON t.attacker_uuid = m.uuid AND {_LIVE} "
    f"UNION ALL SELECT {_SEEN} FROM ({MEMBERS[ScopeKind.IDENTITY][1]}) m "
    f"JOIN tags t ON t.attacker_uuid IS NULL AND t.identity_uuid = m.uuid AND {_LIVE}"
)
_PHASES = """
    WITH seen AS (
        SELECT s.decky_id, s.tactic, min(s.seen) AS first_seen, max(s.seen) AS last_seen,
            count(*) AS tags
        FROM ({source}) s
        WHERE s.decky_id IS NOT NULL AND s.tactic = ANY($2::text[])
            AND ($3::text IS NULL OR s.decky_id > $3)
        GROUP BY s.decky_id, s.tactic
    )
    SELECT decky_id, tactic, first_seen, last_seen, tags FROM seen
    WHERE decky_id IN (SELECT DISTINCT decky_id FROM seen ORDER BY decky_id LIMIT $4)
    ORDER BY decky_id, first_seen, tactic
"""
_SQL = {
    ScopeKind.ATTACKER: _PHASES.format(source=_OF_ATTACKER),
    ScopeKind.IDENTITY: _PHASES.format(source=_OF_IDENTITY),
}


@dataclass(frozen=True, slots=True)
class TacticSeen:
    """A tactic on one decoy; times are ticks."""

    tactic: str
    first_seen: int
    last_seen: int
    tags: int

    @property
    def phase(self) -> str:
        """Its phase."""
        return PHASE_OF[self.tactic]


@dataclass(slots=True)
class Decky:
    """What was seen on one decoy, in the order of first sight; never empty."""

    decky_id: str
    seen: list[TacticSeen] = field(default_factory=list)

    @property
    def first(self) -> TacticSeen:
        """What was seen first."""
        return self.seen[0]

    @property
    def last(self) -> TacticSeen:
        """What was seen last; of several at one moment, what came to it latest."""
        return max(self.seen, key=lambda each: (each.last_seen, each.first_seen, each.tactic))


async def read_phases(database: Database, scope: Scope, *, limit: int, past: str) -> list[Decky]:
    """Return the decoys of a scope by id, from the one after `past` on.

    Args:
        database: Where.
        scope: An attacker by uuid, or an identity that is not merged.
        limit: Decoys at most.
        past: Id of the decoy before; empty for the first page.

    Raises:
        InvalidArgumentError: The scope is another one.
        UnavailableError: The database is away.
    """
    sql = _SQL.get(scope.kind)
    if sql is None:
        raise InvalidArgumentError(
            f"scope is a {scope.kind}; phases are kept apart for an attacker or an identity",
            field="scope",
        )
    deckies: dict[str, Decky] = {}
    for decky_id, *seen in await database.fetch(
        sql, scope.key, list(OBSERVABLE), past or None, limit
    ):
        deckies.setdefault(decky_id, Decky(decky_id)).seen.append(TacticSeen(*seen))
    return list(deckies.values())
