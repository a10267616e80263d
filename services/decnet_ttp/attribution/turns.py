# SPDX-License-Identifier: AGPL-3.0-or-later
"""Whether several primitives take turns together, as they do when people take turns."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from itertools import combinations

from decnet_ttp.attribution.mergers import MIN_ALTERNATION, MULTI_ACTOR_CONFIDENCE

#: Confidence when the primitives change at different times: one person of varied habits may do.
OUT_OF_STEP_CONFIDENCE = MULTI_ACTOR_CONFIDENCE / 2


def suspicion_confidence(windows: Collection[Mapping[str, str]]) -> float:
    """Return how sure it is that primitives in state multi-actor mean several people.

    When another person sits down, all habits in which the two differ change in the same
    recordings; the whims of one person change on their own. So the confidence is 0.6 when two
    primitives split their common recordings in the same way, and half of that when every pair
    differs. A pair with fewer than four common recordings cannot be compared, and counts as the
    former, which is DECNET's rule.

    Args:
        windows: The recent window of each primitive: value by recording.
    """
    pairs = list(combinations(windows, 2))
    if pairs and not any(_in_step(left, right) for left, right in pairs):
        return OUT_OF_STEP_CONFIDENCE
    return MULTI_ACTOR_CONFIDENCE


def _in_step(left: Mapping[str, str], right: Mapping[str, str]) -> bool:
    common = left.keys() & right.keys()
    if len(common) < MIN_ALTERNATION:
        return True
    pairs = {(left[recording], right[recording]) for recording in common}
    # One partner for each value, in both directions: then the splits are the same.
    return len(pairs) == len({one for one, _ in pairs}) == len({other for _, other in pairs})
