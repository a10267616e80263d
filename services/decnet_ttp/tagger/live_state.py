# SPDX-License-Identifier: AGPL-3.0-or-later
"""States of rules as the tagger holds them: for every event, or for a part of the events only."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final

from decnet_ttp.core.addresses import canonical_ip
from decnet_ttp.v1 import event_pb2, rule_pb2

#: Tells whether an event of a kind, in its group, is within a scope.
Within = Callable[[event_pb2.EventGroup, str], bool]

_KNOWN_ADDRESSES: Final = 4_096


@dataclass(frozen=True, slots=True)
class LiveState:
    """A state in force.

    Attributes:
        ceiling: Highest confidence the rule's tags may have; 0 while it is disabled.
        expires_s: When it ends, in seconds since the epoch; infinite when it stays.
        within: What it is limited to; None when it holds for every event.
    """

    ceiling: float
    expires_s: float = float("inf")
    within: Within | None = None

    @property
    def disabled(self) -> bool:
        """Whether the rule emits nothing."""
        return self.ceiling <= 0.0


#: How a rule works that nobody said anything about.
NORMAL: Final = LiveState(1.0)


def live_state(state: rule_pb2.RuleState) -> LiveState:
    """Return a state as it is applied."""
    match state.mode:
        case rule_pb2.RULE_MODE_DISABLED:
            ceiling = 0.0
        case rule_pb2.RULE_MODE_CLIPPED:
            ceiling = state.confidence_max
        case _:
            ceiling = 1.0
    expires_s = (
        state.expire_time.ToNanoseconds() / 1e9 if state.HasField("expire_time") else float("inf")
    )
    return LiveState(ceiling, expires_s, _within(state.scope) if state.HasField("scope") else None)


def strictest(
    states: Iterable[LiveState], group: event_pb2.EventGroup, source_kind: str, now_s: float
) -> LiveState | None:
    """Return the strictest of the scoped states that apply now; None when none does."""
    applying = [
        state
        for state in states
        if now_s < state.expires_s and (state.within is None or state.within(group, source_kind))
    ]
    return min(applying, key=lambda state: state.ceiling, default=None)


def _within(scope: rule_pb2.StateScope) -> Within:
    match scope.WhichOneof("scope"):
        case "attacker_uuid":
            attacker = scope.attacker_uuid
            return lambda group, _: bool(group.anchor.attacker_uuid == attacker)
        case "network":
            return _in_network(scope.network)
        case "decky_id":
            decky = scope.decky_id
            return lambda group, _: bool(group.decky_id == decky)
        case "source_kind":
            kind = scope.source_kind
            return lambda _, source_kind: source_kind == kind
        case _:
            # A scope of a later release: muting too little is better than muting everything.
            return lambda _, __: False


def _in_network(text: str) -> Within:
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        return lambda _, __: False

    def within(group: event_pb2.EventGroup, _: str) -> bool:
        address = _address(group.attacker_ip)
        return address is not None and address in network

    return within


@lru_cache(maxsize=_KNOWN_ADDRESSES)
def _address(text: str) -> IPv4Address | IPv6Address | None:
    canonical = canonical_ip(text)
    return None if canonical is None else ip_address(canonical)
