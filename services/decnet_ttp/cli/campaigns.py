# SPDX-License-Identifier: AGPL-3.0-or-later
"""`decnet-ttp campaigns`: identities at work together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from decnet_ttp.cli.connection import Connection, Listing, connection_options, run, with_channel
from decnet_ttp.cli.identity_links import ask
from decnet_ttp.cli.output import Cell, json_option, print_table, printable, stream_messages
from decnet_ttp.cli.scopes import limit_option, say_truncated

if TYPE_CHECKING:
    from uuid import UUID

    from grpc.aio import Channel

DEFAULT_LIMIT = 100

_NAME_WIDTH = 64


@click.group()
def campaigns() -> None:
    """List campaigns and assign identities to them."""


@campaigns.command(name="list")
@limit_option(DEFAULT_LIMIT, rows="campaigns")
@json_option
@connection_options
def list_campaigns(connection: Connection, *, limit: int, as_json: bool) -> None:
    """List the campaigns of the directory."""
    from decnet_ttp.v1.directory_service_pb2 import ListCampaignsRequest
    from decnet_ttp.v1.directory_service_pb2_grpc import DirectoryServiceStub

    async def work(channel: Channel) -> bool:
        stub = DirectoryServiceStub(channel)
        listing = Listing(stub.ListCampaigns, ListCampaignsRequest(), "campaigns", limit=limit)
        if as_json:
            await stream_messages(listing)
        else:
            print_table(
                [("uuid", "fixed"), ("identities", "number"), ("name", "left")],
                [
                    [
                        Cell(row.uuid, "bold"),
                        str(len(row.identity_uuids)),
                        printable(row.name or "-", _NAME_WIDTH),
                    ]
                    async for row in listing
                ],
                empty="no campaigns: no identity has been assigned to one yet",
            )
        return listing.truncated

    if run(with_channel(connection, "tag_store", work)):
        say_truncated(limit, "campaigns")


@campaigns.command()
@click.argument("campaign", type=click.UUID)
@click.argument("identities", type=click.UUID, nargs=-1, required=True)
@click.option("--name", default="", help="Name of the campaign; without it the old one stays.")
@connection_options
def assign(
    connection: Connection, *, campaign: UUID, identities: tuple[UUID, ...], name: str
) -> None:
    """Assign IDENTITIES to CAMPAIGN, which is made when it does not exist."""
    from decnet_ttp.v1.directory_service_pb2 import AssignCampaignRequest

    request = AssignCampaignRequest(
        campaign_uuid=str(campaign), name=name, identity_uuids=[str(each) for each in identities]
    )
    row = ask(connection, "AssignCampaign", request).campaign
    click.echo(f"{row.uuid}: {len(row.identity_uuids)} identities")


@campaigns.command()
@click.argument("identities", type=click.UUID, nargs=-1, required=True)
@connection_options
def release(connection: Connection, *, identities: tuple[UUID, ...]) -> None:
    """Take IDENTITIES out of their campaigns."""
    from decnet_ttp.v1.directory_service_pb2 import AssignCampaignRequest

    request = AssignCampaignRequest(identity_uuids=[str(each) for each in identities])
    ask(connection, "AssignCampaign", request)
    click.echo(f"{len(identities)} identities belong to no campaign")
