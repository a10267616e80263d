# SPDX-License-Identifier: AGPL-3.0-or-later
"""What can be wrong with a rule when it is compiled."""

from __future__ import annotations

from decnet_ttp.core.errors import DecnetError


class RuleInvalidError(DecnetError):
    """A rule that no evaluator can be made of; the message names the rule, the fault, the cure.

    Attributes:
        rule_id: The rule.
        fault: The message without the rule's id.
        path: Keys that lead to the faulty part of the rule's document.
    """

    code = "FAILED_PRECONDITION"
    reason = "RULE_INVALID"

    def __init__(
        self, rule_id: str, fault: str, *, path: tuple[str | int, ...] = ("match",)
    ) -> None:
        super().__init__(f"rule {rule_id}: {fault}", rule_id=rule_id)
        self.rule_id = rule_id
        self.fault = fault
        self.path = path
