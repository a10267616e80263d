# SPDX-License-Identifier: AGPL-3.0-or-later
"""Which identity an attacker belongs to, asked of the directory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from typing import Protocol
from uuid import NAMESPACE_URL, UUID, uuid5

from decnet_ttp.core.errors import NotFoundError
from decnet_ttp.runtime.clients import call
from decnet_ttp.v1.directory_service_pb2 import (
    GetAttackerRequest,
    GetAttackerResponse,
    ListIdentitiesRequest,
    ListIdentitiesResponse,
)
from decnet_ttp.v1.directory_service_pb2_grpc import DirectoryServiceStub

STUB_NAMESPACE = uuid5(NAMESPACE_URL, "decnet:attribution:stub_identity:v1")

_CALL_TIMEOUT_S = 5.0
_CALLS_AT_ONCE = 32
_PAGE_SIZE = 1_000


@dataclass(frozen=True, slots=True)
class Membership:
    """An attacker's identity.

    Attributes:
        attacker: The attacker.
        identity: Its identity.
        stub: Whether the directory has no identity for it.
    """

    attacker: UUID
    identity: UUID
    stub: bool


def stub_identity(attacker: UUID) -> UUID:
    """Return the identity that stands for an attacker the directory has put into none.

    It depends on the attacker alone, so that every process and every replay arrives at the same
    one. When the directory learns of a real identity, the observations move there.
    """
    return uuid5(STUB_NAMESPACE, str(attacker))


class Directory(Protocol):
    """Who is who."""

    async def resolve(self, attackers: Iterable[UUID]) -> list[Membership]:
        """Return the identities of attackers; those the directory does not know are left out.

        Raises:
            UnavailableError: The directory is away.
        """

    def memberships(self) -> AsyncIterator[list[Membership]]:
        """Page through everything the directory knows, following merges.

        Raises:
            UnavailableError: The directory is away.
        """


class NoDirectory:
    """A directory that has no identities and takes every attacker for known."""

    async def resolve(self, attackers: Iterable[UUID]) -> list[Membership]:
        """Give each attacker its stub."""
        return [Membership(item, stub_identity(item), stub=True) for item in attackers]

    async def memberships(self) -> AsyncIterator[list[Membership]]:
        """Know of none."""
        return
        yield


class GrpcDirectory:
    """The directory of the tag-store.

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
        self._limit = asyncio.Semaphore(_CALLS_AT_ONCE)

    async def resolve(self, attackers: Iterable[UUID]) -> list[Membership]:
        """Ask for each attacker, many at once."""
        found = await asyncio.gather(*(self._resolve_one(item) for item in attackers))
        return [membership for membership in found if membership is not None]

    async def _resolve_one(self, attacker: UUID) -> Membership | None:
        async with self._limit:
            try:
                response: GetAttackerResponse = await call(
                    self._stub.GetAttacker,
                    GetAttackerRequest(attacker_uuid=str(attacker)),
                    timeout_s=_CALL_TIMEOUT_S,
                    attempts_s=self._attempts_s,
                )
            except NotFoundError:
                if not self._accept_unknown:
                    return None
                return Membership(attacker, stub_identity(attacker), stub=True)
        identity = response.attacker.identity_uuid
        if not identity:
            return Membership(attacker, stub_identity(attacker), stub=True)
        return Membership(attacker, UUID(identity), stub=False)

    async def memberships(self) -> AsyncIterator[list[Membership]]:
        """Page through the identities, then resolve the members of those that were merged."""
        token = ""
        merged_into: dict[str, str] = {}
        held_back: dict[str, list[str]] = {}
        while True:
            page: ListIdentitiesResponse = await call(
                self._stub.ListIdentities,
                ListIdentitiesRequest(page_size=_PAGE_SIZE, page_token=token),
                timeout_s=_CALL_TIMEOUT_S,
                attempts_s=self._attempts_s,
            )
            found = []
            for identity in page.identities:
                if identity.merged_into_uuid:
                    merged_into[identity.uuid] = identity.merged_into_uuid
                    held_back[identity.uuid] = list(identity.attacker_uuids)
                    continue
                uuid = UUID(identity.uuid)
                found += [
                    Membership(UUID(item), uuid, stub=False) for item in identity.attacker_uuids
                ]
            yield found
            token = page.next_page_token
            if not token:
                break
        yield [
            Membership(UUID(item), UUID(_end_of(loser, merged_into)), stub=False)
            for loser, attackers in held_back.items()
            for item in attackers
        ]


def _end_of(identity: str, merged_into: dict[str, str]) -> str:
    seen = {identity}
    while (winner := merged_into.get(identity)) is not None and winner not in seen:
        seen.add(winner)
        identity = winner
    return identity
