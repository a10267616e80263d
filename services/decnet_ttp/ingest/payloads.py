# SPDX-License-Identifier: AGPL-3.0-or-later
"""From a producer's JSON to the typed payload of an event, in one place.

A field of the wrong type counts as absent. A field we have no place for travels in `extra`, where
rules can match it by name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from decnet_ttp.core.source_kinds import PAYLOAD_FIELD, SourceKind
from decnet_ttp.v1 import event_pb2

#: Longest text of one field, in characters; more is cut.
MAX_TEXT = 1024 * 1024

#: Deepest nesting of an extra field, and how many members a list or object keeps.
_MAX_DEPTH = 8
_MAX_MEMBERS = 1_000

_INT64 = 2**63

Setter = Callable[[Message, Any], bool]


def _text(name: str) -> Setter:
    def put(message: Message, value: Any) -> bool:
        if isinstance(value, str):
            setattr(message, name, value[:MAX_TEXT])
            return True
        return value is None

    return put


def _scalar(name: str, check: Callable[[Any], bool]) -> Setter:
    def put(message: Message, value: Any) -> bool:
        if check(value):
            setattr(message, name, value)
            return True
        return value is None

    return put


def _texts(name: str) -> Setter:
    def put(message: Message, value: Any) -> bool:
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            getattr(message, name).extend(item[:MAX_TEXT] for item in value[:_MAX_MEMBERS])
            return True
        return value is None

    return put


def _integers(name: str) -> Setter:
    def put(message: Message, value: Any) -> bool:
        if isinstance(value, list) and all(_is_int32(item) for item in value):
            getattr(message, name).extend(value[:_MAX_MEMBERS])
            return True
        return value is None

    return put


def _text_map(name: str) -> Setter:
    def put(message: Message, value: Any) -> bool:
        if isinstance(value, dict) and all(isinstance(item, str) for item in value.values()):
            into = getattr(message, name)
            for key in list(value)[:_MAX_MEMBERS]:
                into[key] = value[key][:MAX_TEXT]
            return True
        return value is None

    return put


def _is_int32(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and -(2**31) <= value < 2**31


def _is_int64(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and -_INT64 <= value < _INT64


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_bool(value: Any) -> bool:
    return isinstance(value, bool)


_CHECKS: dict[int, Callable[[Any], bool]] = {
    FieldDescriptor.CPPTYPE_BOOL: _is_bool,
    FieldDescriptor.CPPTYPE_DOUBLE: _is_number,
    FieldDescriptor.CPPTYPE_INT32: _is_int32,
    FieldDescriptor.CPPTYPE_INT64: _is_int64,
}


def _setter(descriptor: Any) -> Setter:
    name = descriptor.name
    if descriptor.message_type is not None:
        return _text_map(name)
    if descriptor.is_repeated:
        text = descriptor.cpp_type == FieldDescriptor.CPPTYPE_STRING
        return _texts(name) if text else _integers(name)
    if descriptor.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        return _text(name)
    return _scalar(name, _CHECKS[descriptor.cpp_type])


def _setters() -> dict[str, tuple[str, dict[str, Setter]]]:
    event = event_pb2.Event.DESCRIPTOR
    found = {}
    for kind in SourceKind:
        member = PAYLOAD_FIELD[kind]
        message: Any = event.fields_by_name[member].message_type
        found[str(kind)] = (member, {field.name: _setter(field) for field in message.fields})
    return found


_SETTERS = _setters()


def _bounded(value: Any, depth: int = 0) -> Any:
    """Return a JSON value that a Struct can hold within our bounds."""
    match value:
        case str():
            return value[:MAX_TEXT]
        case bool() | None:
            return value
        case int() | float():
            return float(value)
        case list() if depth < _MAX_DEPTH:
            return [_bounded(item, depth + 1) for item in value[:_MAX_MEMBERS]]
        case dict() if depth < _MAX_DEPTH:
            return {key: _bounded(value[key], depth + 1) for key in list(value)[:_MAX_MEMBERS]}
        case _:
            return None


def fill(event: event_pb2.Event, kind: str, body: Mapping[str, Any], skip: frozenset[str]) -> int:
    """Write a producer's fields into an event.

    Args:
        event: Gets its source_kind and payload.
        kind: Kind of the event; one that is not known travels whole in `other`.
        body: The producer's JSON object.
        skip: Fields that are no part of the payload (ids, times, anchors, nested lists).

    Returns:
        How many fields had the wrong type.
    """
    event.source_kind = kind
    known = _SETTERS.get(kind)
    if known is None:
        event.other.update({key: _bounded(body[key]) for key in body if key not in skip})
        return 0
    member, setters = known
    payload: Message = getattr(event, member)
    payload.SetInParent()
    wrong = 0
    extra: dict[str, Any] | None = None
    for key, value in body.items():
        setter = setters.get(key)
        if setter is not None:
            wrong += not setter(payload, value)
        elif key not in skip and value is not None:
            extra = extra or {}
            extra[key] = _bounded(value)
    if extra:
        event.extra.update(extra)
    return wrong
