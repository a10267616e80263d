# SPDX-License-Identifier: AGPL-3.0-or-later
"""How answers are shown: tables for people, tab-separated text and proto JSON for programs.

Whatever comes from outside (an attacker's command, a sensor's session id, a name in a catalogue)
reaches the output without control characters, in every form.
"""

from __future__ import annotations

import io
import re
import shutil
import sys
from collections.abc import AsyncIterable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click
import orjson

if TYPE_CHECKING:
    from google.protobuf.message import Message
    from google.protobuf.timestamp_pb2 import Timestamp
    from rich.text import Text

#: What stands for a character that must not reach a terminal.
HIDDEN = "·"

_NOT_PLAIN_ASCII = re.compile(r"[^\x20-\x7e\n]")

_HIGH_CONFIDENCE, _MEDIUM_CONFIDENCE = 0.85, 0.6


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell with a look on a terminal; piped, only its text counts.

    Attributes:
        text: What it says.
        style: Style of the whole, as rich names them ("bold", "cyan").
        marks: Spans (first character, character after the last) to be highlighted.
    """

    text: str
    style: str = ""
    marks: tuple[tuple[int, int], ...] = ()


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


async def stream_messages(messages: AsyncIterable[Message]) -> None:
    """Print messages as one JSON array, each as it comes; the same text print_messages gives.

    When the source fails midway the array stays open, so that no program takes it for complete.
    """
    separator = "[\n  "
    async for message in messages:
        text = json_text(message_dict(message), indent=True).replace("\n", "\n  ")
        sys.stdout.write(separator + text)
        separator = ",\n  "
    sys.stdout.write("[]\n" if separator.startswith("[") else "\n]\n")


def print_json(value: Any) -> None:
    """Print a value as indented JSON."""
    sys.stdout.write(json_text(value, indent=True) + "\n")


def json_text(value: Any, *, indent: bool = False) -> str:
    r"""Return JSON in which every character that a terminal could act on stands as \\uXXXX."""
    text = orjson.dumps(value, option=orjson.OPT_INDENT_2 if indent else None).decode()
    return _NOT_PLAIN_ASCII.sub(_escaped, text)


def _escaped(match: re.Match[str]) -> str:
    char = match[0]
    if char.isprintable() and (sys.stdout.encoding or "").lower().startswith("utf"):
        return char
    units = char.encode("utf-16-be")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))


def moment(stamp: Timestamp | None) -> str:
    """Return a time for people, in UTC, to the second; a dash for none."""
    if stamp is None or (stamp.seconds == 0 and stamp.nanos == 0):
        return "-"
    return moment_of(float(stamp.seconds))


def moment_of(epoch_s: float) -> str:
    """Return a time in seconds since the epoch as moment does; a dash for what is no time."""
    try:
        return datetime.fromtimestamp(epoch_s, UTC).strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError, OSError):
        return "-"


def one_line(text: str) -> str:
    """Return a text fit for a terminal: control and formatting characters become a dot."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else HIDDEN for char in text)


def printable(text: str, width: int) -> str:
    """Return an attacker's text fit for a terminal: one line, no control characters, cut."""
    shown = one_line(text)
    return shown if len(shown) <= width else shown[: width - 1] + "…"


def bar(value: float, top: float, width: int = 12) -> str:
    """Return a bar whose length is a share of the largest value, in eighths of a cell."""
    if top <= 0:
        return ""
    eighths = max(1, round(value / top * width * 8)) if value > 0 else 0
    full, rest = divmod(eighths, 8)
    return "█" * full + (" ▏▎▍▌▋▊▉"[rest] if rest else "")


def confidence_cell(confidence: float) -> Cell:
    """Return a confidence with two decimals, coloured by its band."""
    if confidence >= _HIGH_CONFIDENCE:
        style = "bold red"
    else:
        style = "yellow" if confidence >= _MEDIUM_CONFIDENCE else "dim"
    return Cell(f"{confidence:.2f}", style)


