# SPDX-License-Identifier: AGPL-3.0-or-later
"""What every input has in common."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from decnet_ttp.ingest.batch import Upstream
from decnet_ttp.ingest.directory_update import DirectoryUpdate
from decnet_ttp.ingest.fan_out import Sink, keep_time
from decnet_ttp.ingest.payloads import fill

#: Fields that place an event and are no part of what happened.
PLACE = frozenset(
    {
        "attacker_uuid",
        "identity_uuid",
        "attacker_ip",
        "session_id",
        "decky_id",
        "decky",
        "decky_name",
        "source_id",
        "id",
        "uuid",
    }
)
TIMES = frozenset({"ts", "started_at", "ended_at", "observed_at", "timestamp", "seen_at"})
SKIP = PLACE | TIMES

_DIGEST_HEX = 32


@dataclass(frozen=True, slots=True)
class Input:
    """How the messages of one subject are read.

    Attributes:
        read_anchor: Reads whom a message is about into it; returns whether anybody is named.
        parts: Returns the message once for each anchor it is about, all of them known; nothing
            while somebody is not.
        write: Writes the events of one part; returns how many fields had the wrong type.
        tell: Tells the directory what the message says of attackers, identities or campaigns.
    """

    read_anchor: Callable[[Upstream], bool]
    parts: Callable[[Upstream], Sequence[Upstream]]
    write: Callable[[Upstream, Sink], int]
    tell: Callable[[Upstream, DirectoryUpdate], None]


def itself(upstream: Upstream) -> Sequence[Upstream]:
    """Return a message that is about one anchor as its only part."""
    return (upstream,) if upstream.anchored else ()


def the_message(upstream: Upstream) -> Sequence[Upstream]:
    """Return a message that says something to the directory alone."""
    return (upstream,)


def no_events(_upstream: Upstream, _sink: Sink) -> int:
    """Write no events."""
    return 0


def subject_of(upstream: Upstream) -> str:
    """Return the anchor as a part of ids: the attacker where there is one."""
    return upstream.attacker_uuid or upstream.identity_uuid


def digest(value: Any) -> str:
    """Return a digest of a JSON value, the same however its keys are ordered."""
    plain = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(plain.encode()).hexdigest()[:_DIGEST_HEX]


def put(
    sink: Sink,
    kind: str,
    body: Mapping[str, Any],
    source_id: str,
    *times: Any,
    skip: frozenset[str] = SKIP,
) -> int:
    """Write one event for everyone who takes its kind.

    Args:
        sink: Gives the events to fill in.
        kind: Kind of the event.
        body: Its fields.
        source_id: Its identifier.
        times: Candidates for its time, the best first.
        skip: Fields of the body that are no part of the payload.

    Returns:
        How many fields had the wrong type.
    """
    wrong = 0
    for event in sink(kind):
        wrong = fill(event, kind, body, skip)
        event.source_id = source_id
        keep_time(event, *times)
    return wrong
