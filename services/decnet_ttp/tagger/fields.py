# SPDX-License-Identifier: AGPL-3.0-or-later
"""Reading what a producer sent beside the typed fields of an event; wrong types are absent."""

from __future__ import annotations

from google.protobuf.struct_pb2 import Value

from decnet_ttp.v1 import event_pb2

#: Longest text of an event that may enter evidence as a name.
MAX_NAME = 256


def _extra(event: event_pb2.Event, name: str, kind: str) -> Value | None:
    # Asking first: reading a key of a Struct's map that is not there would add it.
    if not event.HasField("extra") or name not in event.extra.fields:
        return None
    value = event.extra.fields[name]
    return value if value.WhichOneof("kind") == kind else None


def extra_text(event: event_pb2.Event, *names: str) -> str:
    """Return the first of some extra fields that is a non-empty text, else an empty one."""
    for name in names:
        value = _extra(event, name, "string_value")
        if value is not None and value.string_value:
            return value.string_value
    return ""


def extra_number(event: event_pb2.Event, name: str) -> float | None:
    """Return an extra field that is a number."""
    value = _extra(event, name, "number_value")
    return None if value is None else value.number_value


def extra_flag(event: event_pb2.Event, name: str) -> bool:
    """Return whether an extra field is true; the number 1 is not."""
    value = _extra(event, name, "bool_value")
    return value is not None and value.bool_value
