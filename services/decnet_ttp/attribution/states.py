# SPDX-License-Identifier: AGPL-3.0-or-later
"""What a series of observations amounts to."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple
from uuid import UUID


class State(StrEnum):
    """Stability of a merged value; the texts are those on the wire."""

    UNKNOWN = "unknown"
    STABLE = "stable"
    DRIFTING = "drifting"
    CONFLICTED = "conflicted"
    MULTI_ACTOR = "multi_actor"


#: By their texts; an enumeration is slower to ask.
STATES = {state.value: state for state in State}


class Kind(StrEnum):
    """How the values of a primitive are to be read."""

    CATEGORICAL = "categorical"
    NUMERIC = "numeric"
    HASH = "hash"
    ARRAY = "array"
    FREE_STRING = "free_string"
    BOOL = "bool"


class Sample(NamedTuple):
    """One observation as the mergers see it; samples sort in the one order all agree on.

    Attributes:
        at: End of the observation window, microseconds since the epoch.
        key: Identity of the observation, which decides between equal times.
        value: Value as canonical JSON, so that equal values are equal texts, lists included.
    """

    at: int
    key: UUID
    value: str


class Merged(NamedTuple):
    """The state a merger arrives at.

    Attributes:
        value: Merged value as canonical JSON; None when nothing was observed.
        state: Stability of the value.
        confidence: 0 to 1.
    """

    value: str | None
    state: State
    confidence: float
