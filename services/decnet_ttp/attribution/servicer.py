# SPDX-License-Identifier: AGPL-3.0-or-later
"""AttributionService: convert, ask, convert."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar
from uuid import UUID

from decnet_ttp.attribution import convert
from decnet_ttp.attribution.queries import Queries
from decnet_ttp.core.errors import InvalidArgumentError, NotFoundError
from decnet_ttp.runtime.paging import decode_token, encode_token, page_limit, request_arguments
from decnet_ttp.v1 import attribution_service_pb2 as pb
from decnet_ttp.v1.attribution_service_pb2_grpc import AttributionServiceServicer

T = TypeVar("T")


class IdentityNotObservedError(NotFoundError):
    """Nothing was observed of the identity."""

    reason = "IDENTITY_NOT_OBSERVED"


def _identity(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as error:
        raise InvalidArgumentError(
            "identity_uuid is no UUID; send one such as those of ListIdentities",
            field="identity_uuid",
        ) from error


def _after(request: Any, kind: Callable[[Any], T]) -> tuple[int, T] | None:
    """Return the sort key a page starts after: a time, and what decides between equal times."""
    key = decode_token(request.page_token, request_arguments(request))
    return None if key is None else (int(key[0]), kind(key[1]))


def _next(request: Any, rows: Any, limit: int, moment: str, tie: str) -> str:
    """Return the token of the next page; rows hold one more than the page when there is one."""
    if len(rows) <= limit:
        return ""
    last = rows[limit - 1]
    key = last[tie] if isinstance(last[tie], int) else str(last[tie])
    return encode_token((last[moment], key), request_arguments(request))


class AttributionServicer(AttributionServiceServicer):
    """Answers from the states as they are stored.

    Args:
        queries: The reading side.
    """

    def __init__(self, queries: Queries) -> None:
        self._queries = queries

    async def GetIdentityProfile(
        self, request: pb.GetIdentityProfileRequest, context: object
    ) -> pb.GetIdentityProfileResponse:
        """Return the merged state of an identity."""
        del context
        rows = await self._queries.profile(_identity(request.identity_uuid))
        if not rows:
            raise IdentityNotObservedError(
                "nothing was observed of this identity; the directory lists those there are",
                identity_uuid=request.identity_uuid,
            )
        return pb.GetIdentityProfileResponse(states=map(convert.primitive_state, rows))

    async def ListStateChanges(
        self, request: pb.ListStateChangesRequest, context: object
    ) -> pb.ListStateChangesResponse:
        """List the changes of state of an identity, newest first."""
        del context
        limit = page_limit(request.page_size)
        identity = _identity(request.identity_uuid)
        rows = await self._queries.changes(identity, _after(request, int), limit + 1)
        return pb.ListStateChangesResponse(
            changes=map(convert.state_change, rows[:limit]),
            next_page_token=_next(request, rows, limit, "changed_at", "id"),
        )

    async def ListMultiActorSuspects(
        self, request: pb.ListMultiActorSuspectsRequest, context: object
    ) -> pb.ListMultiActorSuspectsResponse:
        """List identities that look like several people, newest first."""
        del context
        limit = page_limit(request.page_size)
        rows = await self._queries.suspects(_after(request, UUID), limit + 1)
        return pb.ListMultiActorSuspectsResponse(
            suspects=map(convert.suspect, rows[:limit]),
            next_page_token=_next(request, rows, limit, "suspected_at", "identity_uuid"),
        )

    async def ListObservations(
        self, request: pb.ListObservationsRequest, context: object
    ) -> pb.ListObservationsResponse:
        """List the observations behind a state, newest first."""
        del context
        limit = page_limit(request.page_size)
        identity = _identity(request.identity_uuid)
        rows = await self._queries.observations(
            identity, request.primitive, _after(request, UUID), limit + 1
        )
        return pb.ListObservationsResponse(
            observations=map(convert.observation, rows[:limit]),
            next_page_token=_next(request, rows, limit, "observed_at", "key"),
        )
