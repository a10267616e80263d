# SPDX-License-Identifier: AGPL-3.0-or-later
"""What the rule-store tells the bus: one message a rule, never several in one."""

from __future__ import annotations

from datetime import UTC
from typing import Any, Final

from decnet_ttp.rule_store.scopes import scope_of
from decnet_ttp.runtime.bus import Envelope
from decnet_ttp.v1 import rule_pb2

RELOADED: Final = "ttp.rule.reloaded"
STATE: Final = "ttp.rule.state"

_MODES: Final = {
    rule_pb2.RULE_MODE_DISABLED: "disabled",
    rule_pb2.RULE_MODE_CLIPPED: "clipped",
}


def reloaded(rule: rule_pb2.Rule) -> Envelope:
    """Tell that a definition changed, or that its newest edit is broken."""
    return _envelope(
        RELOADED,
        rule.rule_id,
        {
            "rule_id": rule.rule_id,
            "rule_version": rule.rule_version,
            "content_sha256": rule.content_sha256,
            "deleted": False,
            "load_error": rule.load_error or None,
        },
    )


def removed(rule_id: str) -> Envelope:
    """Tell that a rule is gone."""
    payload = {
        "rule_id": rule_id,
        "rule_version": None,
        "content_sha256": None,
        "deleted": True,
        "load_error": None,
    }
    return _envelope(RELOADED, rule_id, payload)


def state_changed(rule_id: str, state: rule_pb2.RuleState, *, auto_revert: bool) -> Envelope:
    """Tell the state that a rule, or a scope of it, now has.

    Args:
        rule_id: The rule.
        state: The state; its `set_time` is when it changed.
        auto_revert: Whether the state before ended by itself.
    """
    scope = scope_of(state)
    clipped = state.mode == rule_pb2.RULE_MODE_CLIPPED
    expires = state.HasField("expire_time")
    return _envelope(
        STATE,
        rule_id,
        {
            "rule_id": rule_id,
            "state": _MODES.get(state.mode, "enabled"),
            "confidence_max": state.confidence_max if clipped else None,
            "expires_at": state.expire_time.ToDatetime(UTC).isoformat() if expires else None,
            "reason": state.reason or None,
            "set_by": state.set_by or None,
            "set_at": state.set_time.ToDatetime(UTC).isoformat(),
            "scope": {scope.kind: scope.value} if scope.kind else None,
            "auto_revert": auto_revert,
        },
    )


def _envelope(topic: str, rule_id: str, payload: dict[str, Any]) -> Envelope:
    return Envelope(topic=f"{topic}.{rule_id}", type=topic.removeprefix("ttp."), payload=payload)
