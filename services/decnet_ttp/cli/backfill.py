# SPDX-License-Identifier: AGPL-3.0-or-later
"""`decnet-ttp backfill`: tag kept history again with the rules of today."""

from __future__ import annotations

import asyncio
import getpass
import hashlib
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import click
import orjson

from decnet_ttp.cli.connection import Connection, connection_options, run, with_channel
from decnet_ttp.cli.output import json_option, message_dict, print_json, print_plain

if TYPE_CHECKING:
    from grpc.aio import Channel

    from decnet_ttp.v1.ingest_service_pb2 import RunBackfillRequest, RunBackfillResponse
    from decnet_ttp.v1.tag_store_service_pb2 import SupersededTag

_DAY_S = 86_400.0
_MAX_DAYS = 3_650.0
#: How long an ingest that is away is waited for, in seconds.
_PATIENCE_S = 60.0
_RESTORE_TIMEOUT_S = 3_600.0
_SUMMED = (
    *("read_count", "event_count", "inserted_count", "known_count", "skipped_count"),
    *("superseded_count", "retired_count", "unjudged_count"),
)


@click.command()
@click.option(
    "--since-days",
    type=click.FloatRange(min=0, min_open=True, max=_MAX_DAYS),
    default=7.0,
    show_default=True,
    metavar="N",
    help="Messages of the last N days.",
)
@click.option(
    "--source",
    type=click.Choice(["command", "canary", "email", "all"]),
    default="all",
    show_default=True,
    help="Sessions with their commands, canary triggers, mail, or every input.",
)
@click.option("--dry-run", is_flag=True, help="Count only; nothing is stored.")
@click.option(
    "--batch-size",
    type=click.IntRange(1, 10_000),
    default=500,
    show_default=True,
    metavar="N",
    help="Messages tagged at once.",
)
@click.option(
    "--rate",
    type=click.FloatRange(min=0, min_open=True),
    metavar="N",
    help="Messages a second at most.",
)
@click.option("--resume", is_flag=True, help="Go on where the last run of this source broke off.")
@click.option(
    "--superseded",
    is_flag=True,
    help="List stored tags of older rule versions that the rules of today no longer make.",
)
@click.option(
    "--retire",
    is_flag=True,
    help="With --superseded: keep them, marked, out of all counts; new tags are stored first.",
)
@click.option("--reason", default="", metavar="TEXT", help="Why, for the record of a retirement.")
@click.option(
    "--restore", metavar="UUID", help="Undo a retirement, instead of reading any history."
)
@json_option
@connection_options
def backfill(
    connection: Connection,
    *,
    since_days: float,
    source: str,
    dry_run: bool,
    batch_size: int,
    rate: float | None,
    resume: bool,
    superseded: bool,
    retire: bool,
    reason: str,
    restore: str | None,
    as_json: bool,
) -> None:
    """Tag history again with the rules of today; stores what is new, and announces nothing.

    History is the input stream as NATS keeps it. Running twice adds nothing the second time.
    """
    from decnet_ttp.v1.ingest_service_pb2 import RunBackfillRequest

    if retire and not superseded:
        raise click.UsageError("--retire needs --superseded")
    if restore is not None:
        _restore(connection, restore, as_json=as_json)
        return
    dry_run = dry_run or (superseded and not retire)
    request = RunBackfillRequest(
        source=source,
        dry_run=dry_run,
        batch_size=batch_size,
        max_rate=rate or 0.0,
        superseded=superseded,
        retire=retire,
        retirement_uuid=str(uuid4()) if superseded else "",
        requested_by=getpass.getuser() if superseded else "",
        reason=reason,
    )
    request.start_time.FromMilliseconds(int((time.time() - since_days * _DAY_S) * 1_000))
    place = _Place(connection.target("ingest"), f"{source}-superseded" if superseded else source)
    if resume and not dry_run:
        request.after_sequence = place.read()

    shown = _Progress(place, stores=not dry_run, as_json=as_json)
    totals = run(
        with_channel(connection, "ingest", lambda channel: _follow(channel, request, shown.update))
    )
    if not dry_run:
        place.forget()
    if sys.stderr.isatty():
        click.echo(err=True)
    if as_json:
        del totals.superseded[:]
        totals.superseded.extend(shown.superseded)
        print_json(message_dict(totals))
    elif superseded:
        _say_superseded(totals, request.retirement_uuid, retired=retire)
    else:
        _say(totals, stored="would be tagged" if dry_run else "tagged")


class _Progress:
    """Shows progress as it comes, and keeps the place.

    Args:
        place: Where a run that is killed goes on.
        stores: Whether the run stores anything, so that its place is worth keeping.
        as_json: Whether superseded tags are printed at the end, as one document.

    Attributes:
        superseded: The superseded tags so far, with `as_json`.
    """

    def __init__(self, place: _Place, *, stores: bool, as_json: bool) -> None:
        self._place = place
        self._stores = stores
        self._as_json = as_json
        self.superseded: list[SupersededTag] = []

    def update(self, progress: RunBackfillResponse) -> None:
        _show(progress)
        if self._as_json:
            self.superseded.extend(progress.superseded)
        else:
            for tag in progress.superseded:
                print_plain(superseded_cells(tag))
        if self._stores:
            self._place.write(progress.last_sequence)


