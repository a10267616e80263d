# SPDX-License-Identifier: AGPL-3.0-or-later
"""The fields that rules may read, by source kind: those of event.proto, and derived ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any, Final, Literal

from google.protobuf.descriptor import FieldDescriptor

from decnet_ttp.core.source_kinds import PAYLOAD_FIELD, SourceKind
from decnet_ttp.matching.derived import DERIVED_FIELDS
from decnet_ttp.v1 import event_pb2

FieldType = Literal["text", "number", "boolean", "list of text", "list of numbers", "map of text"]


#: Field that a test reads when it names none.
DEFAULT_FIELD: Final[Mapping[str, str]] = MappingProxyType(
    {
        SourceKind.COMMAND: "command_text",
        SourceKind.HTTP_REQUEST: "raw_url",
        SourceKind.AUTH_ATTEMPT: "username",
        SourceKind.PAYLOAD: "payload_text",
        SourceKind.EMAIL: "subject",
    }
)


@dataclass(frozen=True, slots=True)
class PayloadField:
    """One typed field of a payload.

    Attributes:
        name: Its name in event.proto and in rules.
        type: What it holds.
    """

    name: str
    type: FieldType


def _field_type(field: Any) -> FieldType:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        return "map of text"
    if field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        return "list of text" if field.is_repeated else "text"
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return "boolean"
    return "list of numbers" if field.is_repeated else "number"


@cache
def payload_fields(kind: str) -> Mapping[str, PayloadField]:
    """Return the fields of one source kind by name, in the order of event.proto.

    Raises:
        ValueError: The kind has no typed payload.
    """
    member = event_pb2.Event.DESCRIPTOR.fields_by_name[PAYLOAD_FIELD[SourceKind(kind)]]
    payload = member.message_type
    if payload is None:
        raise ValueError(f"{kind} has no message in event.proto")
    return MappingProxyType({f.name: PayloadField(f.name, _field_type(f)) for f in payload.fields})


def field_names(kind: str) -> tuple[str, ...]:
    """Return the names that a rule may use for one source kind, derived fields last."""
    return (*payload_fields(kind), *DERIVED_FIELDS.get(kind, ()))


def find_field(kind: str, name: str) -> PayloadField | None:
    """Return the field that a name in a rule means; None when the kind has none such.

    ``headers.user-agent`` means one key of the map ``headers``.
    """
    if name in DERIVED_FIELDS.get(kind, ()):
        return PayloadField(name, "text")
    fields = payload_fields(kind)
    if name in fields:
        return fields[name]
    head, dot, key = name.partition(".")
    if dot and key and head in fields and fields[head].type == "map of text":
        return PayloadField(name, "text")
    return None


def field_table() -> str:
    """Return the fields of every source kind as a table in Markdown, for the manual."""
    lines = ["| source kind | field | what it holds |", "|---|---|---|"]
    for kind in SourceKind:
        for field in payload_fields(kind).values():
            default = ", read when a test names no field" if _is_default(kind, field) else ""
            lines.append(f"| {kind} | `{field.name}` | {field.type}{default} |")
        for name, derived in DERIVED_FIELDS.get(kind, {}).items():
            lines.append(f"| {kind} | `{name}` | text: {derived.doc} |")
    return "\n".join(lines)


def _is_default(kind: SourceKind, field: PayloadField) -> bool:
    return DEFAULT_FIELD.get(kind) == field.name
