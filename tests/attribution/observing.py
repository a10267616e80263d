# SPDX-License-Identifier: AGPL-3.0-or-later
"""Observations and messages as the tests send them."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from decnet_ttp.attribution.observations import Observation, canonical_json, evidence_key
from decnet_ttp.runtime.bus import Envelope

ATTACKER = UUID("5d3b9a52-1c3c-4f0e-9a43-0d8b3f1f7a01")
START_S = 1_700_000_000.0


def observation(
    value: Any,
    *,
    primitive: str = "motor.keystroke_cadence",
    evidence: str = "shard:d/ssh/2026-01-01.jsonl#1",
    at_s: float = START_S,
    produced_s: float = 0.0,
    attacker: UUID = ATTACKER,
) -> Observation:
    """Return an observation as it comes out of a message."""
    return Observation(
        key=evidence_key(evidence, primitive),
        attacker=attacker,
        primitive=primitive,
        value=canonical_json(value),
        confidence=0.9,
        at=int(at_s * 1e6),
        produced=int(produced_s * 1e6),
        observation_id=f"{evidence}/{produced_s}",
        evidence_ref=evidence,
        source="test",
    )


def message(
    value: Any,
    *,
    primitive: str = "motor.keystroke_cadence",
    evidence: str = "shard:d/ssh/2026-01-01.jsonl#1",
    at_s: float = START_S,
    attacker: UUID | None = ATTACKER,
    **changed: Any,
) -> Envelope:
    """Return a message as a sensor publishes it; `changed` replaces fields of its payload."""
    payload = {
        "v": 1,
        "id": f"{evidence}:{primitive}",
        "ts": at_s + 1,
        "primitive": primitive,
        "value": value,
        "confidence": 0.9,
        "window": {"start_ts": at_s - 60, "end_ts": at_s},
        "source": "test",
        "evidence_ref": evidence,
        "identity_ref": None,
        "attacker_uuid": None if attacker is None else str(attacker),
    }
    return Envelope(
        topic=f"attacker.observation.{primitive}", type=primitive, payload=payload | changed
    )
