# SPDX-License-Identifier: AGPL-3.0-or-later
"""`decnet-ttp backfill`: tag kept history again with the rules of today."""

from __future__ import annotations

import asyncio
import hashlib
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click
import orjson

from decnet_ttp.cli.connection import Connection, connection_options, run, with_channel
from decnet_ttp.cli.output import json_option, message_dict, print_json

if TYPE_CHECKING:
    from grpc.aio import Channel

    from decnet_ttp.v1.ingest_service_pb2 import RunBackfillRequest, RunBackfillResponse

_DAY_S = 86_400.0
_MAX_DAYS = 3_650.0
#: How long an ingest that is away is waited for, in seconds.
_PATIENCE_S = 60.0


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
    as_json: bool,
) -> None:
    """Tag history again with the rules of today; stores what is new, and announces nothing.

    History is the input stream as NATS keeps it. Running twice adds nothing the second time.
    """
    from decnet_ttp.v1.ingest_service_pb2 import RunBackfillRequest

    request = RunBackfillRequest(
        source=source, dry_run=dry_run, batch_size=batch_size, max_rate=rate or 0.0
    )
    request.start_time.FromMilliseconds(int((time.time() - since_days * _DAY_S) * 1_000))
    place = _Place(connection.target("ingest"), source)
    if resume and not dry_run:
        request.after_sequence = place.read()

    def on_progress(progress: RunBackfillResponse) -> None:
        _show(progress)
        if not dry_run:
            place.write(progress.last_sequence)

    totals = run(
        with_channel(connection, "ingest", lambda channel: _follow(channel, request, on_progress))
    )
    if not dry_run:
        place.forget()
    if sys.stderr.isatty():
        click.echo(err=True)
    if as_json:
        print_json(message_dict(totals))
        return
    stored = "would be tagged" if dry_run else "tagged"
    click.echo(
        f"{totals.read_count} messages read, {totals.event_count} events {stored}, "
        f"{totals.inserted_count} tags new, {totals.known_count} known already, "
        f"{totals.skipped_count} messages passed over"
    )


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
    for name in ("read_count", "event_count", "inserted_count", "known_count", "skipped_count"):
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

    def read(self) -> int:
        try:
            found = orjson.loads(self._path.read_bytes())
        except (OSError, orjson.JSONDecodeError):
            return 0
        sequence = found.get("last_sequence") if isinstance(found, dict) else None
        return sequence if isinstance(sequence, int) and sequence > 0 else 0

    def write(self, sequence: int) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self._path.with_suffix(f".{os.getpid()}")
        fresh.write_bytes(orjson.dumps({"last_sequence": sequence}))
        fresh.replace(self._path)

    def forget(self) -> None:
        self._path.unlink(missing_ok=True)
