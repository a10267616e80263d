# SPDX-License-Identifier: AGPL-3.0-or-later
"""The credential lifter: guessed, sprayed, re-used, default and finally valid credentials.

A password is compared here and never enters evidence.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import ClassVar

from decnet_ttp.core.source_kinds import SourceKind
from decnet_ttp.tagger.fields import MAX_NAME, extra_number
from decnet_ttp.tagger.predicate_lifter import PredicateLifter, holds
from decnet_ttp.v1 import event_pb2, tag_pb2

_ATTEMPT = (SourceKind.AUTH_ATTEMPT,)
_CREDENTIAL = (SourceKind.CREDENTIAL,)

#: Services of a credential that evidence shows at most.
_MAX_SERVICES = 64


@dataclass(frozen=True, slots=True)
class FailedAttempts:
    """Parameters of `credential_auth_brute_generic`.

    Attributes:
        fail_threshold: Failed attempts from which it is brute force.
    """

    fail_threshold: int = 5

    def __post_init__(self) -> None:
        """Refuse a threshold that every attempt passes."""
        _refuse_below_one("fail_threshold", self.fail_threshold)


@dataclass(frozen=True, slots=True)
class Passwords:
    """Parameters of `credential_password_guessing`.

    Attributes:
        pw_threshold: Different passwords for one user from which it is guessing.
    """

    pw_threshold: int = 5

    def __post_init__(self) -> None:
        """Refuse a threshold that every attempt passes."""
        _refuse_below_one("pw_threshold", self.pw_threshold)


@dataclass(frozen=True, slots=True)
class ValidAccount:
    """Parameters of `credential_valid_account_use`.

    Attributes:
        require_prior_brute: Whether failed attempts must have come before.
    """

    require_prior_brute: bool = True


@dataclass(frozen=True, slots=True)
class Reuse:
    """Parameters of `credential_reuse`.

    Attributes:
        reuse_threshold: Uses after the first, or targets, from which it is stuffing.
    """

    reuse_threshold: int = 1

    def __post_init__(self) -> None:
        """Refuse a threshold that every credential passes."""
        _refuse_below_one("reuse_threshold", self.reuse_threshold)


@dataclass(frozen=True, slots=True)
class Services:
    """Parameters of predicates that may be limited to services.

    Attributes:
        services: Services it speaks of, in lower case; none means all.
    """

    services: tuple[str, ...] = ()


def _refuse_below_one(name: str, value: int) -> None:
    if value < 1:
        raise ValueError(f"`{name}` is {value}; give it at least 1")


def _evidence(payload: event_pb2.AuthAttemptPayload) -> tag_pb2.Evidence:
    evidence = tag_pb2.Evidence()
    shown = evidence.auth_attempt
    shown.service = payload.service[:MAX_NAME]
    shown.username = payload.username[:MAX_NAME]
    if payload.HasField("fail_count"):
        shown.fail_count = payload.fail_count
    if payload.HasField("password_count"):
        shown.password_count = payload.password_count
    return evidence


def auth_brute_generic(
    event: event_pb2.Event, parameters: FailedAttempts
) -> tag_pb2.Evidence | None:
    """Many attempts failed."""
    payload = event.auth_attempt
    return _evidence(payload) if payload.fail_count >= parameters.fail_threshold else None


def password_guessing(event: event_pb2.Event, parameters: Passwords) -> tag_pb2.Evidence | None:
    """Many passwords were tried for one user."""
    payload = event.auth_attempt
    guessed = payload.password_count >= parameters.pw_threshold and payload.username
    return _evidence(payload) if guessed else None


def valid_account_use(event: event_pb2.Event, parameters: ValidAccount) -> tag_pb2.Evidence | None:
    """A log-in succeeded, after others had failed unless that is not asked for."""
    payload = event.auth_attempt
    used = payload.result == "success" and (
        payload.prior_brute or not parameters.require_prior_brute
    )
    return _evidence(payload) if used else None


@cache
def default_credentials() -> frozenset[tuple[str, str]]:
    """Return the pairs that devices and programs are shipped with; user names in lower case."""
    text = files("decnet_ttp.tagger").joinpath("data/default_credentials.txt").read_text("utf-8")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    pairs = (line.partition(":")[::2] for line in lines)
    return frozenset((user.lower(), password) for user, password in pairs)


def default_credential(event: event_pb2.Event, parameters: Services) -> tag_pb2.Evidence | None:
    """User name and password are ones that something is shipped with."""
    payload = event.auth_attempt
    if parameters.services and payload.service.lower() not in parameters.services:
        return None
    # Longer ones stand in no list, and lower-casing a megabyte for nothing is work.
    if not payload.username or len(payload.username) + len(payload.password) > MAX_NAME:
        return None
    known = (payload.username.lower(), payload.password) in default_credentials()
    return _evidence(payload) if known else None


def reuse(event: event_pb2.Event, parameters: Reuse) -> tag_pb2.Evidence | None:
    """One credential was used again; producers tell the uses, or the targets it was tried on."""
    payload = event.credential
    count = payload.reuse_count
    if not payload.HasField("reuse_count"):
        targets = extra_number(event, "target_count")
        # The first target is no re-use. A producer may send anything, infinity included.
        count = 0 if targets is None else int(max(0.0, min(targets - 1, 1e9)))
    if count < parameters.reuse_threshold:
        return None
    evidence = tag_pb2.Evidence()
    evidence.credential.credential_hash = payload.credential_hash[:MAX_NAME]
    evidence.credential.reuse_count = count
    evidence.credential.services.extend(
        service[:MAX_NAME] for service in payload.services[:_MAX_SERVICES]
    )
    return evidence


class CredentialLifter(PredicateLifter):
    """Lifts log-in attempts and re-used credentials."""

    name: ClassVar[str] = "credential"
    unread: ClassVar = MappingProxyType({})
    owns_prefixes: ClassVar = ("credential_",)
    predicates: ClassVar = {
        "credential_auth_brute_generic": holds(_ATTEMPT, FailedAttempts, auth_brute_generic),
        "credential_password_guessing": holds(_ATTEMPT, Passwords, password_guessing),
        "credential_reuse": holds(_CREDENTIAL, Reuse, reuse),
        "credential_valid_account_use": holds(_ATTEMPT, ValidAccount, valid_account_use),
        "credential_default_credentials": holds(_ATTEMPT, Services, default_credential),
    }
