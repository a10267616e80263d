# SPDX-License-Identifier: AGPL-3.0-or-later
"""New tags as the bytes of PostgreSQL's binary COPY, made here.

The driver encodes every value of every row through a codec of its type. But most columns of a tag
say the same as those of another tag of its message or rule, so that they are encoded once; what
remains costs one `struct.pack` a row. The format is that of PostgreSQL's documentation of COPY,
"Binary Format": each field is its length and its bytes, -1 stands for NULL.
"""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator, Container, Iterable
from typing import Any
from uuid import UUID

from decnet_ttp.tag_store.batch import MessageTags, TagRow

#: Columns in the order in which they are copied: those of the tag alone, of its rule, of its
#: message and of its batch.
COLUMNS = (
    *("uuid", "seq", "observed_at", "confidence", "confidence_fixed", "source_id", "evidence"),
    *("source_kind", "rule_id", "rule_version", "tactic", "technique_id", "sub_technique_id"),
    "attack_release",
    *("attacker_uuid", "identity_uuid", "session_id", "decky_id"),
    "created_at",
)

_START = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_END = struct.pack(">h", -1)
_NULL = struct.pack(">i", -1)
_LENGTH = struct.Struct(">i").pack
_INTEGER = struct.Struct(">ii").pack
_BIGINT = struct.Struct(">iq").pack
#: Count of fields; uuid, seq, observed_at, confidence, confidence_fixed; length of source_id.
_SEEN = struct.Struct(">hi16siqiqidi?i").pack
_UNSEEN = struct.Struct(">hi16siqiidi?i").pack
#: Rows that travel together.
_ROWS = 1_000


def _text(value: str | None) -> bytes:
    if value is None:
        return _NULL
    data = value.encode()
    return _LENGTH(len(data)) + data


def _uuid(value: UUID | None) -> bytes:
    return _NULL if value is None else _LENGTH(16) + value.bytes


def _of_rule(row: TagRow) -> bytes:
    return (
        _text(row.source_kind)
        + _text(row.rule_id)
        + _INTEGER(4, row.rule_version)
        + _text(row.tactic)
        + _text(row.technique_id)
        + _text(row.sub_technique_id)
        + _text(row.attack_release)
    )


def _of_message(row: TagRow) -> bytes:
    return (
        _uuid(row.attacker_uuid)
        + _uuid(row.identity_uuid)
        + _text(row.session_id)
        + _text(row.decky_id)
        + _BIGINT(8, row.created_at)
    )


def _encoded(messages: Iterable[MessageTags], known: Container[UUID]) -> list[tuple[bytes, bytes]]:
    """Return the rows that are not known, each behind its uuid, in the order of these."""
    rows: list[tuple[bytes, bytes]] = []
    of_rules: dict[tuple[str, str, int, str, str, str | None, str], bytes] = {}
    for message in messages:
        of_message = b""
        for row in message.rows:
            if row.uuid in known:
                continue
            of_message = of_message or _of_message(row)
            rule = (
                row.source_kind,
                row.rule_id,
                row.rule_version,
                row.tactic,
                row.technique_id,
                row.sub_technique_id,
                row.attack_release,
            )
            of_rule = of_rules.get(rule)
            if of_rule is None:
                of_rule = of_rules[rule] = _of_rule(row)
            uuid, seen = row.uuid.bytes, row.observed_at
            source_id, evidence = row.source_id.encode(), row.evidence
            sure, fixed, length = row.confidence, row.confidence_fixed, len(source_id)
            if seen is None:
                head = _UNSEEN(19, 16, uuid, 8, row.seq, -1, 8, sure, 1, fixed, length)
            else:
                head = _SEEN(19, 16, uuid, 8, row.seq, 8, seen, 8, sure, 1, fixed, length)
            parts = (head, source_id, _LENGTH(len(evidence)), evidence, of_rule, of_message)
            rows.append((uuid, b"".join(parts)))
    # Writers that take their rows in one order wait for each other, but never in a ring.
    rows.sort()
    return rows


async def _stream(rows: list[tuple[bytes, bytes]]) -> AsyncIterator[bytes]:
    yield _START
    for at in range(0, len(rows), _ROWS):
        yield b"".join([row for _, row in rows[at : at + _ROWS]])
    yield _END


async def copy_tags(
    connection: Any,
    table: str,
    messages: Iterable[MessageTags],
    *,
    known: Container[UUID] = frozenset(),
) -> None:
    """Copy the tags of some messages into a table, in the order of their uuids.

    Args:
        connection: Where.
        table: The table, with the columns of `tags`.
        messages: What to copy.
        known: Tags to leave out.

    Raises:
        asyncpg.PostgresError: The database does not take them, none of them.
    """
    rows = _encoded(messages, known)
    await connection.copy_to_table(table, source=_stream(rows), columns=COLUMNS, format="binary")