def on_terminal() -> bool:
    """Tell whether people read the output."""
    return sys.stdout.isatty()


def terminal_width() -> int:
    """Return the terminal's width in characters."""
    return shutil.get_terminal_size().columns


def print_table(
    columns: Sequence[tuple[str, str]], rows: Sequence[Sequence[str | Cell]], *, empty: str
) -> None:
    """Print a table: with lines and colour on a terminal, tab-separated when piped.

    Args:
        columns: Heading and alignment of each column: "left" and "right" may be folded, "fixed" and
            "number" (to the right) are never, and "bar" is drawn on a terminal only.
        rows: Cells.
        empty: What to say on standard error when there are no rows.
    """
    if not rows:
        click.echo(empty, err=True)
        return
    _accept_any_character()
    if not on_terminal():
        shown = [at for at, (_, align) in enumerate(columns) if align != "bar"]
        print_plain([columns[at][0] for at in shown])
        for row in rows:
            print_plain([row[at] for at in shown])
        return
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    table = Table(
        box=SIMPLE_HEAD, header_style="bold", padding=(0, 1, 0, 0), pad_edge=False, show_edge=False
    )
    for heading, align in columns:
        table.add_column(
            heading,
            justify="right" if align in {"right", "number"} else "left",
            overflow="fold" if align in {"left", "right"} else "ellipsis",
            no_wrap=align in {"fixed", "number", "bar"},
        )
    for row in rows:
        table.add_row(*(_text(cell) for cell in row))
    Console(highlight=False).print(table)


def print_records(
    columns: Sequence[str],
    records: Sequence[tuple[Sequence[str | Cell], Cell]],
) -> None:
    """Print two lines a record on a terminal: its cells in columns, and below them one long text.

    Args:
        columns: Headings.
        records: Cells, and the text that gets a line of its own, cut at the terminal's edge.
    """
    from rich.console import Console
    from rich.text import Text

    _accept_any_character()
    grid = [[_text(cell) for cell in cells] for cells, _ in records]
    widths = [
        max(len(heading), *(row[at].cell_len for row in grid)) for at, heading in enumerate(columns)
    ]
    console = Console(highlight=False)
    heads = [Text(heading, "bold") for heading in columns]
    for cells, detail in [(heads, None), *zip(grid, (text for _, text in records), strict=True)]:
        line = Text()
        for cell, width in zip(cells, widths, strict=True):
            line += cell
            line.append(" " * (width - cell.cell_len + 2))
        line.rstrip()
        console.print(line, no_wrap=True, overflow="ellipsis", crop=True)
        if detail is not None:
            console.print(
                Text("    ") + _text(detail), no_wrap=True, overflow="ellipsis", crop=True
            )


def print_line(cells: Sequence[str | Cell]) -> None:
    """Print one record at once: spaced and coloured on a terminal, tab-separated when piped."""
    _accept_any_character()
    if not on_terminal():
        print_plain(cells)
    else:
        from rich.console import Console
        from rich.text import Text

        line = Text("  ").join(_text(cell) for cell in cells)
        Console(highlight=False).print(line, soft_wrap=True)
    sys.stdout.flush()


def print_plain(cells: Sequence[str | Cell]) -> None:
    """Print one tab-separated line; no cell holds a tab or a line break."""
    texts = (cell.text if isinstance(cell, Cell) else cell for cell in cells)
    sys.stdout.write("\t".join(map(one_line, texts)) + "\n")


def _text(cell: str | Cell) -> Text:
    from rich.text import Text

    if isinstance(cell, str):
        return Text(one_line(cell))
    # Hiding keeps the length, so the marks still fit.
    text = Text(one_line(cell.text), cell.style)
    for start, end in cell.marks:
        text.stylize("bold red", start, end)
    return text


def _accept_any_character() -> None:
    """Keep an attacker's text from ending the command on a terminal that is not UTF-8."""
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")
