# SPDX-License-Identifier: AGPL-3.0-or-later
"""What one transaction takes in, and what becomes of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple
from uuid import UUID

from decnet_ttp.attribution.directory import Membership
from decnet_ttp.attribution.observations import Observation


@dataclass(frozen=True, slots=True)
class Parked:
    """A message that waits for its attacker to be known.

    Attributes:
        sequence: Its place in the input stream.
        subject: Subject it came on.
        body: Its bytes.
        attacker: Attacker it names.
        published: When the bus took it, microseconds since the epoch.
        attempts: How often the directory was asked.
        retry: When to ask again, microseconds since the epoch.
    """

    sequence: int
    subject: str
    body: bytes
    attacker: UUID
    published: int
    attempts: int
    retry: int


class Place(NamedTuple):
    """A place in the input stream.

    Attributes:
        stream_created: When the stream was made, microseconds since the epoch.
        sequence: The last message that was read.
    """

    stream_created: int
    sequence: int


@dataclass(slots=True)
class Batch:
    """What one transaction takes in.

    Attributes:
        observations: In the order of the stream.
        memberships: Identities of attackers that were not known before.
        refusals: Messages that were refused, by reason.
        parked: Messages to put aside.
        unparked: Places of messages that no longer wait.
        place: How far the stream is read with this batch; None when it comes from elsewhere.
    """

    observations: list[Observation] = field(default_factory=list)
    memberships: list[Membership] = field(default_factory=list)
    refusals: Counter[str] = field(default_factory=Counter)
    parked: list[Parked] = field(default_factory=list)
    unparked: list[int] = field(default_factory=list)
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class Recorded:
    """What became of a batch.

    Attributes:
        stored: Observations that were new or replaced an older version.
        transitions: Changes of state.
    """

    stored: int
    transitions: int
