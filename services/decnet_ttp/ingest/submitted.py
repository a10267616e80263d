# SPDX-License-Identifier: AGPL-3.0-or-later
"""What events by call say to the directory, told by the code that tells it of messages.

A group is read back into the payload of the message it could have come from: the parts of its
session become one, every other event one of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from decnet_ttp.core.source_kinds import SourceKind
from decnet_ttp.ingest.batch import Upstream
from decnet_ttp.ingest.directory_update import DirectoryUpdate
from decnet_ttp.ingest.inputs.fingerprints import FINGERPRINTED
from decnet_ttp.ingest.inputs.intel import INTEL_ENRICHED
from decnet_ttp.ingest.inputs.sessions import SESSION_ENDED
from decnet_ttp.ingest.inputs.telling import tell_attacker
from decnet_ttp.v1 import event_pb2

#: Parts of a session whose number counts, and parts that are read.
_COUNTED = {"command": "command_count", "auth_attempt": "auth_attempt_count"}
_LISTED = {"http_request": "http_requests", "file": "payloads"}


def group_payload(group: event_pb2.EventGroup) -> dict[str, Any]:
    """Return what a group says of its session, by the names that producers use."""
    payload: dict[str, Any] = {"session_id": group.session_id, "decky_id": group.decky_id}
    for event in group.events:
        part = event.WhichOneof("payload")
        if part in _COUNTED:
            payload[_COUNTED[part]] = payload.get(_COUNTED[part], 0) + 1
            payload.setdefault("service", getattr(event, part).service)
        elif part in _LISTED:
            fields = _fields(event)
            # A map has no order, which is what would be told of it.
            fields.pop("headers", None)
            payload.setdefault(_LISTED[part], []).append(fields)
    for event in group.events:
        if event.WhichOneof("payload") == "session":
            for name, value in _fields(event).items():
                if name.endswith("_count") and isinstance(value, int):
                    payload[name] = max(value, payload.get(name, 0))
                elif name not in {"session_id", "decky_id"}:
                    payload[name] = value
    for name, at_s in zip(("started_at", "ended_at"), _span(group.events), strict=False):
        payload.setdefault(name, at_s)
    return payload


def tell_group(upstream: Upstream, group: event_pb2.EventGroup, update: DirectoryUpdate) -> None:
    """Tell what a group says.

    Args:
        upstream: The group as a message, with the payload of `group_payload`.
        group: The group.
        update: Where it is told.
    """
    # A message without a session would be one of an attacker that was seen.
    SESSION_ENDED.tell(upstream, update)
    for event in group.events:
        part = event.WhichOneof("payload")
        if part is None or part in _COUNTED or part in _LISTED or part == "session":
            continue
        payload = {**_fields(event), "decky_id": group.decky_id}
        for at_s in _span([event])[:1]:
            payload.setdefault("observed_at", at_s)
        single = replace(upstream, payload=payload, kind=event.source_kind)
        if part == "intel":
            INTEL_ENRICHED.tell(single, update)
        elif part in {"http_fingerprint", "ipv6_leak"}:
            FINGERPRINTED.tell(single, update)
        elif event.source_kind != SourceKind.IDENTITY:
            tell_attacker(single, update)


def _fields(event: event_pb2.Event) -> dict[str, Any]:
    """Return the fields of an event that are set, typed ones before others of the same name."""
    typed = getattr(event, str(event.WhichOneof("payload")))
    found = dict(_plain(event.extra))
    if isinstance(typed, type(event.extra)):
        return found | dict(_plain(typed))
    for field, value in typed.ListFields():
        found[field.name] = _value(value)
    return found


def _value(value: Any) -> Any:
    if isinstance(value, str | bool | int | float):
        return value
    # Maps have items, lists have none.
    return dict(value.items()) if hasattr(value, "items") else list(value)


def _plain(struct: Message) -> Iterator[tuple[str, Any]]:
    """Yield the entries of a Struct, whole numbers as such."""
    for name, value in MessageToDict(struct).items():
        whole = isinstance(value, float) and value.is_integer()
        yield name, int(value) if whole else value


def _span(events: Any) -> list[float]:
    """Return first and last time of events in seconds since the epoch; empty where none has any."""
    stamps: list[Timestamp] = [
        each.observe_time for each in events if each.HasField("observe_time")
    ]
    times = sorted(each.seconds + each.nanos / 1e9 for each in stamps)
    return [times[0], times[-1]] if times else []
