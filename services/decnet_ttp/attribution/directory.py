# SPDX-License-Identifier: AGPL-3.0-or-later
"""Which identity an attacker belongs to, asked of the directory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import NAMESPACE_URL, UUID, uuid5

from decnet_ttp.core.errors import NotFoundError
from decnet_ttp.runtime.clients import call
from decnet_ttp.v1.directory_service_pb2 import (
    GetIdentityRequest,
    GetIdentityResponse,
    MembershipQuery,
    ResolvedMembership,
    ResolveIdentitiesRequest,
    ResolveIdentitiesResponse,
)
from decnet_ttp.v1.directory_service_pb2_grpc import DirectoryServiceStub

STUB_NAMESPACE = uuid5(NAMESPACE_URL, "decnet:attribution:stub_identity:v1")

_CALL_TIMEOUT_S = 5.0
_PER_CALL = 1_000


@dataclass(frozen=True, slots=True)
class Membership:
    """An attacker's identity.

    Attributes:
        attacker: The attacker.
        identity: Its identity.
        stub: Whether the directory has no identity for it, so that this one is ours alone.
    """

    attacker: UUID
    identity: UUID
    stub: bool


def stub_identity(attacker: UUID) -> UUID:
    """Return the identity that is made for an attacker that has none.

    It depends on the attacker alone, so that every process and every replay arrives at the same
    one. When the attacker moves to another identity, its observations move there.
    """
    return uuid5(STUB_NAMESPACE, str(attacker))


class Directory(Protocol):
    """Who is who."""

    async def resolve(self, attackers: Iterable[UUID]) -> list[Membership]:
        """Return the identities of attackers that were observed.

        One that is not known is left out, or is given an identity of ours, as the policy says.

        Raises:
            UnavailableError: The directory is away.
        """

    async def known(self, attackers: Iterable[UUID]) -> list[Membership]:
        """Return the identities of those attackers that the directory knows.

        Raises:
            UnavailableError: The directory is away.
        """

    async def attackers_of(self, identity: UUID) -> list[UUID]:
        """Return attackers that belong to an identity; of very many the first ones only.

        Raises:
            UnavailableError: The directory is away.
        """


class NoDirectory:
    """A directory that has no identities and takes every attacker for observed."""

    async def resolve(self, attackers: Iterable[UUID]) -> list[Membership]:
        """Give each attacker its stub."""
        return [Membership(item, stub_identity(item), stub=True) for item in attackers]

    async def known(self, attackers: Iterable[UUID]) -> list[Membership]:
        """Know of none."""
        del attackers
        return []

    async def attackers_of(self, identity: UUID) -> list[UUID]:
        """Know of none."""
        del identity
        return []


class GrpcDirectory:
    """The directory of the tag-store. Attackers that have no identity get their stub there.

    Args:
        stub: Its client.
        accept_unknown: Whether an attacker it does not know gets a stub identity at once, instead
            of being left out.
        attempts_s: How long an absent directory is tried, in seconds.
    """

    def __init__(
        self, stub: DirectoryServiceStub, *, accept_unknown: bool, attempts_s: float = 5.0
    ) -> None:
        self._stub = stub
        self._accept_unknown = accept_unknown
        self._attempts_s = attempts_s

    async def resolve(self, attackers: Iterable[UUID]) -> list[Membership]:
        """Ask for all of them at once; see Directory."""
        asked = list(attackers)
        found = {item.attacker: item for item in await self.known(asked)}
        if self._accept_unknown:
            return [
                found.get(item) or Membership(item, stub_identity(item), stub=True)
                for item in asked
            ]
        return [found[item] for item in asked if item in found]

    async def known(self, attackers: Iterable[UUID]) -> list[Membership]:
        """Ask for all of them at once; see Directory."""
        asked = list(attackers)
        found: list[Membership] = []
        for first in range(0, len(asked), _PER_CALL):
            found += await self._ask(asked[first : first + _PER_CALL])
        return found

    async def _ask(self, attackers: Sequence[UUID]) -> list[Membership]:
        response: ResolveIdentitiesResponse = await call(
            self._stub.ResolveIdentities,
            ResolveIdentitiesRequest(
                queries=[
                    MembershipQuery(
                        attacker_uuid=str(item), default_identity_uuid=str(stub_identity(item))
                    )
                    for item in attackers
                ]
            ),
            timeout_s=_CALL_TIMEOUT_S,
            attempts_s=self._attempts_s,
        )
        return [_membership(item) for item in response.memberships if item.attacker_uuid]

    async def attackers_of(self, identity: UUID) -> list[UUID]:
        """Ask for the identity; see Directory."""
        try:
            response: GetIdentityResponse = await call(
                self._stub.GetIdentity,
                GetIdentityRequest(identity_uuid=str(identity)),
                timeout_s=_CALL_TIMEOUT_S,
                attempts_s=self._attempts_s,
            )
        except NotFoundError:
            return []
        return [UUID(text) for text in response.identity.attacker_uuids]


def _membership(answer: ResolvedMembership) -> Membership:
    attacker = UUID(answer.attacker_uuid)
    if not answer.identity_uuid:
        # Somebody took it out of its identity: the directory holds that it belongs to none.
        return Membership(attacker, stub_identity(attacker), stub=True)
    return Membership(attacker, UUID(answer.identity_uuid), stub=False)
