# SPDX-License-Identifier: AGPL-3.0-or-later
"""What a state may be limited to, in the one form that each scope has."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Final, NamedTuple
from uuid import UUID

from decnet_ttp.core.addresses import canonical_ip
from decnet_ttp.core.errors import InvalidArgumentError
from decnet_ttp.core.source_kinds import SourceKind
from decnet_ttp.v1 import rule_pb2

MAX_DECKY_BYTES: Final = 512


class ScopeKey(NamedTuple):
    """A scope as the database and the history know it; both are empty for every event.

    Attributes:
        kind: Name of the member of StateScope that is set.
        value: Its value in canonical form.
    """

    kind: str = ""
    value: str = ""


EVERYTHING: Final = ScopeKey()


def scope_message(key: ScopeKey) -> rule_pb2.StateScope:
    """Return a scope as it travels; it has no member for every event."""
    return rule_pb2.StateScope(**{key.kind: key.value}) if key.kind else rule_pb2.StateScope()


def scope_of(state: rule_pb2.RuleState) -> ScopeKey:
    """Return the scope of a state whose scope was checked."""
    if not state.HasField("scope"):
        return EVERYTHING
    kind = state.scope.WhichOneof("scope") or ""
    return ScopeKey(kind, getattr(state.scope, kind)) if kind else EVERYTHING


def checked_scope(scope: rule_pb2.StateScope) -> ScopeKey:
    """Return a scope in canonical form.

    Raises:
        InvalidArgumentError: It names nothing, or nothing that could be.
    """
    kind = scope.WhichOneof("scope")
    if kind is None:
        raise InvalidArgumentError(
            "the scope names nothing; set attacker_uuid, network, decky_id or source_kind, "
            "or leave the scope out",
            field="scope",
        )
    check = {
        "attacker_uuid": _attacker,
        "network": _network,
        "decky_id": _decky,
        "source_kind": _source_kind,
    }[kind]
    return ScopeKey(kind, check(getattr(scope, kind)))


def _attacker(text: str) -> str:
    try:
        return str(UUID(text))
    except ValueError as error:
        raise InvalidArgumentError(
            "attacker_uuid is no UUID; `decnet-ttp attackers` lists them",
            field="scope.attacker_uuid",
        ) from error


def _network(text: str) -> str:
    single = canonical_ip(text)
    try:
        return str(ip_network(single or text.strip(), strict=False))
    except ValueError as error:
        raise InvalidArgumentError(
            "network is neither a network nor an address; write 198.51.100.0/24",
            field="scope.network",
        ) from error


def _decky(text: str) -> str:
    if not text or "\0" in text or len(text.encode()) > MAX_DECKY_BYTES:
        raise InvalidArgumentError(
            f"decky_id has 1 to {MAX_DECKY_BYTES} bytes and no NUL; write it as the decoy sends it",
            field="scope.decky_id",
        )
    return text


def _source_kind(text: str) -> str:
    if text not in frozenset(SourceKind):
        raise InvalidArgumentError(
            f"no such source kind; allowed: {', '.join(sorted(SourceKind))}",
            field="scope.source_kind",
        )
    return text
