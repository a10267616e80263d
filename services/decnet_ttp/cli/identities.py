# SPDX-License-Identifier: AGPL-3.0-or-later
"""`decnet-ttp identities`: who they are, and how they behave."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from decnet_ttp.cli.connection import (
    CALL_TIMEOUT_S,
    Connection,
    Listing,
    connection_options,
    run,
    with_channel,
)
from decnet_ttp.cli.identity_links import link, merge, unlink, unmerge
from decnet_ttp.cli.output import (
    Cell,
    confidence_cell,
    json_option,
    json_text,
    message_dict,
    moment,
    print_json,
    print_messages,
    print_table,
    printable,
    stream_messages,
)
from decnet_ttp.cli.scopes import limit_option, say_truncated
from decnet_ttp.core.errors import DecnetError, NotFoundError
from decnet_ttp.runtime.config import SettingsError

if TYPE_CHECKING:
    from uuid import UUID

    from google.protobuf.struct_pb2 import Value
    from grpc.aio import Channel

    from decnet_ttp.v1.attribution_service_pb2 import (
        GetIdentityProfileResponse,
        Observation,
        StateChange,
    )

DEFAULT_LIMIT = 100

_VALUE_WIDTH = 48
_STATE_PREFIX = "STATE_KIND_"
_STYLES = {"stable": "green", "drifting": "yellow", "conflicted": "red", "multi actor": "bold red"}


@click.group()
def identities() -> None:
    """List identities, show how they behave, link, merge and part them."""


for _command in (link, unlink, merge, unmerge):
    identities.add_command(_command)


@identities.command(name="list")
@limit_option(DEFAULT_LIMIT, rows="identities")
@json_option
@connection_options
def list_identities(connection: Connection, *, limit: int, as_json: bool) -> None:
    """List the identities of the directory."""
    from decnet_ttp.v1.directory_service_pb2 import ListIdentitiesRequest
    from decnet_ttp.v1.directory_service_pb2_grpc import DirectoryServiceStub

    async def work(channel: Channel) -> bool:
        stub = DirectoryServiceStub(channel)
        listing = Listing(stub.ListIdentities, ListIdentitiesRequest(), "identities", limit=limit)
        if as_json:
            await stream_messages(listing)
        else:
            print_table(
                [
                    ("uuid", "fixed"),
                    ("attackers", "number"),
                    ("campaign", "fixed"),
                    ("merged into", "fixed"),
                ],
                [
                    [
                        Cell(row.uuid, "bold"),
                        str(max(row.attacker_count, len(row.attacker_uuids))),
                        row.campaign_uuid or "-",
                        row.merged_into_uuid or "-",
                    ]
                    async for row in listing
                ],
                empty="no identities: no attackers have been linked yet",
            )
        return listing.truncated

    if run(with_channel(connection, "tag_store", work)):
        say_truncated(limit, "identities")


@identities.command()
@click.argument("uuid", type=click.UUID)
@click.option("--changes", is_flag=True, help="Show the changes of state, newest first.")
@click.option("--observations", is_flag=True, help="Show the observations, newest first.")
@click.option("--primitive", default="", metavar="NAME", help="Only observations of this one.")
@limit_option(DEFAULT_LIMIT, rows="rows")
@json_option
@connection_options
def show(
    connection: Connection,
    *,
    uuid: UUID,
    changes: bool,
    observations: bool,
    primitive: str,
    limit: int,
    as_json: bool,
) -> None:
    """Show the behaviour of an identity: one merged state per primitive.

    UUID is that of an identity, or of an attacker, whose identity is shown then.
    """
    observations = observations or bool(primitive)
    if changes and observations:
        raise click.UsageError("--changes and --observations exclude each other; give one")

    async def work(channel: Channel) -> bool:
        identity, profile = await _profile(connection, channel, uuid)
        if not changes and not observations:
            _print_profile(identity, profile, as_json=as_json)
            return False
        listing = (
            _changes(channel, identity, limit)
            if changes
            else _observations(channel, identity, primitive, limit)
        )
        rows = [row async for row in listing]
        if as_json:
            print_messages(rows)
        elif changes:
            _print_changes(rows)
        else:
            _print_observations(rows)
        return listing.truncated

    if run(with_channel(connection, "attribution", work)):
        say_truncated(limit, "rows")


async def _profile(
    connection: Connection, channel: Channel, uuid: UUID
) -> tuple[str, GetIdentityProfileResponse]:
    """Return a profile and whose it is: the identity's, else that of the attacker's identity."""
    from decnet_ttp.attribution.directory import stub_identity
    from decnet_ttp.runtime.clients import call
    from decnet_ttp.v1.attribution_service_pb2 import GetIdentityProfileRequest
    from decnet_ttp.v1.attribution_service_pb2_grpc import AttributionServiceStub

    async def ask(identity: str) -> GetIdentityProfileResponse:
        return await call(
            AttributionServiceStub(channel).GetIdentityProfile,
            GetIdentityProfileRequest(identity_uuid=identity),
            timeout_s=CALL_TIMEOUT_S,
        )

    try:
        return str(uuid), await ask(str(uuid))
    except NotFoundError as error:
        identity = await _identity_of(connection, uuid) or str(stub_identity(uuid))
        try:
            return identity, await ask(identity)
        except NotFoundError:
            raise error from None


async def _identity_of(connection: Connection, attacker: UUID) -> str:
    """Return an attacker's identity; empty when the directory has none or cannot be asked."""
    from decnet_ttp.runtime.clients import call
    from decnet_ttp.v1.directory_service_pb2 import GetAttackerRequest
    from decnet_ttp.v1.directory_service_pb2_grpc import DirectoryServiceStub

    async def work(channel: Channel) -> str:
        response = await call(
            DirectoryServiceStub(channel).GetAttacker,
            GetAttackerRequest(attacker_uuid=str(attacker)),
            timeout_s=CALL_TIMEOUT_S,
        )
        return str(response.attacker.identity_uuid)

    try:
        return await with_channel(connection, "tag_store", work)
    except (DecnetError, SettingsError):
        return ""


