# SPDX-License-Identifier: AGPL-3.0-or-later
"""`decnet-ttp techniques`: what a scope showed, how often, since when, how surely."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from decnet_ttp.cli.connection import Connection, Listing, connection_options, run, with_channel
from decnet_ttp.cli.output import (
    Cell,
    bar,
    confidence_cell,
    json_option,
    moment,
    on_terminal,
    print_messages,
    print_table,
    terminal_width,
)
from decnet_ttp.cli.scopes import limit_option, say_truncated, scope_options

if TYPE_CHECKING:
    from google.protobuf.timestamp_pb2 import Timestamp
    from grpc.aio import Channel

    from decnet_ttp.v1.rollup_service_pb2 import ListTechniquesRequest, TechniqueRow
    from decnet_ttp.v1.scope_pb2 import Scope
    from decnet_ttp.v1.tag_pb2 import Tag

# Below this width a terminal shows days instead of times, so that names keep their room.
_ROOM_FOR_TIMES = 120
_DAY = len("2026-01-31")


@click.command()
@scope_options
@click.option(
    "--min-band",
    type=click.Choice(["low", "medium", "high"]),
    help="Leave out tags below this confidence (medium: 0.60, high: 0.85).",
)
@click.option(
    "--order",
    type=click.Choice(["tactic", "count", "last-seen"]),
    default="tactic",
    show_default=True,
    help="By tactic in the order of the matrix, by falling count, or newest first.",
)
@limit_option(0, rows="techniques")
@json_option
@connection_options
def techniques(
    connection: Connection,
    *,
    scope: Scope,
    min_band: str | None,
    order: str,
    limit: int,
    as_json: bool,
) -> None:
    """Show the techniques of the fleet, or of one attacker, identity, campaign or session.

    One row per tactic, technique and sub-technique. The bar is the share of the largest count.
    """
    from decnet_ttp.v1.rollup_service_pb2 import ListTechniquesRequest

    request = ListTechniquesRequest(
        scope=scope,
        min_band=f"CONFIDENCE_BAND_{(min_band or 'unspecified').upper()}",
        order=f"TECHNIQUE_ORDER_{order.replace('-', '_').upper()}",
    )
    rows, truncated = run(_fetch(connection, request, limit))
    if as_json:
        print_messages(rows)
    else:
        _print(rows, by_tactic=order == "tactic", campaign=scope.HasField("campaign_uuid"))
    if truncated:
        say_truncated(limit, "techniques")


async def _fetch(
    connection: Connection, request: ListTechniquesRequest, limit: int
) -> tuple[list[TechniqueRow], bool]:
    from decnet_ttp.v1.rollup_service_pb2_grpc import RollupServiceStub

    async def work(channel: Channel) -> tuple[list[TechniqueRow], bool]:
        stub = RollupServiceStub(channel)
        listing = Listing(stub.ListTechniques, request, "techniques", limit=limit)
        return [row async for row in listing], listing.truncated

    return await with_channel(connection, "tag_store", work)


def _print(rows: list[TechniqueRow], *, by_tactic: bool, campaign: bool) -> None:
    wide = not on_terminal() or terminal_width() >= _ROOM_FOR_TIMES
    # Where room is short, a tactic is a line above its techniques.
    lines = by_tactic and not wide
    columns = [
        *([] if lines else [("tactic", "left")]),
        ("technique", "fixed"),
        ("name", "left"),
        ("count", "number"),
        *([("identities", "number")] if campaign else []),
        ("first seen (UTC)", "fixed"),
        ("last seen (UTC)", "fixed"),
        ("confidence", "number"),
        ("", "bar"),
    ]
    if not wide:
        columns = [(_NARROW_HEADING.get(heading, heading), align) for heading, align in columns]
    top = max((row.count for row in rows), default=0)
    table: list[list[str | Cell]] = []
    before = ""
    for row in rows:
        tactic = Cell(row.tactic_name or row.tactic, "bold")
        # A person reads a tactic once; a program needs it in every line.
        repeated = by_tactic and on_terminal() and row.tactic == before
        before = row.tactic
        if lines and not repeated:
            table.append(["", tactic, *[""] * (len(columns) - 2)])
        table.append(
            [
                *([] if lines else ["" if repeated else tactic]),
                row.sub_technique_id or row.technique_id,
                technique_name(row),
                str(row.count),
                *([str(row.identity_count)] if campaign else []),
                _seen(row.first_seen_time, wide=wide),
                _seen(row.last_seen_time, wide=wide),
                confidence_cell(row.confidence_max),
                Cell(bar(row.count, top, 12 if wide else 8), "cyan"),
            ]
        )
    print_table(columns, table, empty="no techniques: nothing of this scope has been tagged")


_NARROW_HEADING = {"first seen (UTC)": "first", "last seen (UTC)": "last", "confidence": "conf"}


def _seen(stamp: Timestamp, *, wide: bool) -> str:
    shown = moment(stamp)
    return shown if wide else shown[:_DAY]


def technique_name(row: TechniqueRow | Tag) -> str:
    """Return "Parent: Child" for a sub-technique, else the name; empty when neither is known."""
    if not row.sub_technique_id:
        return row.technique_name
    # A store may give the name of a sub-technique with its parent's already.
    child = row.sub_technique_name.removeprefix(f"{row.technique_name}: ")
    return ": ".join(filter(None, (row.technique_name, child)))
