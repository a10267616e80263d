# SPDX-License-Identifier: AGPL-3.0-or-later
"""The identity lifter: what only shows when several attackers are seen to be one.

Its tags are about the identity; they carry no attacker.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from decnet_ttp.core.source_kinds import SourceKind
from decnet_ttp.tagger.fields import MAX_NAME, extra_number, extra_text
from decnet_ttp.tagger.predicate_lifter import PredicateLifter, holds
from decnet_ttp.v1 import event_pb2, tag_pb2

_IDENTITY = (SourceKind.IDENTITY,)

#: Figures of an identity that producers may send beside the typed fields.
FIGURES = ("ip_count", "service_count", "asn_count", "identity_count")
#: Texts that must be there for a figure to mean anything, by name.
COMMON = ("shared_password_hash", "credential_hash", "body_simhash")


@dataclass(frozen=True, slots=True)
class Accounts:
    """Parameters of `identity_password_spraying`.

    Attributes:
        account_threshold: Accounts that one password was tried on from which it is spraying.
    """

    account_threshold: int = 3

    def __post_init__(self) -> None:
        """Refuse a threshold that one account passes: trying one is no spraying."""
        if self.account_threshold < 2:  # noqa: PLR2004 - "several" begins at two
            raise ValueError(f"`account_threshold` is {self.account_threshold}; give it at least 2")


@dataclass(frozen=True, slots=True)
class Spread:
    """Parameters of `identity_spread`.

    Attributes:
        figure: What is counted, one of `FIGURES`.
        threshold: From how many on it holds.
        within_hours: Longest time over which the producer counted; 0 for any.
        common: What the counted have in common, one of `COMMON`; empty for nothing.
    """

    figure: str
    threshold: int
    within_hours: float = 0.0
    common: str = ""

    def __post_init__(self) -> None:
        """Refuse figures that nobody sends and thresholds that always hold."""
        if self.figure not in FIGURES:
            raise ValueError(f"unknown `figure`; allowed: {', '.join(FIGURES)}")
        if self.common and self.common not in COMMON:
            raise ValueError(f"unknown `common`; allowed: {', '.join(COMMON)}")
        if self.threshold < 2:  # noqa: PLR2004 - "several" begins at two
            raise ValueError(f"`threshold` is {self.threshold}; give it at least 2")
        if self.within_hours < 0:
            raise ValueError(f"`within_hours` is {self.within_hours}; give it at least 0")


def _evidence(payload: event_pb2.IdentityPayload) -> tag_pb2.Evidence:
    evidence = tag_pb2.Evidence()
    evidence.identity.shared_password_hash = payload.shared_password_hash[:MAX_NAME]
    evidence.identity.account_count = payload.account_count
    return evidence


def password_spraying(event: event_pb2.Event, parameters: Accounts) -> tag_pb2.Evidence | None:
    """One password was tried on several accounts."""
    payload = event.identity
    sprayed = payload.shared_password_hash and (
        payload.account_count >= parameters.account_threshold
    )
    return _evidence(payload) if sprayed else None


def spread(event: event_pb2.Event, parameters: Spread) -> tag_pb2.Evidence | None:
    """The identity was seen over several addresses, services, networks or other identities."""
    payload = event.identity
    if (extra_number(event, parameters.figure) or 0.0) < parameters.threshold:
        return None
    if parameters.within_hours:
        window = extra_number(event, "window_hours")
        if window is None or not 0 < window <= parameters.within_hours:
            return None
    if parameters.common == "shared_password_hash":
        shared = payload.shared_password_hash
    else:
        shared = extra_text(event, parameters.common) if parameters.common else "-"
    return _evidence(payload) if shared else None


class IdentityLifter(PredicateLifter):
    """Lifts facts about identities."""

    name: ClassVar[str] = "identity"
    owns_prefixes: ClassVar = ("identity_",)
    identity_only: ClassVar[bool] = True
    confidence_fixed: ClassVar[bool] = True
    predicates: ClassVar = {
        "identity_password_spraying": holds(_IDENTITY, Accounts, password_spraying),
        "identity_spread": holds(_IDENTITY, Spread, spread),
    }
