# SPDX-License-Identifier: AGPL-3.0-or-later
"""Rows to messages."""

from __future__ import annotations

from typing import Any

import orjson
from google.protobuf import json_format, struct_pb2
from google.protobuf.timestamp_pb2 import Timestamp

from decnet_ttp.v1 import attribution_service_pb2 as pb

_STATES = {
    None: pb.STATE_KIND_UNSPECIFIED,
    "unknown": pb.STATE_KIND_UNKNOWN,
    "stable": pb.STATE_KIND_STABLE,
    "drifting": pb.STATE_KIND_DRIFTING,
    "conflicted": pb.STATE_KIND_CONFLICTED,
    "multi_actor": pb.STATE_KIND_MULTI_ACTOR,
}


def _stamp(micros: int) -> Timestamp:
    seconds, rest = divmod(micros, 1_000_000)
    return Timestamp(seconds=seconds, nanos=rest * 1_000)


def _value(text: str | None) -> struct_pb2.Value | None:
    """Return canonical JSON as a message; JSON of unusual depth is passed on as text."""
    if text is None:
        return None
    try:
        return json_format.ParseDict(orjson.loads(text), struct_pb2.Value(), max_recursion_depth=50)
    except json_format.ParseError:
        return struct_pb2.Value(string_value=text)


def primitive_state(row: Any) -> pb.PrimitiveState:
    """Return a state of a profile."""
    return pb.PrimitiveState(
        primitive=row["primitive"],
        value=_value(row["value"]),
        state=_STATES[row["state"]],
        confidence=row["confidence"],
        observation_count=row["observation_count"],
        last_change_time=_stamp(row["changed_at"]),
        last_observation_time=_stamp(row["observed_at"]),
    )


def state_change(row: Any) -> pb.StateChange:
    """Return a change of state."""
    return pb.StateChange(
        primitive=row["primitive"],
        old_state=_STATES[row["old_state"]],
        new_state=_STATES[row["new_state"]],
        change_time=_stamp(row["changed_at"]),
    )


def suspect(row: Any) -> pb.MultiActorSuspect:
    """Return a suspect."""
    return pb.MultiActorSuspect(
        identity_uuid=str(row["identity_uuid"]),
        primitives=row["primitives"],
        confidence=row["confidence"],
        suspect_time=_stamp(row["suspected_at"]),
    )


def observation(row: Any) -> pb.Observation:
    """Return an observation."""
    return pb.Observation(
        observation_id=row["observation_id"],
        primitive=row["primitive"],
        value=_value(row["value"]),
        confidence=row["confidence"],
        attacker_uuid=str(row["attacker_uuid"]),
        evidence_ref=row["evidence_ref"],
        observe_time=_stamp(row["observed_at"]),
    )
