# SPDX-License-Identifier: AGPL-3.0-or-later
"""Which identity an attacker belongs to, asked of the directory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from typing import Protocol
from uuid import NAMESPACE_URL, UUID, uuid5

from decnet_ttp.core.errors import NotFoundError, UnimplementedError
from decnet_ttp.runtime.clients import call
from decnet_ttp.v1.directory_service_pb2 import (
    Attacker,
    GetAttackerRequest,
    GetAttackerResponse,
    LinkAttackersRequest,
    ListAttackersRequest,
    ListAttackersResponse,
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
    """Return the identity that is made for an attacker that has none.

    It depends on the attacker alone, so that every process and every replay arrives at the same
    one. When the attacker moves to another identity, its observations move there.
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
        """Page through all attackers the directory knows.

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
        membership = _membership(response.attacker)
        return await self._make_stub(attacker) if membership.stub else membership

    async def _make_stub(self, attacker: UUID) -> Membership:
        """Put an attacker into an identity of its own, unless another was quicker."""
        identity = stub_identity(attacker)
        try:
            await call(
                self._stub.LinkAttackers,
                LinkAttackersRequest(
                    identity_uuid=str(identity),
                    attacker_uuids=[str(attacker)],
                    only_unlinked=True,
                ),
                timeout_s=_CALL_TIMEOUT_S,
                attempts_s=self._attempts_s,
            )
            response: GetAttackerResponse = await call(
                self._stub.GetAttacker,
                GetAttackerRequest(attacker_uuid=str(attacker)),
                timeout_s=_CALL_TIMEOUT_S,
                attempts_s=self._attempts_s,
            )
        except UnimplementedError:
            # A directory of an older release: the stub is kept here alone.
            return Membership(attacker, identity, stub=True)
        return _membership(response.attacker)

    async def memberships(self) -> AsyncIterator[list[Membership]]:
        """Page through the attackers; one that moves while pages are read is found next time."""
        request = ListAttackersRequest(page_size=_PAGE_SIZE)
        while True:
            page: ListAttackersResponse = await call(
                self._stub.ListAttackers,
                request,
                timeout_s=_CALL_TIMEOUT_S,
                attempts_s=self._attempts_s,
            )
            yield [_membership(item) for item in page.attackers]
            request.page_token = page.next_page_token
            if not request.page_token:
                return


def _membership(attacker: Attacker) -> Membership:
    uuid = UUID(attacker.uuid)
    if not attacker.identity_uuid:
        return Membership(uuid, stub_identity(uuid), stub=True)
    return Membership(uuid, UUID(attacker.identity_uuid), stub=False)
