# SPDX-License-Identifier: AGPL-3.0-or-later
"""`decnet-ttp purge` and `decnet-ttp vacuum`: deleting what is stored."""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING, Any

import click

from decnet_ttp.cli.connection import Connection, connection_options, run, with_channel
from decnet_ttp.cli.scopes import scope_options

if TYPE_CHECKING:
    from grpc.aio import Channel

    from decnet_ttp.v1.scope_pb2 import Scope

# Deleting millions of tags takes its time; what is cut short goes on with the next call.
_TIMEOUT_S = 3_600.0
_DAY_NS = 86_400 * 10**9


def _ask(connection: Connection, method: str, request: Any) -> Any:
    from decnet_ttp.runtime.clients import call
    from decnet_ttp.v1.tag_store_service_pb2_grpc import TagStoreServiceStub

    async def work(channel: Channel) -> Any:
        stub = TagStoreServiceStub(channel)
        return await call(getattr(stub, method), request, timeout_s=_TIMEOUT_S)

    return run(with_channel(connection, "tag_store", work))


@click.command()
@scope_options
@click.option("--reason", required=True, help="Why; kept on record with your user name.")
@click.confirmation_option(prompt="Delete everything stored of this scope?")
@connection_options
def purge(connection: Connection, *, scope: Scope, reason: str) -> None:
    """Delete everything stored of an attacker, or of an identity with its attackers."""
    from decnet_ttp.v1.tag_store_service_pb2 import PurgeTagsRequest

    if scope.WhichOneof("scope") not in {"attacker_uuid", "attacker_ip", "identity_uuid"}:
        raise click.UsageError("name one attacker or identity: --attacker, --ip or --identity")
    request = PurgeTagsRequest(scope=scope, requested_by=getpass.getuser(), reason=reason)
    answer = _ask(connection, "PurgeTags", request)
    click.echo(f"{answer.deleted_count} tags deleted; on record as {answer.purge_uuid}")


@click.command()
@click.option(
    "--older-than-days",
    type=click.FloatRange(min=0, min_open=True),
    required=True,
    metavar="N",
    help="What was stored more than N days ago.",
)
@click.option("--source-kind", default="", metavar="KIND", help="Only tags, of this kind of event.")
@click.option("--dry-run", is_flag=True, help="Count only.")
@connection_options
def vacuum(
    connection: Connection, *, older_than_days: float, source_kind: str, dry_run: bool
) -> None:
    """Delete tags, sessions, facts and intel by age; writers are not held up."""
    import time

    from google.protobuf.timestamp_pb2 import Timestamp

    from decnet_ttp.v1.tag_store_service_pb2 import VacuumTagsRequest

    before = Timestamp()
    before.FromNanoseconds(max(time.time_ns() - round(older_than_days * _DAY_NS), 0))
    request = VacuumTagsRequest(
        before_time=before,
        source_kind=source_kind,
        dry_run=dry_run,
        requested_by=getpass.getuser(),
        reason=f"vacuum: older than {older_than_days:g} days",
    )
    answer = _ask(connection, "VacuumTags", request)
    said = f"{answer.deleted_count} tags"
    if answer.deleted_session_count or answer.deleted_fact_count:
        said += (
            f", {answer.deleted_session_count} sessions and "
            f"{answer.deleted_fact_count} facts and records of intel"
        )
    click.echo(f"{said} {'would be deleted' if dry_run else 'deleted'}")
