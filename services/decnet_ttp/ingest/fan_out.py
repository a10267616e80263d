# SPDX-License-Identifier: AGPL-3.0-or-later
"""From one upstream message to its events, written straight into the requests of the taggers.

A session becomes one `session` event and one event for each command, HTTP request, log-in attempt
and file it carries.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from decnet_ttp.core.source_kinds import SourceKind
from decnet_ttp.ingest.aggregates import AttemptCounts, complete_session
from decnet_ttp.ingest.fields import identifier, joined_id
from decnet_ttp.ingest.moments import read_moment
from decnet_ttp.ingest.payloads import fill
from decnet_ttp.v1 import event_pb2

#: Where events of one kind go: a fresh event in every request that takes that kind.
Sink = Callable[[str], Sequence[event_pb2.Event]]

_ANCHORS = frozenset(
    {"attacker_uuid", "identity_uuid", "attacker_ip", "session_id", "decky_id", "source_id"}
)
_TIMES = frozenset({"ts", "started_at", "ended_at", "observed_at", "timestamp"})
_LISTS = frozenset({"commands", "auth_attempts", "http_requests", "payloads"})
_IDS = frozenset({"id", "uuid", "command_id"})

_SESSION_SKIP = (
    _ANCHORS
    | _TIMES
    | _LISTS
    | {
        "closed",
        "shard_path",
        "kex_order",
        "told_before",
    }
)
_PART_SKIP = _ANCHORS | _TIMES | _IDS | {"decky"}


@dataclass(frozen=True, slots=True)
class _Part:
    """How the entries of one list of a session become events."""

    field: str
    kind: SourceKind
    suffix: str
    text_field: str = ""


_PARTS = (
    _Part("commands", SourceKind.COMMAND, "cmd", "command_text"),
    _Part("http_requests", SourceKind.HTTP_REQUEST, "http", "raw_url"),
    _Part("auth_attempts", SourceKind.AUTH_ATTEMPT, "auth"),
    _Part("payloads", SourceKind.PAYLOAD, "payload"),
)


def session_source_id(payload: Mapping[str, Any], fallback: str) -> str:
    """Return the id of a session's happening: source_id, else session_id, else the message's."""
    return identifier(payload.get("source_id")) or identifier(payload.get("session_id")) or fallback


def _entries(part: _Part, value: Any) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Yield position and object of each entry; shapes that are neither text nor object are none."""
    if not isinstance(value, list):
        return
    for index, entry in enumerate(value):
        if isinstance(entry, dict):
            if part.kind is SourceKind.COMMAND and "command_text" not in entry and "text" in entry:
                yield index, {**entry, "command_text": entry["text"]}
            else:
                yield index, entry
        elif isinstance(entry, str) and part.text_field:
            yield index, {part.text_field: entry}


def _entry_id(entry: Mapping[str, Any]) -> str:
    for key in ("id", "uuid", "command_id"):
        if key in entry and (found := identifier(entry[key])):
            return found
    return ""


def write_session(payload: Mapping[str, Any], origin_id: str, sink: Sink) -> int:
    """Write the events of an `attacker.session.ended` message.

    Args:
        payload: The producer's JSON object. Lists within its `told_before` are parts of the session
            that an earlier message told of.
        origin_id: Identifier of the message.
        sink: Gives the events to fill in, by kind; none where nobody takes the kind.

    Returns:
        How many fields had the wrong type and count as absent.
    """
    base = session_source_id(payload, origin_id)
    ended = payload.get("ended_at")
    wrong = 0
    for event in sink(SourceKind.SESSION):
        wrong = fill(event, SourceKind.SESSION, payload, _SESSION_SKIP)
        complete_session(event.session, payload)
        event.source_id = base
        if not read_moment(payload.get("started_at"), event.observe_time):
            keep_time(event, ended)
    before = payload.get("told_before")
    if isinstance(before, dict):
        wrong += _write_parts(before, base, ended, sink, told_before=True)
    return wrong + _write_parts(payload, base, ended, sink)


def _write_parts(
    payload: Mapping[str, Any], base: str, ended: Any, sink: Sink, *, told_before: bool = False
) -> int:
    """Write the entries of the lists of a session; returns how many fields had the wrong type."""
    wrong = 0
    for part in _PARTS:
        value = payload.get(part.field)
        if not value:
            continue
        attempts = AttemptCounts() if part.kind is SourceKind.AUTH_ATTEMPT else None
        for index, entry in _entries(part, value):
            bad = 0
            if attempts is not None:
                attempts.count(entry)
            for event in sink(part.kind):
                bad = fill(event, part.kind, entry, _PART_SKIP)
                event.source_id = _entry_id(entry) or joined_id(base, f"#{part.suffix}{index}")
                event.told_before = told_before
                if attempts is not None:
                    attempts.complete(event.auth_attempt)
                keep_time(event, entry.get("ts"), ended)
            wrong += bad
    return wrong


def keep_time(event: event_pb2.Event, *candidates: Any) -> None:
    """Set the time of an event from the first candidate that is one; absent when none is."""
    for candidate in candidates:
        if candidate is not None and read_moment(candidate, event.observe_time):
            return
    event.ClearField("observe_time")
