# SPDX-License-Identifier: AGPL-3.0-or-later
"""The operational states of the rules that adjust confidence, as the store applies them.

A tagger turns a verdict into an adjustment whatever state the rule is in; the state counts here,
where the adjustment takes effect. So disabling such a rule takes back what it did, and enabling it
brings it back.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import NamedTuple
from uuid import UUID

from decnet_ttp.core.addresses import canonical_ip
from decnet_ttp.v1 import rule_pb2

#: Ceiling of a rule that nobody said anything about, and of one that emits nothing.
_NORMAL, _NOTHING = 1.0, 0.0


class Subject(NamedTuple):
    """Whom an adjustment is about, and what kind of event brought it."""

    attacker: UUID
    ip: str | None
    source_kind: str


@dataclass(frozen=True, slots=True)
class _State:
    """A state, and what it is limited to; `network` is None where it is not limited to one."""

    ceiling: float
    expires_s: float
    attacker: str = ""
    network: IPv4Network | IPv6Network | None = None
    source_kind: str = ""
    never: bool = False

    def applies(self, subject: Subject, now_s: float) -> bool:
        """Whether it counts for a subject now."""
        if self.never or now_s >= self.expires_s:
            return False
        if self.attacker:
            return self.attacker == str(subject.attacker)
        if self.source_kind:
            return self.source_kind == subject.source_kind
        if self.network is None:
            return True
        ip = canonical_ip(subject.ip or "")
        return ip is not None and ip_address(ip) in self.network


def _read(state: rule_pb2.RuleState) -> _State:
    match state.mode:
        case rule_pb2.RULE_MODE_DISABLED:
            ceiling = _NOTHING
        case rule_pb2.RULE_MODE_CLIPPED:
            ceiling = state.confidence_max
        case _:
            ceiling = _NORMAL
    expires_s = (
        state.expire_time.ToNanoseconds() / 1e9 if state.HasField("expire_time") else float("inf")
    )
    scope = state.scope
    match scope.WhichOneof("scope") if state.HasField("scope") else "":
        case "":
            return _State(ceiling, expires_s)
        case "attacker_uuid":
            return _State(ceiling, expires_s, attacker=scope.attacker_uuid)
        case "source_kind":
            return _State(ceiling, expires_s, source_kind=scope.source_kind)
        case "network":
            try:
                network = ip_network(scope.network, strict=False)
            except ValueError:
                return _State(ceiling, expires_s, never=True)
            return _State(ceiling, expires_s, network=network)
        case _:
            # A verdict about an attacker is about no decoy.
            return _State(ceiling, expires_s, never=True)


class _Rule(NamedTuple):
    state: _State
    scoped: tuple[_State, ...]


class RuleStates:
    """States of the adjusting rules in force.

    Args:
        rules: Rules, of which those that emit nothing are looked at; None where no rule-store is
            followed: then every rule is in force.
    """

    def __init__(self, rules: Iterable[rule_pb2.Rule] | None = None) -> None:
        self._rules: dict[str, _Rule] | None = None if rules is None else {}
        for rule in rules or ():
            if self._rules is not None and adjusts(rule):
                scoped = tuple(_read(state) for state in rule.scoped_states)
                self._rules[rule.rule_id] = _Rule(_read(rule.state), scoped)

    def ceiling(self, rule_id: str, subject: Subject, now_s: float) -> float:
        """Return the confidence up to which a rule may raise; 0 while it may do nothing.

        Of the states that apply to the subject the narrower one counts, of several the strictest.

        Args:
            rule_id: The rule; one that is gone may do nothing.
            subject: Whom the adjustment is about.
            now_s: Seconds since the epoch.
        """
        if self._rules is None:
            return _NORMAL
        rule = self._rules.get(rule_id)
        if rule is None:
            return _NOTHING
        scoped = [each.ceiling for each in rule.scoped if each.applies(subject, now_s)]
        if scoped:
            return min(scoped)
        return rule.state.ceiling if now_s < rule.state.expires_s else _NORMAL

    def next_change_s(self, now_s: float) -> float:
        """Return when the next state ends, in seconds since the epoch; infinite for never."""
        ends = [
            state.expires_s
            for rule in (self._rules or {}).values()
            for state in (rule.state, *rule.scoped)
            if state.expires_s > now_s
        ]
        return min(ends, default=float("inf"))


def adjusts(rule: rule_pb2.Rule) -> bool:
    """Whether a rule adjusts the confidence of tags instead of making some."""
    return not rule.emissions and rule.status != rule_pb2.RULE_STATUS_EXPERIMENTAL
