# SPDX-License-Identifier: AGPL-3.0-or-later
"""`decnet-ttp attackers sessions|deckies|show`: what is known of attackers beside their tags."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from decnet_ttp.cli.connection import (
    CALL_TIMEOUT_S,
    Connection,
    Listing,
    connection_options,
    run,
    with_channel,
)
from decnet_ttp.cli.output import (
    Cell,
    json_option,
    message_dict,
    moment,
    print_json,
    print_table,
    printable,
    stream_messages,
)
from decnet_ttp.cli.scopes import limit_option, say_truncated, scope_options

if TYPE_CHECKING:
    from grpc.aio import Channel

    from decnet_ttp.v1.attacker_fact_pb2 import AttackerFact, IntelRecord
    from decnet_ttp.v1.directory_service_pb2 import Attacker
    from decnet_ttp.v1.directory_update_pb2 import Session
    from decnet_ttp.v1.scope_pb2 import Scope

DEFAULT_LIMIT = 100

_ID_WIDTH = 48
_VALUE_WIDTH = 72
_KIND_PREFIX = "FACT_KIND_"


@click.command()
@scope_options
@click.option("--decky", default="", metavar="ID", help="Only those on one decoy.")
@limit_option(DEFAULT_LIMIT, rows="sessions")
@json_option
@connection_options
def sessions(
    connection: Connection, *, scope: Scope, decky: str, limit: int, as_json: bool
) -> None:
    """List sessions of the fleet or of one scope, last ended first."""
    from decnet_ttp.v1.directory_service_pb2_grpc import DirectoryServiceStub
    from decnet_ttp.v1.directory_update_pb2 import ListSessionsRequest

    async def work(channel: Channel) -> bool:
        request = ListSessionsRequest(scope=scope, decky_id=decky)
        stub = DirectoryServiceStub(channel)
        listing = Listing(stub.ListSessions, request, "sessions", limit=limit)
        if as_json:
            await stream_messages(listing)
        else:
            print_table(
                [
                    ("session", "left"),
                    ("attacker", "fixed"),
                    ("decoy", "left"),
                    ("service", "fixed"),
                    ("began (UTC)", "fixed"),
                    ("ended (UTC)", "fixed"),
                    ("commands", "number"),
                    ("requests", "number"),
                    ("log-ins", "number"),
                    ("files", "number"),
                    ("tags", "number"),
                ],
                [_session_row(row) async for row in listing],
                empty="no sessions: none has been reported yet",
            )
        return listing.truncated

    if run(with_channel(connection, "tag_store", work)):
        say_truncated(limit, "sessions")


def _session_row(row: Session) -> list[str | Cell]:
    return [
        Cell(printable(row.session_id, _ID_WIDTH), "bold"),
        row.attacker_ip or row.attacker_uuid,
        printable(row.decky_id or "-", _ID_WIDTH),
        printable(row.service or "-", _ID_WIDTH),
        moment(row.start_time),
        moment(row.end_time),
        str(row.command_count),
        str(row.request_count),
        str(row.auth_attempt_count),
        str(row.file_count),
        str(row.tag_count),
    ]


@click.command()
@scope_options
@limit_option(DEFAULT_LIMIT, rows="decoys")
@json_option
@connection_options
def deckies(connection: Connection, *, scope: Scope, limit: int, as_json: bool) -> None:
    """List the decoys on which attackers of the fleet or of one scope were seen."""
    from decnet_ttp.v1.directory_service_pb2_grpc import DirectoryServiceStub
    from decnet_ttp.v1.directory_update_pb2 import ListDeckiesRequest

    async def work(channel: Channel) -> bool:
        stub = DirectoryServiceStub(channel)
        listing = Listing(stub.ListDeckies, ListDeckiesRequest(scope=scope), "deckies", limit=limit)
        if as_json:
            await stream_messages(listing)
        else:
            print_table(
                [
                    ("decoy", "left"),
                    ("attackers", "number"),
                    ("first seen (UTC)", "fixed"),
                    ("last seen (UTC)", "fixed"),
                ],
                [
                    [
                        Cell(printable(row.decky_id, _ID_WIDTH), "bold"),
                        str(row.attacker_count),
                        moment(row.first_seen_time),
                        moment(row.last_seen_time),
                    ]
                    async for row in listing
                ],
                empty="no decoys: nobody has been seen on one yet",
            )
        return listing.truncated

    if run(with_channel(connection, "tag_store", work)):
        say_truncated(limit, "decoys")


@click.command()
@scope_options
@json_option
@connection_options
def show(connection: Connection, *, scope: Scope, as_json: bool) -> None:
    """Show one attacker (--ip or --attacker): fingerprints, files, end points, origin, intel."""
    from decnet_ttp.runtime.clients import call
    from decnet_ttp.v1.attacker_fact_pb2 import ListFactsRequest, ListIntelRequest
    from decnet_ttp.v1.directory_service_pb2 import GetAttackerRequest
    from decnet_ttp.v1.directory_service_pb2_grpc import DirectoryServiceStub

    if not (scope.attacker_uuid or scope.attacker_ip):
        raise click.UsageError("name one attacker with --ip or --attacker")

    async def work(channel: Channel) -> None:
        stub = DirectoryServiceStub(channel)
        request = GetAttackerRequest(attacker_uuid=scope.attacker_uuid, ip=scope.attacker_ip)
        attacker = (await call(stub.GetAttacker, request, timeout_s=CALL_TIMEOUT_S)).attacker
        asked = {"attacker_uuid": attacker.uuid}
        facts = [row async for row in Listing(stub.ListFacts, ListFactsRequest(**asked), "facts")]
        intel = [row async for row in Listing(stub.ListIntel, ListIntelRequest(**asked), "records")]
        if as_json:
            print_json(
                {
                    "attacker": message_dict(attacker),
                    "facts": [message_dict(row) for row in facts],
                    "intel_records": [message_dict(row) for row in intel],
                }
            )
        else:
            _print_attacker(attacker, facts, intel)

    run(with_channel(connection, "tag_store", work))


def _print_attacker(
    attacker: Attacker, facts: list[AttackerFact], intel: list[IntelRecord]
) -> None:
    from decnet_ttp.v1.attacker_fact_pb2 import FactKind

    click.echo(
        f"{attacker.ip or '-'} {attacker.uuid}: {attacker.tag_count} tags, "
        f"{attacker.technique_count} techniques, identity {attacker.identity_uuid or '-'}, "
        f"{moment(attacker.first_seen_time)} to {moment(attacker.last_seen_time)} UTC"
    )
    rows: list[list[str | Cell]] = []
    for fact in facts:
        kind = FactKind.Name(fact.kind).removeprefix(_KIND_PREFIX).lower().replace("_", " ")
        told = " ".join(f"{name}={value}" for name, value in sorted(fact.attributes.items()))
        rows.append(
            [
                Cell(kind, "bold"),
                printable(fact.value, _VALUE_WIDTH),
                printable(told or "-", _VALUE_WIDTH),
                str(fact.count),
                moment(fact.last_seen_time),
            ]
        )
    for record in intel:
        score = f"score={record.score:g}" if record.HasField("score") else ""
        told = " ".join([*([score] if score else []), *record.signals])
        rows.append(
            [
                Cell("intel", "bold"),
                printable(f"{record.provider} {record.verdict}".strip(), _VALUE_WIDTH),
                printable(told or "-", _VALUE_WIDTH),
                "1",
                moment(record.observe_time),
            ]
        )
    columns = [
        ("what", "fixed"),
        ("value", "left"),
        ("details", "left"),
        ("times", "number"),
        ("last seen (UTC)", "fixed"),
    ]
    print_table(columns, rows, empty="nothing more is known of this attacker")
