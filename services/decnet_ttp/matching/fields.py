# SPDX-License-Identifier: AGPL-3.0-or-later
"""Reading a field of an event by the name a rule gives it.

A name means, in this order: a derived field; a typed field of the payload (a list gives each of
its members, a map each of its values, ``headers.user-agent`` one value whatever its case); what
the producer sent beside the typed fields, by dotted name, with or without ``extra.`` before it.
Kinds without a typed payload are read from `Event.other` first. An empty text, a zero without
presence, and a value of the wrong type are absent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.struct_pb2 import Struct, Value

from decnet_ttp.core.source_kinds import PAYLOAD_FIELD, SourceKind
from decnet_ttp.matching.derived import DERIVED_FIELDS, DerivedField
from decnet_ttp.v1 import event_pb2

#: Prefix that names what a producer sent beside the typed fields.
EXTRA_PREFIX: Final = "extra."

#: Text beyond this many characters is not searched.
MAX_HAYSTACK_CHARS: Final = 1024 * 1024

#: Members of one list or map that are read.
_MAX_MEMBERS: Final = 10_000

Scalar = str | int | float | bool

#: Returns the values of one field; the first argument is the payload message of the event.
Reader = Callable[[Any, event_pb2.Event], Sequence[Scalar]]

_KINDS: Final = frozenset(SourceKind)


def payload_member(kind: str) -> str:
    """Return the member of `Event.payload` that holds a kind; ``other`` for one without."""
    return PAYLOAD_FIELD[SourceKind(kind)] if kind in _KINDS else "other"


@lru_cache(maxsize=1_024)
def reader(kind: str, name: str) -> Reader:
    """Return the reader of a field.

    Args:
        kind: The source kind, known or not.
        name: The field as a rule names it.
    """
    if name.startswith(EXTRA_PREFIX):
        return _extra(name.removeprefix(EXTRA_PREFIX))
    if kind not in _KINDS:
        return _other(name)
    if (derived := DERIVED_FIELDS.get(kind, {}).get(name)) is not None:
        return _derived(derived)
    payload = event_pb2.Event.DESCRIPTOR.fields_by_name[payload_member(kind)].message_type
    fields: Mapping[str, Any] = payload.fields_by_name if payload else {}
    field = fields.get(name)
    if field is not None:
        return _typed(field)
    head, dot, key = name.partition(".")
    mapped = fields.get(head)
    if dot and mapped is not None and _is_map(mapped):
        return _map_key(head, key)
    return _extra(name)


@lru_cache(maxsize=1_024)
def parts_read(kind: str, name: str) -> frozenset[str]:
    """Return the parts of an event that the reader of a field looks at.

    Args:
        kind: The source kind, known or not.
        name: The field as a rule names it.

    Returns:
        Names of typed fields, and of others with ``extra.`` before them.
    """
    name = name.removeprefix(EXTRA_PREFIX) if (sent := name.startswith(EXTRA_PREFIX)) else name
    head = name.partition(".")[0]
    if not sent and kind in _KINDS:
        if (derived := DERIVED_FIELDS.get(kind, {}).get(name)) is not None:
            return frozenset({derived.origin})
        payload = event_pb2.Event.DESCRIPTOR.fields_by_name[payload_member(kind)].message_type
        fields: Mapping[str, Any] = payload.fields_by_name if payload else {}
        if name in fields or (head != name and head in fields and _is_map(fields[head])):
            return frozenset({name if name in fields else head})
    return frozenset({EXTRA_PREFIX + name, EXTRA_PREFIX + head})


def _is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def _typed(field: FieldDescriptor) -> Reader:
    name = field.name
    if _is_map(field):
        return lambda payload, _: [
            v for v in list(getattr(payload, name).values())[:_MAX_MEMBERS] if v
        ]
    if field.is_repeated:
        return lambda payload, _: getattr(payload, name)[:_MAX_MEMBERS]
    if field.has_presence:
        return lambda payload, _: (getattr(payload, name),) if payload.HasField(name) else ()

    def read(payload: Any, _: event_pb2.Event) -> Sequence[Scalar]:
        value = getattr(payload, name)
        return (value,) if value else ()

    return read


def _derived(field: DerivedField) -> Reader:
    origin, derive = field.origin, field.derive

    def read(payload: Any, _: event_pb2.Event) -> Sequence[Scalar]:
        text = getattr(payload, origin)
        return (derive(text[:MAX_HAYSTACK_CHARS]),) if text else ()

    return read


def _map_key(name: str, key: str) -> Reader:
    folded = key.casefold()

    def read(payload: Any, _: event_pb2.Event) -> Sequence[Scalar]:
        return [
            value for each, value in getattr(payload, name).items() if each.casefold() == folded
        ]

    return read


def _extra(name: str) -> Reader:
    path = tuple(name.split("."))

    def read(_: Any, event: event_pb2.Event) -> Sequence[Scalar]:
        return _reach(event.extra, name, path) if event.HasField("extra") else ()

    return read


def _other(name: str) -> Reader:
    path = tuple(name.split("."))

    def read(payload: Any, event: event_pb2.Event) -> Sequence[Scalar]:
        found = _reach(payload, name, path)
        if not found and event.HasField("extra"):
            found = _reach(event.extra, name, path)
        return found

    return read


def _reach(struct: Struct, name: str, path: Sequence[str]) -> Sequence[Scalar]:
    # `fields[key]` would add the key, so membership is asked first.
    if name in struct.fields:
        return list(_scalars(struct.fields[name]))
    for step in path[:-1]:
        if step not in struct.fields:
            return ()
        value = struct.fields[step]
        if value.WhichOneof("kind") != "struct_value":
            return ()
        struct = value.struct_value
    return list(_scalars(struct.fields[path[-1]])) if path[-1] in struct.fields else ()


def _scalars(value: Value) -> Iterator[Scalar]:
    match value.WhichOneof("kind"):
        case "string_value":
            yield value.string_value
        case "number_value":
            yield value.number_value
        case "bool_value":
            yield value.bool_value
        case "list_value":
            for member in value.list_value.values[:_MAX_MEMBERS]:
                if member.WhichOneof("kind") in {"string_value", "number_value", "bool_value"}:
                    yield from _scalars(member)
