# SPDX-License-Identifier: AGPL-3.0-or-later
"""Who may call what: bearer tokens with a role, checked before a servicer is reached.

A file names the tokens that a server takes. Nobody on the same host needs one: a server that
listens on a Unix socket or on loopback does not ask.
"""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import grpc

from decnet_ttp.core.errors import DecnetError, PermissionDeniedError, UnauthenticatedError
from decnet_ttp.runtime.config import SettingsError
from decnet_ttp.runtime.figures import Family

#: A token that is shorter could be guessed.
MIN_TOKEN_CHARS: Final = 32
_HASHED: Final = "sha256:"
_HASH_CHARS: Final = 64
_SCHEME: Final = "bearer "

_log = logging.getLogger(__name__)


class Role(StrEnum):
    """What a caller may do."""

    READER = "reader"
    OPERATOR = "operator"
    SERVICE = "service"


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


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def read_access(path: Path) -> dict[bytes, Role]:
    """Return the role of each token by its SHA-256.

    A line of the file is a role and a token, or a role and `sha256:` with the token's digest in
    hexadecimal; what follows a `#` at the start of a line is a comment.

    Raises:
        SettingsError: The file cannot be read, or a line is neither; no token is repeated.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"access_file: cannot read {path} ({type(error).__name__}); name a readable text file"
        ) from error
    found: dict[bytes, Role] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        words = line.split()
        if len(words) != 2 or words[0] not in _ALL:  # noqa: PLR2004 - a role and a token
            raise SettingsError(
                f"{path}:{number}: not a role and a token; roles are {', '.join(Role)}"
            )
        found[_read_token(words[1], f"{path}:{number}")] = Role(words[0])
    if not found:
        raise SettingsError(f"access_file: {path} names no token; add one, or unset access_file")
    return found


def _read_token(text: str, place: str) -> bytes:
    if not text.startswith(_HASHED):
        if len(text) < MIN_TOKEN_CHARS:
            raise SettingsError(f"{place}: the token is shorter than {MIN_TOKEN_CHARS} characters")
        return _digest(text)
    digest = text.removeprefix(_HASHED)
    try:
        found = bytes.fromhex(digest)
    except ValueError:
        found = b""
    if len(digest) != _HASH_CHARS or len(found) != _HASH_CHARS // 2:
        raise SettingsError(f"{place}: sha256: is not followed by 64 hexadecimal digits")
    return found


class AccessInterceptor(grpc.aio.ServerInterceptor):
    """Lets through whose token has a role that the method allows.

    Health and reflection are open to all: who runs a service asks for them, and they tell nothing.

    Args:
        roles: As `read_access` returns them.
    """

    def __init__(self, roles: Mapping[bytes, Role]) -> None:
        self._roles = roles
        self._denied: Counter[tuple[str, ...]] = Counter()

    def figures(self) -> Family:
        """Return how many calls were denied."""
        return Family(
            "calls_denied",
            "counter",
            "Calls without a token, or with one whose role is too small.",
            {labels: float(count) for labels, count in self._denied.items()},
            ("status", "method"),
        )

    def check(self, method: str, authorization: str) -> None:
        """Pass a call that is allowed.

        Args:
            method: Full name of the method.
            authorization: What the caller sent under that name, empty when nothing.

        Raises:
            TokenRequiredError, RoleDeniedError: It is not.
        """
        allowed = ALLOWED.get(method, frozenset())
        token = authorization[len(_SCHEME) :]
        role = None
        if authorization[: len(_SCHEME)].lower() == _SCHEME:
            # Looked up by digest: how long that takes tells nothing of a token.
            role = self._roles.get(_digest(token))
        if role is None:
            raise self._deny(
                method,
                TokenRequiredError(
                    "no token of this server came with the call; set DECNET_TTP_TOKEN_FILE"
                ),
            )
        if role not in allowed:
            raise self._deny(
                method,
                RoleDeniedError(
                    f"the token's role {role} does not allow the call; it takes "
                    f"{' or '.join(sorted(allowed)) or 'another release'}",
                    role=role,
                ),
            )

    def _deny(self, method: str, error: DecnetError) -> DecnetError:
        name = method if method in ALLOWED else "unknown"
        self._denied[error.code, name.rpartition("/")[2]] += 1
        _log.warning("call denied", extra={"method": name, "reason": error.reason})
        return error

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
            self.check(method, sent if isinstance(sent, str) else "")
        except DecnetError as error:
            return _denying(handler, error)
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
