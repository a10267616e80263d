# SPDX-License-Identifier: AGPL-3.0-or-later
"""What attribution tells the bus."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import orjson

from decnet_ttp.attribution.series import Transition
from decnet_ttp.runtime.bus import Envelope

STATE_CHANGED = "attribution.profile.state_changed"
MULTI_ACTOR_SUSPECTED = "attribution.profile.multi_actor_suspected"

_DOMAIN = "attribution."


def _envelope(topic: str, payload: dict[str, object]) -> Envelope:
    return Envelope(topic=topic, type=topic.removeprefix(_DOMAIN), payload=payload)


def state_changed(transition: Transition) -> Envelope:
    """Tell that the state of a primitive is another than before."""
    merged = transition.merged
    return _envelope(
        STATE_CHANGED,
        {
            "identity_uuid": str(transition.series.identity),
            "primitive": transition.series.primitive,
            "old_state": transition.old,
            "new_state": merged.state,
            "current_value": None if merged.value is None else orjson.loads(merged.value),
            "confidence": merged.confidence,
            "observation_count": transition.count,
            "ts": transition.at / 1e6,
        },
    )


def multi_actor_suspected(
    identity: UUID, primitives: Sequence[str], confidence: float, at_s: float
) -> Envelope:
    """Tell that one identity looks like several people.

    Args:
        identity: The identity.
        primitives: Primitives in state multi-actor, sorted.
        confidence: 0 to 1.
        at_s: When it was found, in seconds since the epoch.
    """
    return _envelope(
        MULTI_ACTOR_SUSPECTED,
        {
            "identity_uuid": str(identity),
            "primitives": list(primitives),
            "evidence_summary": f"{len(primitives)} primitives flagged multi_actor",
            "confidence": confidence,
            "ts": at_s,
        },
    )
