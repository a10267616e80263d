# SPDX-License-Identifier: AGPL-3.0-or-later
"""`decnet-ttp export navigator|stix|misp`: what a scope showed, as a document of the field."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click

from decnet_ttp.cli.connection import Connection, Listing, connection_options, run, with_channel
from decnet_ttp.cli.scopes import scope_options
from decnet_ttp.core.errors import NotFoundError

if TYPE_CHECKING:
    from grpc.aio import Channel

    from decnet_ttp.attack import Catalogue
    from decnet_ttp.tag_store.documents.actors import Actor
    from decnet_ttp.v1.scope_pb2 import Scope

output_option = click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, writable=True, allow_dash=True),
    default="-",
    metavar="FILE",
    help="Where to write; standard output by default. A file appears when it is complete.",
)


@click.command()
@scope_options
@output_option
@connection_options
def navigator(connection: Connection, *, scope: Scope, output: str) -> None:
    """Write an ATT&CK Navigator layer; one for each matrix, in a list, when there are several."""
    from decnet_ttp.tag_store.documents.navigator import build_layers, document, subject_of

    rows = run(_techniques(connection, scope))
    found = build_layers(rows, _catalogue(connection), subject=subject_of(scope))
    say_unknown(found.unknown)
    if not found.layers:
        raise nothing_to_export()
    write(output, [document(found.layers)])


@click.command()
@scope_options
@output_option
@connection_options
def stix(connection: Connection, *, scope: Scope, output: str) -> None:
    """Write a STIX 2.1 bundle; exporting again gives the same ids.

    Of the fleet each attacker with its techniques; of one scope the sightings, files, domains,
    commands, fingerprints and verdicts as well.
    """
    from decnet_ttp.tag_store.documents.stix import bundle

    actors, catalogue = _actors(connection, scope)
    write(output, bundle(actors, catalogue))


@click.command()
@scope_options
@output_option
@connection_options
def misp(connection: Connection, *, scope: Scope, output: str) -> None:
    """Write a MISP event for each attacker; importing again updates the same events."""
    from decnet_ttp.tag_store.documents.misp import document, events

    actors, catalogue = _actors(connection, scope)
    found = events(actors, catalogue)
    if not found:
        raise nothing_to_export()
    write(output, document(found))


def _actors(connection: Connection, scope: Scope) -> tuple[list[Actor], Catalogue]:
    from decnet_ttp.cli.export_actors import actors_of, unknown_techniques

    actors = run(actors_of(connection, scope))
    if not actors:
        raise nothing_to_export()
    catalogue = _catalogue(connection)
    say_unknown(unknown_techniques(actors, catalogue))
    return actors, catalogue


async def _techniques(connection: Connection, scope: Scope) -> list[Any]:
    from decnet_ttp.v1.rollup_service_pb2 import ListTechniquesRequest
    from decnet_ttp.v1.rollup_service_pb2_grpc import RollupServiceStub

    async def work(channel: Channel) -> list[Any]:
        method = RollupServiceStub(channel).ListTechniques
        request = ListTechniquesRequest(scope=scope)
        return [row async for row in Listing(method, request, "techniques")]

    return await with_channel(connection, "tag_store", work)


def _catalogue(connection: Connection) -> Catalogue:
    from decnet_ttp.attack import load_catalogue

    return load_catalogue(
        bundle=connection.settings.attack_bundle,
        sha256=connection.settings.attack_sha256,
        cache_dir=connection.settings.attack_cache_dir,
    )


def nothing_to_export() -> NotFoundError:
    """Return the error for a scope of which nothing is stored."""
    return NotFoundError(
        "nothing to export: nothing of this scope has been tagged; `decnet-ttp attackers` lists "
        "who has been"
    )


def say_unknown(technique_ids: tuple[str, ...]) -> None:
    """Tell a person which techniques are left out, in one line."""
    if technique_ids:
        click.echo(
            f"left out, since the loaded ATT&CK release lacks them: {', '.join(technique_ids)}; "
            "`decnet-ttp attack fetch` gets a newer one",
            err=True,
        )


def write(path: str, pieces: Iterable[bytes]) -> None:
    """Write a whole document; a file appears when it is complete."""
    if path == "-":
        sys.stdout.buffer.writelines(pieces)
        return
    with click.open_file(path, "wb", atomic=True) as output:
        output.writelines(pieces)
