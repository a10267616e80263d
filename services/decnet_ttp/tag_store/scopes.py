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

#: Queries for the members of the other scopes: their attackers, and the identities whose own tags
#: (those that name no attacker) belong to them. $1 is the scope's key.
MEMBERS = {
    ScopeKind.IDENTITY: (
        "SELECT a.uuid FROM attackers a WHERE a.identity_uuid = $1",
        "SELECT $1::uuid AS uuid",
    ),
    ScopeKind.CAMPAIGN: (
        (
            "SELECT a.uuid FROM attackers a JOIN identities i ON i.uuid = a.identity_uuid "
            "WHERE i.campaign_uuid = $1"
        ),
        "SELECT i.uuid FROM identities i WHERE i.campaign_uuid = $1",
    ),
}
