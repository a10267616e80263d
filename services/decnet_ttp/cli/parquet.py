# SPDX-License-Identifier: AGPL-3.0-or-later
"""Messages as Apache Parquet, a bounded number of rows in memory at a time.

The columns follow from the message: plain fields keep their type, times are microseconds in UTC,
a nested anchor becomes columns of its own, and every other message, list or map is JSON text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import IO, TYPE_CHECKING, Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from decnet_ttp.cli.output import message_dict
from decnet_ttp.core.errors import FailedPreconditionError

if TYPE_CHECKING:
    from types import ModuleType

#: Rows of a row group: what is held in memory before it is written.
ROWS_AT_ONCE = 20_000

_TIMESTAMP = Timestamp.DESCRIPTOR.full_name
_FLAT = frozenset({"decnet_ttp.v1.Anchor"})
_MICROS = 1_000_000

_Reader = Callable[[Any], Any]


class ParquetMissingError(FailedPreconditionError):
    """The library that writes Parquet is not installed."""

    reason = "PARQUET_MISSING"


def _arrow() -> tuple[ModuleType, ModuleType]:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise ParquetMissingError(
            "Parquet needs pyarrow, which is not installed; install decnet-ttp[parquet], or use "
            "--format jsonl"
        ) from error
    return pa, parquet


def _moment(stamp: Timestamp) -> int | None:
    if not (stamp.seconds or stamp.nanos):
        return None
    return stamp.seconds * _MICROS + stamp.nanos // 1_000


def _json(value: Any) -> str | None:
    import orjson

    if isinstance(value, Message):
        return orjson.dumps(message_dict(value)).decode() if value.ByteSize() else None
    entries = [message_dict(each) if isinstance(each, Message) else each for each in value]
    return orjson.dumps(entries).decode() if entries else None


def _columns(arrow: ModuleType, descriptor: Any, path: str = "") -> list[tuple[str, Any, _Reader]]:
    """Return name, type and reader of each column of a message."""
    plain = {
        FieldDescriptor.CPPTYPE_STRING: arrow.string(),
        FieldDescriptor.CPPTYPE_DOUBLE: arrow.float64(),
        FieldDescriptor.CPPTYPE_BOOL: arrow.bool_(),
        FieldDescriptor.CPPTYPE_INT32: arrow.int32(),
        FieldDescriptor.CPPTYPE_INT64: arrow.int64(),
        FieldDescriptor.CPPTYPE_ENUM: arrow.int32(),
    }
    found: list[tuple[str, Any, _Reader]] = []
    for field in descriptor.fields:
        name = f"{path}{field.name}"
        get = attrgetter(name)
        kind = field.message_type
        if field.is_repeated:
            found.append((field.name, arrow.string(), _after(get, _json)))
        elif kind is None:
            found.append((field.name, plain[field.cpp_type], get))
        elif kind.full_name == _TIMESTAMP:
            stamp = arrow.timestamp("us", tz="UTC")
            found.append((field.name, stamp, _after(get, _moment)))
        elif kind.full_name in _FLAT:
            found += _columns(arrow, kind, f"{name}.")
        else:
            found.append((field.name, arrow.string(), _after(get, _json)))
    return found


def _after(get: _Reader, read: _Reader) -> _Reader:
    return lambda row: read(get(row))


class ParquetFile:
    """A Parquet file that is written while rows come.

    Args:
        output: Where to; need not be seekable.
        descriptor: Of the messages.
        first: Columns before those of the message, texts.

    Raises:
        ParquetMissingError: pyarrow is not installed.
    """

    def __init__(self, output: IO[bytes], descriptor: Any, first: Iterable[str] = ()) -> None:
        self._arrow, parquet = _arrow()
        self._first = list(first)
        self._columns = _columns(self._arrow, descriptor)
        text = self._arrow.string()
        self._schema = self._arrow.schema(
            [
                *((name, text) for name in self._first),
                *((name, kind) for name, kind, _ in self._columns),
            ]
        )
        self._writer = parquet.ParquetWriter(output, self._schema, compression="zstd")
        self._rows: list[tuple[tuple[str, ...], Any]] = []

    def write(self, message: Message, *first: str) -> None:
        """Add a row: a message, after the texts of the columns before it."""
        self._rows.append((first, message))
        if len(self._rows) >= ROWS_AT_ONCE:
            self._flush()

    def close(self) -> None:
        """Write what is left, and the end of the file."""
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        if not self._rows:
            return
        columns = [[first[at] for first, _ in self._rows] for at in range(len(self._first))]
        columns += [[read(row) for _, row in self._rows] for _, _, read in self._columns]
        arrays = [
            self._arrow.array(values, type=field.type)
            for values, field in zip(columns, self._schema, strict=True)
        ]
        self._writer.write_batch(self._arrow.record_batch(arrays, schema=self._schema))
        self._rows.clear()
