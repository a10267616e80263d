# SPDX-License-Identifier: AGPL-3.0-or-later
"""`decnet-ttp dlq`: what could not be tagged, and why."""

from __future__ import annotations

import sys
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
from decnet_ttp.cli.scopes import limit_option, say_truncated

if TYPE_CHECKING:
    from grpc.aio import Channel

    from decnet_ttp.v1.ingest_service_pb2 import DeadLetter

DEFAULT_LIMIT = 100

_REASONS = ("UNDECODABLE", "NO_ANCHOR", "NEVER_APPEARED", "REFUSED", "RETRIES_USED_UP", "OVERSIZE")
_DETAIL_WIDTH = 60
_SHOWN_CONTENT = 4_000
#: Sending all letters again takes as long as there are many.
_REPLAY_TIMEOUT_S = 600.0
#: Letters one call may name.
_NAMED_AT_ONCE = 1_000

_COLUMNS = [
    ("letter", "number"),
    ("reason", "left"),
    ("subject", "left"),
    ("tries", "number"),
    ("last try (UTC)", "fixed"),
    ("bytes", "number"),
    ("detail", "left"),
]


@click.group()
def dlq() -> None:
    """List, show, replay and drop dead letters: messages that could not be tagged."""


def _reason_option(command: Any) -> Any:
    return click.option(
        "--reason",
        type=click.Choice(_REASONS, case_sensitive=False),
        help="Only letters with this reason.",
    )(command)


def _subject_option(command: Any) -> Any:
    return click.option(
        "--subject", default="", metavar="S", help="Only letters that came on this subject."
    )(command)


@dlq.command("list")
@_reason_option
@_subject_option
@limit_option(DEFAULT_LIMIT, rows="letters")
@json_option
@connection_options
def list_(
    connection: Connection, *, reason: str | None, subject: str, limit: int, as_json: bool
) -> None:
    """List dead letters, newest first."""
    from decnet_ttp.v1.ingest_service_pb2 import ListDeadLettersRequest
    from decnet_ttp.v1.ingest_service_pb2_grpc import IngestServiceStub

    async def work(channel: Channel) -> bool:
        request = ListDeadLettersRequest(reason=reason or "", origin_subject=subject)
        listing = Listing(
            IngestServiceStub(channel).ListDeadLetters, request, "dead_letters", limit=limit
        )
        if as_json:
            await stream_messages(listing)
        else:
            rows = [_row(letter) async for letter in listing]
            print_table(_COLUMNS, rows, empty="no dead letters: everything could be tagged")
        return listing.truncated

    if run(with_channel(connection, "ingest", work)):
        say_truncated(limit, "letters")


def _row(letter: DeadLetter) -> list[str | Cell]:
    return [
        Cell(str(letter.sequence), "bold"),
        letter.reason,
        printable(letter.origin_subject, _DETAIL_WIDTH),
        str(letter.attempt_count),
        moment(letter.last_attempt_time),
        str(letter.size_bytes),
        printable(letter.detail, _DETAIL_WIDTH),
    ]


@dlq.command()
@click.argument("letter", type=click.IntRange(min=1))
@click.option("--raw", is_flag=True, help="Print the original bytes and nothing else.")
@json_option
@connection_options
def show(connection: Connection, *, letter: int, raw: bool, as_json: bool) -> None:
    """Show one dead letter with its content."""
    from decnet_ttp.runtime.clients import call
    from decnet_ttp.v1.ingest_service_pb2 import GetDeadLetterRequest
    from decnet_ttp.v1.ingest_service_pb2_grpc import IngestServiceStub

    async def work(channel: Channel) -> DeadLetter:
        request = GetDeadLetterRequest(sequence=letter)
        answer = await call(
            IngestServiceStub(channel).GetDeadLetter, request, timeout_s=CALL_TIMEOUT_S
        )
        found: DeadLetter = answer.dead_letter
        return found

    found = run(with_channel(connection, "ingest", work))
    if raw:
        if sys.stdout.isatty():
            raise click.UsageError(
                "an attacker's bytes do not belong on a terminal; send --raw to a file or a pipe"
            )
        sys.stdout.buffer.write(found.content)
        return
    if as_json:
        print_json(message_dict(found))
        return
    for name, text in (
        ("letter", str(found.sequence)),
        ("reason", found.reason),
        ("detail", printable(found.detail, _SHOWN_CONTENT)),
        ("subject", printable(found.origin_subject, _SHOWN_CONTENT)),
        ("place in the input", str(found.origin_sequence)),
        ("first try (UTC)", moment(found.first_attempt_time)),
        ("last try (UTC)", moment(found.last_attempt_time)),
        ("tries", str(found.attempt_count)),
        ("bytes", str(found.size_bytes)),
        ("content", printable(found.content.decode("utf-8", "replace"), _SHOWN_CONTENT)),
    ):
        click.echo(f"{name:<20}{text}")


