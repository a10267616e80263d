# SPDX-License-Identifier: AGPL-3.0-or-later
"""The effective confidence of a tag: what is stored, and what verdicts about its attacker add.

The stored confidence never changes. An attacker has one effect, the sum of its adjustments in
force, and roll-ups count each of its tags by the confidence that follows. The arithmetic stands
here twice, for writers and for the database; both are the same operations on IEEE 754 doubles and
give the same bits.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from decnet_ttp.core.source_kinds import SourceKind

#: Kinds whose tags no verdict adjusts: what a whole session did, and who somebody is, was seen
#: here, whatever others say of an address.
FIXED_KINDS = frozenset({SourceKind.SESSION.value, SourceKind.IDENTITY.value})

#: Sums are rounded to millionths, so that 0.95 - 0.1 is 0.85 and in its band.
_STEPS = 1e6


class Effect(NamedTuple):
    """What is added to the confidence of an attacker's tags.

    Attributes:
        amount: What is added, -1 to 1; the sum is cut at 0.
        ceiling: Highest confidence it raises to, 0 to 1.
    """

    amount: float
    ceiling: float


NO_EFFECT = Effect(0.0, 1.0)


def adjusted(confidence: float, effect: Effect) -> float:
    """Return the effective confidence of a tag that may be adjusted."""
    if effect.amount == 0.0:
        return confidence
    shifted = math.floor((confidence + effect.amount) * _STEPS + 0.5) / _STEPS
    return min(max(shifted, 0.0), max(effect.ceiling, confidence))


def effective_sql(amount: str = "e.effect_amount", ceiling: str = "e.effect_ceiling") -> str:
    """Return the expression of the effective confidence of `tags t`.

    Args:
        amount: Expression of the effect's amount; NULL where a tag has no attacker.
        ceiling: Expression of its ceiling.
    """
    fixed = ", ".join(f"'{kind}'" for kind in sorted(FIXED_KINDS))
    shifted = f"floor((t.confidence + {amount}) * {_STEPS:.0f} + 0.5) / {_STEPS:.0f}"
    return (
        f"(CASE WHEN coalesce({amount}, 0) = 0 OR t.confidence_fixed "
        f"OR t.source_kind IN ({fixed}) THEN t.confidence "
        f"ELSE least(greatest({shifted}, 0), greatest({ceiling}, t.confidence)) END)"
    )


#: Effective confidence of rows of `tags t` with TAG_EFFECT joined.
EFFECTIVE = effective_sql()
#: How a tag leads to the effect of its attacker.
TAG_EFFECT = "LEFT JOIN attackers e ON e.uuid = t.attacker_uuid"
