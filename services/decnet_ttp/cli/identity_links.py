# SPDX-License-Identifier: AGPL-3.0-or-later
"""`decnet-ttp identities link|unlink|merge|unmerge`: who belongs together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from decnet_ttp.cli.connection import (
    CALL_TIMEOUT_S,
    Connection,
    connection_options,
    run,
    with_channel,
)

if TYPE_CHECKING:
    from uuid import UUID

    from grpc.aio import Channel


def ask(connection: Connection, method: str, request: Any) -> Any:
    """Call a method of the directory and return its answer."""
    from decnet_ttp.runtime.clients import call
    from decnet_ttp.v1.directory_service_pb2_grpc import DirectoryServiceStub

    async def work(channel: Channel) -> Any:
        stub = DirectoryServiceStub(channel)
        return await call(getattr(stub, method), request, timeout_s=CALL_TIMEOUT_S)

    return run(with_channel(connection, "tag_store", work))


def _say(identity: Any) -> None:
    merged = f", {len(identity.merged_uuids)} identities merged" if identity.merged_uuids else ""
    click.echo(f"{identity.uuid}: {identity.attacker_count} attackers{merged}")


@click.command()
@click.argument("identity", type=click.UUID)
@click.argument("attackers", type=click.UUID, nargs=-1, required=True)
@connection_options
def link(connection: Connection, *, identity: UUID, attackers: tuple[UUID, ...]) -> None:
    """Make ATTACKERS members of IDENTITY, which is made when it does not exist."""
    from decnet_ttp.v1.directory_service_pb2 import LinkAttackersRequest

    request = LinkAttackersRequest(
        identity_uuid=str(identity), attacker_uuids=[str(each) for each in attackers]
    )
    _say(ask(connection, "LinkAttackers", request).identity)


@click.command()
@click.argument("attackers", type=click.UUID, nargs=-1, required=True)
@connection_options
def unlink(connection: Connection, *, attackers: tuple[UUID, ...]) -> None:
    """Take ATTACKERS out of their identities."""
    from decnet_ttp.v1.directory_service_pb2 import UnlinkAttackersRequest

    request = UnlinkAttackersRequest(attacker_uuids=[str(each) for each in attackers])
    click.echo(f"{ask(connection, 'UnlinkAttackers', request).unlinked_count} attackers unlinked")


@click.command()
@click.argument("winner", type=click.UUID)
@click.argument("loser", type=click.UUID)
@connection_options
def merge(connection: Connection, *, winner: UUID, loser: UUID) -> None:
    """Let LOSER join WINNER; "unmerge LOSER" undoes it."""
    from decnet_ttp.v1.directory_service_pb2 import MergeIdentitiesRequest

    request = MergeIdentitiesRequest(winner_uuid=str(winner), loser_uuid=str(loser))
    _say(ask(connection, "MergeIdentities", request).identity)


@click.command()
@click.argument("loser", type=click.UUID)
@connection_options
def unmerge(connection: Connection, *, loser: UUID) -> None:
    """Let LOSER stand by itself again, with the members it had."""
    from decnet_ttp.v1.directory_service_pb2 import UnmergeIdentityRequest

    request = UnmergeIdentityRequest(loser_uuid=str(loser))
    _say(ask(connection, "UnmergeIdentity", request).identity)