def _say(totals: RunBackfillResponse, *, stored: str) -> None:
    click.echo(
        f"{totals.read_count} messages read, {totals.event_count} events {stored}, "
        f"{totals.inserted_count} tags new, {totals.known_count} known already, "
        f"{totals.skipped_count} messages passed over"
    )


def _say_superseded(totals: RunBackfillResponse, retirement: str, *, retired: bool) -> None:
    click.echo(
        f"{totals.read_count} messages read, {totals.superseded_count} tags superseded, "
        f"{totals.retired_count} retired, {totals.inserted_count} new, "
        f"{totals.unjudged_count} events not judged",
        err=True,
    )
    if retired and totals.retired_count:
        click.echo(f"to undo it: decnet-ttp backfill --restore {retirement}", err=True)


def superseded_cells(tag: SupersededTag) -> list[str]:
    """Return a superseded tag as a line: what became of it, rule, technique, event, uuid."""
    from decnet_ttp.v1.tag_store_service_pb2 import SupersededKind

    kind = SupersededKind.Name(tag.kind).removeprefix("SUPERSEDED_KIND_").lower().replace("_", " ")
    rule = f"{tag.rule_id} v{tag.rule_version}"
    return [kind, rule, tag.technique_id, tag.source_kind, tag.source_id, tag.uuid]


def _restore(connection: Connection, retirement: str, *, as_json: bool) -> None:
    from decnet_ttp.runtime.clients import call
    from decnet_ttp.v1.tag_store_service_pb2 import RestoreTagsRequest, RestoreTagsResponse
    from decnet_ttp.v1.tag_store_service_pb2_grpc import TagStoreServiceStub

    request = RestoreTagsRequest(retirement_uuid=retirement, requested_by=getpass.getuser())

    async def work(channel: Channel) -> RestoreTagsResponse:
        method = TagStoreServiceStub(channel).RestoreTags
        return await call(method, request, timeout_s=_RESTORE_TIMEOUT_S)

    answer = run(with_channel(connection, "tag_store", work))
    if as_json:
        print_json(message_dict(answer))
        return
    click.echo(f"{answer.restored_count} tags count again")


async def _follow(
    channel: Channel,
    request: RunBackfillRequest,
    on_progress: Callable[[RunBackfillResponse], None],
) -> RunBackfillResponse:
    """Run a backfill to its end, going on where it was when ingest goes away in between.

    Returns:
        The figures of all its parts together.
    """
    import grpc

    from decnet_ttp.core.errors import UnavailableError
    from decnet_ttp.runtime.boundary import from_rpc_error
    from decnet_ttp.v1.ingest_service_pb2 import RunBackfillResponse
    from decnet_ttp.v1.ingest_service_pb2_grpc import IngestServiceStub

    stub = IngestServiceStub(channel)
    before, totals = RunBackfillResponse(), RunBackfillResponse()
    given_up_s = 0.0
    while not totals.done:
        try:
            async for progress in stub.RunBackfill(request):
                totals = _sum(before, progress)
                given_up_s = time.monotonic() + _PATIENCE_S
                on_progress(totals)
        except grpc.aio.AioRpcError as rpc_error:
            error = from_rpc_error(rpc_error)
            # One that never answered is not waited for: that is a wrong target.
            if not isinstance(error, UnavailableError) or time.monotonic() > given_up_s:
                raise error from rpc_error
            before = totals
            request.after_sequence = max(request.after_sequence, totals.last_sequence)
            await asyncio.sleep(1.0)
    return totals


def _sum(before: RunBackfillResponse, progress: RunBackfillResponse) -> RunBackfillResponse:
    totals = type(progress)()
    totals.CopyFrom(progress)
    for name in _SUMMED:
        setattr(totals, name, getattr(before, name) + getattr(progress, name))
    totals.total_count = before.read_count + progress.total_count
    return totals


def _show(progress: RunBackfillResponse) -> None:
    if sys.stderr.isatty():
        share = 100 * progress.read_count / max(progress.total_count, 1)
        click.echo(
            f"\r{share:3.0f} %  {progress.read_count} of {progress.total_count} messages, "
            f"{progress.inserted_count} new tags",
            nl=False,
            err=True,
        )


class _Place:
    """Where a run that is killed goes on: one small file for each ingest and source.

    Args:
        target: The ingest.
        source: The source.
    """

    def __init__(self, target: str, source: str) -> None:
        state = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
        name = hashlib.sha256(target.encode()).hexdigest()[:16]
        self._path = Path(state) / "decnet-ttp" / f"backfill-{source}-{name}.json"
        self._refused = False

    def read(self) -> int:
        try:
            found = orjson.loads(self._path.read_bytes())
        except (OSError, orjson.JSONDecodeError):
            return 0
        sequence = found.get("last_sequence") if isinstance(found, dict) else None
        return sequence if isinstance(sequence, int) and sequence > 0 else 0

    def write(self, sequence: int) -> None:
        """Keep the place; a disk that takes nothing costs the place only, and is told once."""
        if self._refused:
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            fresh = self._path.with_suffix(f".{os.getpid()}")
            fresh.write_bytes(orjson.dumps({"last_sequence": sequence}))
            fresh.replace(self._path)
        except OSError as error:
            self._refused = True
            click.echo(
                f"cannot keep in {self._path.parent} how far the run is ({error.strerror}): ended "
                "early it would begin anew; set XDG_STATE_HOME to a directory that takes it",
                err=True,
            )

    def forget(self) -> None:
        if not self._refused:
            self._path.unlink(missing_ok=True)