def _chosen(command: Any) -> Any:
    command = click.option("--all", "everything", is_flag=True, help="All letters.")(command)
    command = _subject_option(_reason_option(command))
    return click.argument("letters", nargs=-1, type=click.IntRange(min=1))(command)


def _check(letters: tuple[int, ...], reason: str | None, subject: str, *, everything: bool) -> None:
    if bool(letters) == (everything or reason is not None or bool(subject)):
        raise click.UsageError("name letters, or use --all, --reason or --subject, but not both")


@dlq.command()
@_chosen
@json_option
@connection_options
def replay(
    connection: Connection,
    *,
    letters: tuple[int, ...],
    reason: str | None,
    subject: str,
    everything: bool,
    as_json: bool,
) -> None:
    """Send dead letters through ingest again; one that fails again becomes a new letter."""
    from decnet_ttp.runtime.clients import call
    from decnet_ttp.v1.ingest_service_pb2 import ReplayDeadLettersRequest
    from decnet_ttp.v1.ingest_service_pb2_grpc import IngestServiceStub

    _check(letters, reason, subject, everything=everything)

    async def work(channel: Channel) -> int:
        stub = IngestServiceStub(channel)
        count = 0
        for start in range(0, max(len(letters), 1), _NAMED_AT_ONCE):
            request = ReplayDeadLettersRequest(
                sequences=letters[start : start + _NAMED_AT_ONCE],
                reason=reason or "",
                origin_subject=subject,
            )
            answer = await call(stub.ReplayDeadLetters, request, timeout_s=_REPLAY_TIMEOUT_S)
            count += answer.replayed_count
        return count

    count = run(with_channel(connection, "ingest", work))
    if as_json:
        print_json({"replayed_count": count})
    else:
        click.echo(f"{count} sent through ingest again")


@dlq.command()
@_chosen
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
@connection_options
def drop(
    connection: Connection,
    *,
    letters: tuple[int, ...],
    reason: str | None,
    subject: str,
    everything: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Remove dead letters for good."""
    from decnet_ttp.runtime.clients import call
    from decnet_ttp.v1.ingest_service_pb2 import DropDeadLettersRequest, ListDeadLettersRequest
    from decnet_ttp.v1.ingest_service_pb2_grpc import IngestServiceStub

    _check(letters, reason, subject, everything=everything)
    if not letters and not yes:
        click.confirm("Remove all these letters for good?", abort=True, err=True)

    async def work(channel: Channel) -> int:
        stub = IngestServiceStub(channel)
        named = list(letters)
        if not named:
            request = ListDeadLettersRequest(reason=reason or "", origin_subject=subject)
            named = [
                row.sequence async for row in Listing(stub.ListDeadLetters, request, "dead_letters")
            ]
        count = 0
        for start in range(0, len(named), _NAMED_AT_ONCE):
            chunk = DropDeadLettersRequest(sequences=named[start : start + _NAMED_AT_ONCE])
            answer = await call(stub.DropDeadLetters, chunk, timeout_s=_REPLAY_TIMEOUT_S)
            count += answer.dropped_count
        return count

    count = run(with_channel(connection, "ingest", work))
    if as_json:
        print_json({"dropped_count": count})
    else:
        click.echo(f"{count} removed")
