# SPDX-License-Identifier: AGPL-3.0-or-later
"""The one family of errors that somebody acts on by type, on either side of a gRPC call.

Anything else that escapes a servicer is a fault of ours and reaches the caller as INTERNAL.
"""

from __future__ import annotations

from typing import ClassVar


class DecnetError(Exception):
    """An error with a gRPC status code and a stable reason.

    Args:
        message: One line for people: what, why, cure. Never holds an attacker's input.
        metadata: Every variable of the message, for programs.

    Attributes:
        code: Name of the gRPC status code.
        reason: Stable identifier in UPPER_SNAKE_CASE, at most 63 characters.
    """

    code: ClassVar[str] = "INTERNAL"
    reason: ClassVar[str] = "INTERNAL"

    def __init__(self, message: str, **metadata: object) -> None:
        super().__init__(message)
        self.message = message
        self.metadata: dict[str, str] = {key: str(value) for key, value in metadata.items()}


class InvalidArgumentError(DecnetError):
    """A field of the request is wrong; sending the same request again cannot help.

    Args:
        message: What is wrong and what is allowed.
        field: Path of the field within the request, for example "groups[3].anchor".
        metadata: Further variables of the message.
    """

    code = "INVALID_ARGUMENT"
    reason = "INVALID_ARGUMENT"

    def __init__(self, message: str, *, field: str = "", **metadata: object) -> None:
        super().__init__(message, **({"field": field} if field else {}), **metadata)
        self.field = field


class NotFoundError(DecnetError):
    """The thing that was asked for does not exist."""

    code = "NOT_FOUND"
    reason = "NOT_FOUND"


class FailedPreconditionError(DecnetError):
    """The system is not in the state the request needs."""

    code = "FAILED_PRECONDITION"
    reason = "FAILED_PRECONDITION"


class OutOfRangeError(DecnetError):
    """A cursor lies outside what is kept."""

    code = "OUT_OF_RANGE"
    reason = "OUT_OF_RANGE"


class ResourceExhaustedError(DecnetError):
    """A bound or a disk is used up."""

    code = "RESOURCE_EXHAUSTED"
    reason = "RESOURCE_EXHAUSTED"


class AbortedError(DecnetError):
    """A concurrent writer won; the whole request may be sent again."""

    code = "ABORTED"
    reason = "ABORTED"


class UnavailableError(DecnetError):
    """Something the request needs is away; it is safe to send it again."""

    code = "UNAVAILABLE"
    reason = "UNAVAILABLE"


class DeadlineExceededError(DecnetError):
    """No answer came in time; whether the request took effect is not known."""

    code = "DEADLINE_EXCEEDED"
    reason = "DEADLINE_EXCEEDED"


class UnimplementedError(DecnetError):
    """This release does not offer the call."""

    code = "UNIMPLEMENTED"
    reason = "UNIMPLEMENTED"


class UnauthenticatedError(DecnetError):
    """The caller did not prove who it is."""

    code = "UNAUTHENTICATED"
    reason = "UNAUTHENTICATED"


class PermissionDeniedError(DecnetError):
    """The caller's role does not allow the call."""

    code = "PERMISSION_DENIED"
    reason = "PERMISSION_DENIED"


class InternalError(DecnetError):
    """A fault on the other side; its log says more."""
