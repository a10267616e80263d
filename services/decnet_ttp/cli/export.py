# SPDX-License-Identifier: AGPL-3.0-or-later
"""`decnet-ttp export`: everything of a scope for other programs."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Self

import click

from decnet_ttp.cli.connection import Connection, connection_options, run, with_channel
from decnet_ttp.cli.export_actors import parts
from decnet_ttp.cli.export_documents import misp, navigator, output_option, stix
from decnet_ttp.cli.output import json_text, message_dict
from decnet_ttp.cli.scopes import scope_options

if TYPE_CHECKING:
    from types import TracebackType
    from typing import IO

    from grpc.aio import Channel

    from decnet_ttp.cli.parquet import ParquetFile
    from decnet_ttp.v1.scope_pb2 import Scope

_format_option = click.option(
    "--format",
    "form",
    type=click.Choice(["jsonl", "parquet"]),
    default="jsonl",
    show_default=True,
    help="JSON lines, or Apache Parquet (needs decnet-ttp[parquet]).",
)


class _Rows:
    """Writes messages in one of the formats while they come.

    Args:
        path: File, or "-" for standard output.
        form: "jsonl" or "parquet".
        descriptor: Of the messages that become rows of Parquet.
        first: Columns of Parquet before those of the message.
    """

    def __init__(self, path: str, form: str, descriptor: Any, first: tuple[str, ...] = ()) -> None:
        self._stack = ExitStack()
        self._lines: IO[str] | None = None
        self.parquet: ParquetFile | None = None
        if form == "parquet":
            if path == "-" and sys.stdout.isatty():
                raise click.UsageError("Parquet is no text for a terminal; name a file with -o")
            from decnet_ttp.cli.parquet import ParquetFile

            output = click.open_file(path, "wb", atomic=path != "-")
            self.parquet = ParquetFile(self._stack.enter_context(output), descriptor, first)
            self._stack.push(self._finish)
        elif path == "-":
            # Standard output is looked up late: it is the terminal that decides on characters.
            self._lines = sys.stdout
        else:
            output = click.open_file(path, "w", encoding="utf-8", atomic=True)
            self._lines = self._stack.enter_context(output)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Finish the file; one that is not complete does not appear."""
        self._stack.__exit__(kind, error, trace)

    def _finish(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None and self.parquet is not None:
            self.parquet.close()

    def line(self, message: Any) -> None:
        """Write a message as a line."""
        if self._lines is not None:
            self._lines.write(json_text(message_dict(message)) + "\n")


@click.group()
def export() -> None:
    """Write tags and roll-ups, and documents for other programs."""


export.add_command(navigator)
export.add_command(stix)
export.add_command(misp)


@export.command()
@scope_options
@_format_option
@output_option
@connection_options
def tags(connection: Connection, *, scope: Scope, form: str, output: str) -> None:
    """Write the tags of the fleet or of one scope, oldest first."""
    from decnet_ttp.v1.export_service_pb2 import ExportTagsRequest
    from decnet_ttp.v1.export_service_pb2_grpc import ExportServiceStub
    from decnet_ttp.v1.tag_pb2 import Tag

    async def work(channel: Channel) -> None:
        stub = ExportServiceStub(channel)
        with _Rows(output, form, Tag.DESCRIPTOR) as rows:
            async for part in parts(stub.ExportTags, ExportTagsRequest(scope=scope)):
                for tag in part.tags:
                    if rows.parquet is not None:
                        rows.parquet.write(tag)
                    rows.line(tag)

    run(with_channel(connection, "tag_store", work))


@export.command()
@_format_option
@output_option
@connection_options
def rollups(connection: Connection, *, form: str, output: str) -> None:
    """Write the techniques of every attacker.

    As JSON lines one attacker a line, as Parquet one technique a row.
    """
    from decnet_ttp.v1.export_service_pb2 import ExportRollupsRequest
    from decnet_ttp.v1.export_service_pb2_grpc import ExportServiceStub
    from decnet_ttp.v1.rollup_service_pb2 import TechniqueRow

    async def work(channel: Channel) -> None:
        stub = ExportServiceStub(channel)
        with _Rows(output, form, TechniqueRow.DESCRIPTOR, ("attacker_uuid",)) as rows:
            async for part in parts(stub.ExportRollups, ExportRollupsRequest()):
                if rows.parquet is not None:
                    for technique in part.techniques:
                        rows.parquet.write(technique, part.attacker_uuid)
                rows.line(part)

    run(with_channel(connection, "tag_store", work))
