# SPDX-License-Identifier: AGPL-3.0-or-later
"""`decnet-ttp attackers`: who was seen, last seen first; one of them, sessions and decoys."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from decnet_ttp.cli.connection import Connection, Listing, connection_options, run, with_channel
from decnet_ttp.cli.output import (
    Cell,
    bar,
    json_option,
    moment,
    on_terminal,
    print_table,
    stream_messages,
    terminal_width,
)
from decnet_ttp.cli.scopes import limit_option, say_truncated
from decnet_ttp.cli.sessions import deckies, sessions, show

if TYPE_CHECKING:
    from grpc.aio import Channel

    from decnet_ttp.v1.directory_service_pb2 import Attacker

DEFAULT_LIMIT = 100

# A narrow terminal names an attacker by its address alone and shows days instead of times.
_ROOM_FOR_ALL = 128
_DAY = len("2026-01-31")


@click.group(invoke_without_command=True)
@limit_option(DEFAULT_LIMIT, rows="attackers")
@json_option
@connection_options
@click.pass_context
def attackers(ctx: click.Context, connection: Connection, *, limit: int, as_json: bool) -> None:
    """List attackers, last seen first. The bar is the share of the largest number of tags.

    A subcommand shows one attacker, or the sessions and decoys of a scope.
    """
    if ctx.invoked_subcommand is None:
        _list(connection, limit=limit, as_json=as_json)


for _command in (show, sessions, deckies):
    attackers.add_command(_command)


def _list(connection: Connection, *, limit: int, as_json: bool) -> None:
    from decnet_ttp.v1.directory_service_pb2 import ListAttackersRequest
    from decnet_ttp.v1.directory_service_pb2_grpc import DirectoryServiceStub

    async def work(channel: Channel) -> bool:
        listing = Listing(
            DirectoryServiceStub(channel).ListAttackers,
            ListAttackersRequest(),
            "attackers",
            limit=limit,
        )
        if as_json:
            await stream_messages(listing)
        else:
            _print([row async for row in listing])
        return listing.truncated

    if run(with_channel(connection, "tag_store", work)):
        say_truncated(limit, "attackers")


def _print(rows: list[Attacker]) -> None:
    everything = not on_terminal() or terminal_width() >= _ROOM_FOR_ALL
    columns = [
        ("address", "fixed"),
        *([("uuid", "fixed")] if everything else []),
        ("tags", "number"),
        ("techniques", "number"),
        ("first seen (UTC)" if everything else "first", "fixed"),
        ("last seen (UTC)" if everything else "last", "fixed"),
        ("", "bar"),
    ]
    cut = None if everything else _DAY
    top = max((row.tag_count for row in rows), default=0)
    table: list[list[str | Cell]] = [
        [
            Cell(row.ip, "bold"),
            *([row.uuid] if everything else []),
            str(row.tag_count),
            str(row.technique_count),
            moment(row.first_seen_time)[:cut],
            moment(row.last_seen_time)[:cut],
            Cell(bar(row.tag_count, top), "cyan"),
        ]
        for row in rows
    ]
    print_table(columns, table, empty="no attackers: nothing has been seen yet")
