# SPDX-License-Identifier: AGPL-3.0-or-later
"""How answers are shown: tables for people, proto JSON for programs."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click
import orjson

if TYPE_CHECKING:
    from google.protobuf.message import Message
    from google.protobuf.timestamp_pb2 import Timestamp


def json_option(command: Any) -> Any:
    """Add `--json`."""
    return click.option(
        "--json", "as_json", is_flag=True, help="Print the answer as JSON instead of a table."
    )(command)


def message_dict(message: Message) -> dict[str, Any]:
    """Return a message in proto JSON with the protos' own field names and all plain fields."""
    from google.protobuf.json_format import MessageToDict

    found: dict[str, Any] = MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    return found


def print_messages(messages: Iterable[Message]) -> None:
    """Print a list of messages as one JSON array."""
    print_json([message_dict(message) for message in messages])


def print_json(value: Any) -> None:
    """Print a value as indented JSON."""
    sys.stdout.write(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode() + "\n")


def moment(stamp: Timestamp | None) -> str:
    """Return a time for people, in UTC, to the second; a dash for none."""
    if stamp is None or (stamp.seconds == 0 and stamp.nanos == 0):
        return "-"
    return datetime.fromtimestamp(stamp.seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")


def printable(text: str, width: int) -> str:
    """Return an attacker's text fit for a terminal: one line, no control characters, cut."""
    shown = "".join(char if char.isprintable() else "·" for char in text)
    return shown if len(shown) <= width else shown[: width - 1] + "…"


def bar(value: float, top: float, width: int = 12) -> str:
    """Return a bar whose length is a share of the largest value, in eighths of a cell."""
    if top <= 0:
        return ""
    eighths = max(1, round(value / top * width * 8)) if value > 0 else 0
    full, rest = divmod(eighths, 8)
    return "█" * full + (" ▏▎▍▌▋▊▉"[rest] if rest else "")


def print_table(
    columns: Sequence[tuple[str, str]], rows: Sequence[Sequence[str]], *, empty: str
) -> None:
    """Print a table: with lines and colour on a terminal, tab-separated when piped.

    Args:
        columns: Heading and alignment ("left" or "right") of each column.
        rows: Cells.
        empty: What to say on standard error when there are no rows.
    """
    if not rows:
        click.echo(empty, err=True)
        return
    if not sys.stdout.isatty():
        sys.stdout.write("\t".join(heading for heading, _ in columns) + "\n")
        for row in rows:
            sys.stdout.write("\t".join(row) + "\n")
        return
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, header_style="bold", pad_edge=False)
    for heading, align in columns:
        table.add_column(heading, justify="right" if align == "right" else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    Console().print(table)
