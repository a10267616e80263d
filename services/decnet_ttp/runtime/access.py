# SPDX-License-Identifier: AGPL-3.0-or-later
"""Who may call what: bearer tokens with a role, checked before a servicer is reached.

A file names the tokens that a server takes. Nobody on the same host needs one: a server that
listens on a Unix socket or on loopback does not ask.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, Final

import grpc

from decnet_ttp.core.errors import DecnetError, PermissionDeniedError, UnauthenticatedError
from decnet_ttp.runtime.access_file import AccessFile, Caller, Role
from decnet_ttp.runtime.figures import Family

_SCHEME: Final = "bearer "

_log = logging.getLogger(__name__)


_ALL: Final = frozenset(Role)
_OPERATOR: Final = frozenset({Role.OPERATOR})
_SERVICE: Final = frozenset({Role.SERVICE})
_WRITERS: Final = _OPERATOR | _SERVICE


def _methods(service: str, names: str, roles: frozenset[Role]) -> dict[str, frozenset[Role]]:
    return {f"/decnet_ttp.v1.{service}/{name}": roles for name in names.split()}


#: Roles by method. One that is not named here is denied to all.
ALLOWED: Final[Mapping[str, frozenset[Role]]] = {
    **_methods(
        "AttributionService",
        "GetIdentityProfile ListStateChanges ListMultiActorSuspects ListObservations",
        _ALL,
    ),
    **_methods(
        "DirectoryService",
        "ListAttackers GetAttacker ListIdentities GetIdentity ListCampaigns ListFacts ListIntel "
        "ListSessions ListDeckies",
        _ALL,
    ),
    **_methods(
        "DirectoryService",
        "ResolveAttackers ResolveIdentities LinkAttackers UnlinkAttackers MergeIdentities "
        "UnmergeIdentity AssignCampaign PutFacts PutIntel UpdateDirectory",
        _WRITERS,
    ),
    **_methods("ExportService", "ExportTags ExportRollups ExportDocument", _ALL),
    **_methods("IngestService", "GetIngestStatus ListDeadLetters GetDeadLetter", _ALL),
    **_methods("IngestService", "SubmitEvents SubmitEventStream", _SERVICE),
    **_methods("IngestService", "ReplayDeadLetters DropDeadLetters RunBackfill", _OPERATOR),
    **_methods("RollupService", "ListTechniques ListTactics ListPhases", _ALL),
    **_methods("RollupService", "RecountRollups", _OPERATOR),
    **_methods("RuleStoreService", "ListRules GetRule WatchRules ListRuleStateChanges", _ALL),
    **_methods("RuleStoreService", "SetRuleState ClearRuleState", _OPERATOR),
    **_methods("TagStoreService", "ListTags GetStatus", _ALL),
    **_methods("TagStoreService", "InsertTags FindSuperseded JudgeSuperseded", _SERVICE),
    **_methods("TagStoreService", "PurgeTags VacuumTags RestoreTags", _OPERATOR),
    **_methods("TaggerService", "DescribeTagger ExplainEvent ListRuleStatistics", _ALL),
    **_methods("TaggerService", "TagEvents", _SERVICE),
}


class TokenRequiredError(UnauthenticatedError):
    """No token, or one that is not known."""

    reason = "TOKEN_REQUIRED"


class RoleDeniedError(PermissionDeniedError):
    """The role of the token does not allow the call."""

    reason = "ROLE_DENIED"


class AccessInterceptor(grpc.aio.ServerInterceptor):
    """Lets through whose token has a role that the method allows.

    Health and reflection are open to all: who runs a service asks for them, and they tell nothing.

    Args:
        file: The tokens.
    """

    def __init__(self, file: AccessFile) -> None:
        self._file = file
        self._denied: Counter[tuple[str, ...]] = Counter()

    def figures(self) -> list[Family]:
        """Return how many calls were denied, and which tokens are taken."""
        denied = Family(
            "calls_denied",
            "counter",
            "Calls without a token, or with one whose role is too small.",
            {labels: float(count) for labels, count in self._denied.items()},
            ("status", "method"),
        )
        return [denied, *self._file.figures()]

    def check(self, method: str, authorization: str) -> Caller:
        """Return who makes a call that is allowed.

        Args:
            method: Full name of the method.
            authorization: What the caller sent under that name, empty when nothing.

        Raises:
            TokenRequiredError, RoleDeniedError: It is not.
        """
        allowed = ALLOWED.get(method, frozenset())
        if not authorization:
            raise self._deny(
                method,
                TokenRequiredError(
                    "the server asks for a token and none came with the call; name the file that "
                    "holds yours with DECNET_TTP_TOKEN_FILE"
                ),
            )
        caller = None
        if authorization[: len(_SCHEME)].lower() == _SCHEME:
            caller = self._file.find(authorization[len(_SCHEME) :])
        if caller is None:
            raise self._deny(
                method,
                TokenRequiredError(
                    "the server does not know the token, or no longer; have its operator add "
                    "yours to the access file"
                ),
            )
        if caller.role not in allowed:
            raise self._deny(
                method,
                RoleDeniedError(
                    f"the token's role {caller.role} does not allow the call; use a token whose "
                    f"role is {' or '.join(sorted(allowed))}"
                    if allowed
                    else "this release of the server does not offer the call",
                    role=caller.role,
                ),
                caller.name,
            )
        return caller

    def _deny(self, method: str, error: DecnetError, caller: str = "") -> DecnetError:
        name = method if method in ALLOWED else "unknown"
        self._denied[error.code, name.rpartition("/")[2]] += 1
        who = {"caller": caller} if caller else {}
        _log.warning("call denied", extra={"method": name, "reason": error.reason, **who})
        return error

    async def follow(self, stop: asyncio.Event) -> None:
        """Take over changes of the file until `stop` is set."""
        await self._file.follow(stop)

    async def intercept_service(
        self,
        continuation: Callable[
            [grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any] | None]
        ],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        """Return the handler of a call, or one that denies it."""
        handler = await continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None or method.startswith("/grpc."):
            return handler
        sent = dict(handler_call_details.invocation_metadata or ()).get("authorization", "")
        try:
            caller = self.check(method, sent if isinstance(sent, str) else "")
        except DecnetError as error:
            return _denying(handler, error)
        if caller.role is Role.OPERATOR and ALLOWED[method] is not _ALL:
            _log.info("operator call", extra={"method": method, "caller": caller.name})
        return handler


def _denying(
    handler: grpc.RpcMethodHandler[Any, Any], error: DecnetError
) -> grpc.RpcMethodHandler[Any, Any]:
    async def answer(_request: Any, _context: Any) -> Any:
        raise error

    async def stream(_request: Any, _context: Any) -> AsyncIterator[Any]:
        raise error
        yield

    streams = bool(handler.response_streaming)
    make: Any = {
        (False, False): grpc.unary_unary_rpc_method_handler,
        (False, True): grpc.unary_stream_rpc_method_handler,
        (True, False): grpc.stream_unary_rpc_method_handler,
        (True, True): grpc.stream_stream_rpc_method_handler,
    }[bool(handler.request_streaming), streams]
    denying: grpc.RpcMethodHandler[Any, Any] = make(
        stream if streams else answer,
        handler.request_deserializer,
        handler.response_serializer,
    )
    return denying
