# SPDX-License-Identifier: AGPL-3.0-or-later
"""`decnet-ttp doctor`: what is wrong with the stored tags, and the cure."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from decnet_ttp.cli.connection import (
    CALL_TIMEOUT_S,
    Connection,
    connection_options,
    run,
    with_channel,
)
from decnet_ttp.cli.output import json_option, message_dict, moment, print_json, print_table

if TYPE_CHECKING:
    from grpc.aio import Channel

# Counting ten million tags takes a minute on a small machine.
_RECOUNT_TIMEOUT_S = 3_600.0
_OUTBOX_WARN_FROM = 0.1


@click.command()
@click.option("--recount", is_flag=True, help="Hold every roll-up against a full count.")
@click.option("--repair", is_flag=True, help="Write what was counted where it differs.")
@json_option
@connection_options
def doctor(connection: Connection, *, recount: bool, repair: bool, as_json: bool) -> None:
    """Look at the tag-store: its announcements, and its roll-ups with --recount.

    A recount alone changes nothing and holds up nobody; with --repair writers wait meanwhile.
    Exit code 1 when something is wrong and was not repaired.
    """
    if repair and not recount:
        raise click.UsageError("--repair needs --recount, which finds what is to be repaired")

    async def work(channel: Channel) -> tuple[Any, Any]:
        from decnet_ttp.runtime.clients import call
        from decnet_ttp.v1.rollup_service_pb2 import RecountRollupsRequest
        from decnet_ttp.v1.rollup_service_pb2_grpc import RollupServiceStub
        from decnet_ttp.v1.tag_store_service_pb2 import GetStatusRequest
        from decnet_ttp.v1.tag_store_service_pb2_grpc import TagStoreServiceStub

        status: Any = await call(
            TagStoreServiceStub(channel).GetStatus, GetStatusRequest(), timeout_s=CALL_TIMEOUT_S
        )
        counted: Any = None
        if recount:
            counted = await call(
                RollupServiceStub(channel).RecountRollups,
                RecountRollupsRequest(repair=repair),
                timeout_s=_RECOUNT_TIMEOUT_S,
            )
        return status, counted

    status, counted = run(with_channel(connection, "tag_store", work))
    if as_json:
        found = {"status": message_dict(status)}
        if counted is not None:
            found["recount"] = message_dict(counted)
        print_json(found)
    else:
        _print(status, counted)
    crowded = status.outbox_count >= status.outbox_limit * _OUTBOX_WARN_FROM
    differing = sum(row.differing_count for row in counted.rollups) if counted is not None else 0
    if crowded:
        click.echo("announcements pile up: see whether NATS answers", err=True)
    if differing and not repair:
        click.echo("roll-ups differ from the tags: run doctor --recount --repair", err=True)
    if crowded or (differing and not repair):
        sys.exit(1)


def _print(status: Any, counted: Any) -> None:
    rows = [
        ["schema", status.schema_version],
        ["tags, estimated", str(status.estimated_tag_count)],
        ["messages to announce", f"{status.outbox_count} of {status.outbox_limit} at most"],
    ]
    if status.HasField("outbox_oldest_time"):
        rows.append(["oldest of them (UTC)", moment(status.outbox_oldest_time)])
    if counted is not None:
        for row in counted.rollups:
            state = "right" if not row.differing_count else f"{row.differing_count} rows differ"
            if row.differing_count and counted.repaired:
                state = f"{row.differing_count} rows repaired"
            rows.append([f"roll-up {row.rollup}", f"{state}, of {row.expected_count}"])
    print_table([("what", "fixed"), ("state", "left")], rows, empty="")
