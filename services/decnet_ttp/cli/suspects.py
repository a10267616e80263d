# SPDX-License-Identifier: AGPL-3.0-or-later
"""`decnet-ttp suspects`: identities that look like several people."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from decnet_ttp.cli.connection import Connection, Listing, connection_options, run, with_channel
from decnet_ttp.cli.output import (
    Cell,
    confidence_cell,
    json_option,
    moment,
    print_table,
    stream_messages,
)
from decnet_ttp.cli.scopes import limit_option, say_truncated

if TYPE_CHECKING:
    from grpc.aio import Channel

DEFAULT_LIMIT = 100


@click.command()
@limit_option(DEFAULT_LIMIT, rows="suspects")
@json_option
@connection_options
def suspects(connection: Connection, *, limit: int, as_json: bool) -> None:
    """List identities that look like several people, newest suspicion first."""
    from decnet_ttp.v1.attribution_service_pb2 import ListMultiActorSuspectsRequest
    from decnet_ttp.v1.attribution_service_pb2_grpc import AttributionServiceStub

    async def work(channel: Channel) -> bool:
        method = AttributionServiceStub(channel).ListMultiActorSuspects
        listing = Listing(method, ListMultiActorSuspectsRequest(), "suspects", limit=limit)
        if as_json:
            await stream_messages(listing)
        else:
            rows: list[list[str | Cell]] = [
                [
                    Cell(row.identity_uuid, "bold"),
                    confidence_cell(row.confidence),
                    moment(row.suspect_time),
                    ", ".join(row.primitives),
                ]
                async for row in listing
            ]
            print_table(
                [
                    ("identity", "fixed"),
                    ("confidence", "number"),
                    ("since (UTC)", "fixed"),
                    ("primitives that take turns", "left"),
                ],
                rows,
                empty="no identity looks like several people",
            )
        return listing.truncated

    if run(with_channel(connection, "attribution", work)):
        say_truncated(limit, "suspects")
