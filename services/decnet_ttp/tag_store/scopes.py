# SPDX-License-Identifier: AGPL-3.0-or-later
"""Scopes of questions: read from the request, and made into conditions on rows."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from decnet_ttp.core.addresses import canonical_ip
from decnet_ttp.core.errors import InvalidArgumentError
from decnet_ttp.tag_store.fields import check_text, parse_uuid
from decnet_ttp.v1 import scope_pb2


class ScopeKind(StrEnum):
    """Kinds of scope."""

    ATTACKER = "attacker"
    IDENTITY = "identity"
    CAMPAIGN = "campaign"
    SESSION = "session"
    FLEET = "fleet"


@dataclass(frozen=True, slots=True)
class Scope:
    """What a question is about.

    Attributes:
        kind: Kind of scope.
        key: UUID of attacker, identity or campaign; name of a session; canonical address of an
            attacker that is named by it; None for the fleet.
    """

    kind: ScopeKind
    key: UUID | str | None = None

    @property
    def by_address(self) -> bool:
        """Whether an attacker is named by address."""
        return self.kind is ScopeKind.ATTACKER and isinstance(self.key, str)


_UUID_KINDS = {
    "attacker_uuid": ScopeKind.ATTACKER,
    "identity_uuid": ScopeKind.IDENTITY,
    "campaign_uuid": ScopeKind.CAMPAIGN,
}


def parse_scope(message: scope_pb2.Scope) -> Scope:
    """Read a scope.

    Raises:
        InvalidArgumentError: There is none, or its id is malformed.
    """
    which = message.WhichOneof("scope")
    if which is None:
        raise InvalidArgumentError(
            "scope is not set; name an attacker, identity, campaign or session, or the fleet",
            field="scope",
        )
    if which in _UUID_KINDS:
        return Scope(_UUID_KINDS[which], parse_uuid(getattr(message, which), f"scope.{which}"))
    if which == "attacker_ip":
        ip = canonical_ip(message.attacker_ip)
        if ip is None:
            raise InvalidArgumentError(
                "scope.attacker_ip is no address; use IPv4 or IPv6", field="scope.attacker_ip"
            )
        return Scope(ScopeKind.ATTACKER, ip)
    if which == "session_id":
        session_id = check_text(message.session_id, "scope.session_id", required=True)
        return Scope(ScopeKind.SESSION, session_id)
    return Scope(ScopeKind.FLEET)


#: Condition on rows of `tags t` for scopes that one index answers; $1 is the scope's key.
TAG_CONDITIONS = {
    ScopeKind.ATTACKER: "t.attacker_uuid = $1",
    ScopeKind.SESSION: "t.session_id = $1",
}

#: Queries for the identities of a scope, `uuid`, and whom each counts as, `who`: the identity it
#: was merged into in the end, or itself. $1 is the scope's key, an identity's that is not merged.
#: A merged identity belongs to the campaign of the one it was merged into, to its own if that one
#: has none.
IDENTITIES = {
    ScopeKind.IDENTITY: (
        "SELECT $1::uuid AS uuid, $1::uuid AS who "
        "UNION ALL SELECT i.uuid, $1::uuid FROM identities i WHERE i.root_uuid = $1"
    ),
    ScopeKind.CAMPAIGN: (
        "SELECT i.uuid, coalesce(i.root_uuid, i.uuid) AS who FROM identities i "
        "LEFT JOIN identities r ON r.uuid = i.root_uuid WHERE i.campaign_uuid = $1 "
        "AND coalesce(r.campaign_uuid, i.campaign_uuid) = $1 "
        "UNION SELECT i.uuid, r.uuid FROM identities r "
        "JOIN identities i ON i.root_uuid = r.uuid WHERE r.campaign_uuid = $1"
    ),
}

#: Queries for the members of these scopes: their attackers, and the identities whose own tags
#: (those that name no attacker) belong to them.
MEMBERS = {
    kind: (
        f"SELECT a.uuid FROM ({identities}) i JOIN attackers a ON a.identity_uuid = i.uuid",  # noqa: S608 - constants of ours
        f"SELECT i.uuid FROM ({identities}) i",  # noqa: S608 - constants of ours
    )
    for kind, identities in IDENTITIES.items()
}
