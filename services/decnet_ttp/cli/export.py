# SPDX-License-Identifier: AGPL-3.0-or-later
"""`decnet-ttp export`: everything of a scope for other programs, one JSON object a line."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import click

from decnet_ttp.cli.connection import Connection, connection_options, run, with_channel
from decnet_ttp.cli.output import json_text, message_dict
from decnet_ttp.cli.scopes import scope_options

if TYPE_CHECKING:
    from typing import TextIO

    from grpc.aio import Channel

    from decnet_ttp.v1.scope_pb2 import Scope

_output_option = click.option(
    "-o",
    "--output",
    type=click.File("w", encoding="utf-8", atomic=True, lazy=True),
    default="-",
    metavar="FILE",
    help="Where to write; standard output by default. A file appears when it is complete.",
)


@click.group()
def export() -> None:
    """Write tags or roll-ups as JSON lines."""


async def _parts(method: Any, request: Any) -> AsyncIterator[Any]:
    """Yield the parts of a stream.

    Raises:
        DecnetError: What the status stands for; what came before is not the whole.
    """
    import grpc

    from decnet_ttp.runtime.boundary import from_rpc_error

    try:
        async for part in method(request):
            yield part
    except grpc.aio.AioRpcError as error:
        raise from_rpc_error(error) from error


def _write(output: TextIO, message: Any) -> None:
    # Standard output is looked up late: it is the terminal that decides on characters.
    target = sys.stdout if output is sys.stdout else output
    target.write(json_text(message_dict(message)) + "\n")


@export.command()
@scope_options
@_output_option
@connection_options
def tags(connection: Connection, *, scope: Scope, output: TextIO) -> None:
    """Write the tags of the fleet or of one scope, oldest first."""
    from decnet_ttp.v1.export_service_pb2 import ExportTagsRequest
    from decnet_ttp.v1.export_service_pb2_grpc import ExportServiceStub

    async def work(channel: Channel) -> None:
        stub = ExportServiceStub(channel)
        async for part in _parts(stub.ExportTags, ExportTagsRequest(scope=scope)):
            for tag in part.tags:
                _write(output, tag)

    run(with_channel(connection, "tag_store", work))


@export.command()
@_output_option
@connection_options
def rollups(connection: Connection, *, output: TextIO) -> None:
    """Write the techniques of every attacker, one attacker a line."""
    from decnet_ttp.v1.export_service_pb2 import ExportRollupsRequest
    from decnet_ttp.v1.export_service_pb2_grpc import ExportServiceStub

    async def work(channel: Channel) -> None:
        stub = ExportServiceStub(channel)
        async for part in _parts(stub.ExportRollups, ExportRollupsRequest()):
            _write(output, part)

    run(with_channel(connection, "tag_store", work))