def _changes(channel: Channel, identity: str, limit: int) -> Listing:
    from decnet_ttp.v1.attribution_service_pb2 import ListStateChangesRequest
    from decnet_ttp.v1.attribution_service_pb2_grpc import AttributionServiceStub

    request = ListStateChangesRequest(identity_uuid=identity)
    return Listing(
        AttributionServiceStub(channel).ListStateChanges, request, "changes", limit=limit
    )


def _observations(channel: Channel, identity: str, primitive: str, limit: int) -> Listing:
    from decnet_ttp.v1.attribution_service_pb2 import ListObservationsRequest
    from decnet_ttp.v1.attribution_service_pb2_grpc import AttributionServiceStub

    request = ListObservationsRequest(identity_uuid=identity, primitive=primitive)
    method = AttributionServiceStub(channel).ListObservations
    return Listing(method, request, "observations", limit=limit)


def _state(number: Any) -> str:
    from decnet_ttp.v1.attribution_service_pb2 import StateKind

    name = StateKind.Name(number).removeprefix(_STATE_PREFIX).lower().replace("_", " ")
    return "-" if name == "unspecified" else name


def _state_cell(number: Any) -> Cell:
    state = _state(number)
    return Cell(state, _STYLES.get(state, "dim"))


def _value(value: Value) -> str:
    """Return a value as people write it: text bare, whole numbers without a point, else JSON."""
    from google.protobuf.json_format import MessageToDict

    if value.HasField("string_value"):
        return printable(value.string_value, _VALUE_WIDTH)
    if value.HasField("number_value"):
        return f"{value.number_value:g}"
    return printable(json_text(MessageToDict(value)), _VALUE_WIDTH)


def _print_profile(identity: str, profile: GetIdentityProfileResponse, *, as_json: bool) -> None:
    if as_json:
        print_json({"identity_uuid": identity} | message_dict(profile))
        return
    print_table(
        [
            ("primitive", "fixed"),
            ("value", "left"),
            ("state", "fixed"),
            ("confidence", "number"),
            ("observations", "number"),
            ("changed (UTC)", "fixed"),
            ("observed (UTC)", "fixed"),
        ],
        [
            [
                Cell(row.primitive, "bold"),
                _value(row.value),
                _state_cell(row.state),
                confidence_cell(row.confidence),
                str(row.observation_count),
                moment(row.last_change_time),
                moment(row.last_observation_time),
            ]
            for row in profile.states
        ],
        empty="nothing observed",
    )


def _print_changes(rows: list[StateChange]) -> None:
    print_table(
        [("when (UTC)", "fixed"), ("primitive", "fixed"), ("before", "fixed"), ("after", "fixed")],
        [
            [
                moment(row.change_time),
                Cell(row.primitive, "bold"),
                _state_cell(row.old_state),
                _state_cell(row.new_state),
            ]
            for row in rows
        ],
        empty="no changes of state",
    )


def _print_observations(rows: list[Observation]) -> None:
    print_table(
        [
            ("when (UTC)", "fixed"),
            ("primitive", "fixed"),
            ("value", "left"),
            ("confidence", "number"),
            ("attacker", "fixed"),
            ("evidence", "left"),
        ],
        [
            [
                moment(row.observe_time),
                Cell(row.primitive, "bold"),
                _value(row.value),
                confidence_cell(row.confidence),
                row.attacker_uuid,
                row.evidence_ref,
            ]
            for row in rows
        ],
        empty="no observations of this kind",
    )
