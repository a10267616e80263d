# SPDX-License-Identifier: AGPL-3.0-or-later
"""`decnet-ttp up`, `down` and `status`: the embedded installation."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from decnet_ttp.cli.output import json_option, message_dict, print_json, print_table
from decnet_ttp.embedded.errors import EmbeddedError, NotRunning
from decnet_ttp.embedded.layout import ChildReport, ChildState, Instance, default_data_dir

if TYPE_CHECKING:
    from decnet_ttp.embedded.system import Choices
    from decnet_ttp.runtime.config import Settings
    from decnet_ttp.v1.ingest_service_pb2 import GetIngestStatusResponse

F = TypeVar("F", bound=Callable[..., Any])

_READY_TIMEOUT_S = 120.0
_PROGRESS_TIMEOUT_S = 10.0
_MIB = 1024 * 1024
_MINUTE_S, _HOUR_S, _DAY_S = 60, 3600, 86400


def _data_dir_option(command: F) -> F:
    return click.option(
        "--data-dir",
        type=click.Path(path_type=Path, file_okay=False),
        help="Data directory [DECNET_TTP_DATA_DIR, else decnet-ttp in the user's data home].",
    )(command)


@click.command()
@_data_dir_option
@click.option("--detach", is_flag=True, help="Run in the background; return when ready.")
@click.option("--notify-fd", type=int, hidden=True, help="Pipe to the waiting command.")
def up(data_dir: Path | None, *, detach: bool, notify_fd: int | None) -> None:
    """Start PostgreSQL, NATS and all services on this machine, and keep them running.

    DECNET_TTP_DATABASE_URL and DECNET_TTP_NATS_URL take servers of your own instead.
    """
    settings, directory = _where(data_dir)
    with _one_line_errors():
        if detach:
            _up_detached(directory)
        elif notify_fd is not None:
            _up_as_daemon(directory, settings, notify_fd)
        else:
            _up_in_foreground(directory, settings)


@click.command()
@_data_dir_option
def down(data_dir: Path | None) -> None:
    """Stop the embedded installation; its data stays."""
    from decnet_ttp.embedded import system

    _, directory = _where(data_dir)
    with _one_line_errors():
        stopped = asyncio.run(system.down(directory))
    click.echo(
        f"stopped; the data stays in {directory}" if stopped else f"nothing ran over {directory}",
        err=True,
    )


@click.command()
@_data_dir_option
@json_option
def status(data_dir: Path | None, *, as_json: bool) -> None:
    """Show what runs, since when, and how often it died.

    Every part is asked, too: exit code 0 when all are ready and answer, else 1.
    """
    from decnet_ttp.embedded import answers

    _, directory = _where(data_dir)
    with _one_line_errors():
        try:
            instance = Instance.load(directory)
        except NotRunning:
            if as_json:
                stopped = {"data_dir": str(directory), "running": False, "ready": False}
                print_json({**stopped, "children": []})
                sys.exit(1)
            raise
    answering = asyncio.run(answers.answering(instance))
    ready = instance.ready and all(child.name in answering for child in instance.children)
    progress = asyncio.run(_progress(instance)) if "ingest" in answering else None
    if as_json:
        found = _as_json(instance, answering, ready=ready)
        print_json({**found, "ingest": message_dict(progress) if progress else None})
    else:
        _print_status(instance, answering)
        if progress is not None:
            click.echo(_told(progress), err=True)
    if not ready:
        sys.exit(1)


async def _progress(instance: Instance) -> GetIngestStatusResponse | None:
    """Ask ingest how far it is; None while it cannot tell."""
    from decnet_ttp.core.errors import DecnetError
    from decnet_ttp.runtime.clients import call, open_channel
    from decnet_ttp.runtime.config import Settings
    from decnet_ttp.v1.ingest_service_pb2 import GetIngestStatusRequest
    from decnet_ttp.v1.ingest_service_pb2_grpc import IngestServiceStub

    async with open_channel(instance.ingest, Settings()) as channel:
        try:
            answer: GetIngestStatusResponse = await call(
                IngestServiceStub(channel).GetIngestStatus,
                GetIngestStatusRequest(),
                timeout_s=_PROGRESS_TIMEOUT_S,
            )
        except DecnetError:
            return None
    return answer


def _told(progress: GetIngestStatusResponse) -> str:
    waiting = progress.pending_count + progress.unacknowledged_count
    told = f"ingest: {waiting} messages wait"
    if progress.HasField("oldest_pending_time"):
        told += f", the oldest for {_ago(float(progress.oldest_pending_time.seconds))}"
    return told + f", {progress.parked_count} parked"


def _where(data_dir: Path | None) -> tuple[Settings, Path]:
    from decnet_ttp.runtime.config import load_settings

    settings = load_settings(data_dir=data_dir)
    return settings, (settings.data_dir or default_data_dir()).absolute()


def _choices(settings: Settings, **reporting: Any) -> Choices:
    from decnet_ttp.embedded.system import Choices

    return Choices(
        database_url=settings.database_url,
        nats_url=settings.nats_url,
        pg_bin=settings.pg_bin.absolute() if settings.pg_bin else None,
        **reporting,
    )


def _up_in_foreground(data_dir: Path, settings: Settings) -> None:
    from decnet_ttp.cli.startup_list import StartupList
    from decnet_ttp.embedded import system

    began = time.monotonic()
    shown = StartupList()

    def on_ready(_: Instance) -> None:
        shown.finish()
        shown.say(
            f"ready after {time.monotonic() - began:.1f} s; data in {data_dir}; Ctrl-C stops it"
        )

    with shown:
        choices = _choices(settings, on_change=shown.changed, on_ready=on_ready)
        asyncio.run(system.run(data_dir, choices))


def _up_detached(data_dir: Path) -> None:
    from decnet_ttp.cli.startup_list import StartupList
    from decnet_ttp.embedded import daemon

    began = time.monotonic()
    module = ("-P", "-m", "decnet_ttp.cli.main")
    with StartupList() as shown:
        pid = daemon.start(
            (sys.executable, *module, "up", "--data-dir", str(data_dir), "--notify-fd"),
            data_dir,
            on_change=shown.changed,
            timeout_s=_READY_TIMEOUT_S,
        )
    click.echo(
        f"ready after {time.monotonic() - began:.1f} s (process {pid}); data in {data_dir}; "
        "stop it with `decnet-ttp down`",
        err=True,
    )


def _up_as_daemon(data_dir: Path, settings: Settings, notify_fd: int) -> None:
    from decnet_ttp.cli.startup_list import StartupList
    from decnet_ttp.embedded import system
    from decnet_ttp.embedded.daemon import Messenger

    messenger = Messenger(notify_fd)
    with StartupList() as log:

        def on_change(report: Any) -> None:
            log.changed(report)
            messenger.changed(report)

        choices = _choices(settings, on_change=on_change, on_ready=messenger.ready)
        try:
            asyncio.run(system.run(data_dir, choices))
        except (EmbeddedError, OSError) as error:
            messenger.failed(error)
            raise
        finally:
            messenger.close()


@contextmanager
def _one_line_errors() -> Iterator[None]:
    try:
        yield
    except (EmbeddedError, OSError) as error:
        _fail(error)


def _fail(error: EmbeddedError | OSError) -> NoReturn:
    for line in getattr(error, "log_tail", ()):
        click.echo(f"  {line}", err=True)
    click.echo(f"decnet-ttp: {error}", err=True)
    sys.exit(1)


def _as_json(instance: Instance, answering: frozenset[str], *, ready: bool) -> dict[str, Any]:
    return {
        "data_dir": str(instance.data_dir),
        "running": True,
        "ready": ready,
        "pid": instance.pid,
        "started": _iso(instance.started),
        "run_dir": str(instance.run_dir),
        "children": [
            {
                **asdict(child),
                "since": _iso(child.since),
                "resident_bytes": child.resident_bytes(),
                "answers": child.name in answering,
            }
            for child in instance.children
        ],
    }


def _print_status(instance: Instance, answering: frozenset[str]) -> None:
    columns = [
        ("name", "left"),
        ("state", "left"),
        ("pid", "right"),
        ("since", "right"),
        ("memory", "right"),
        ("restarts", "right"),
        ("last exit", "left"),
    ]
    rows = [
        (
            child.name,
            _state(child, answering),
            str(child.pid or "-"),
            _ago(child.since),
            _mib(child.resident_bytes()),
            str(child.restarts),
            child.last_exit or "-",
        )
        for child in instance.children
    ]
    print_table(columns, rows, empty="the supervisor has started nothing yet")
    click.echo(
        f"supervisor {instance.pid}, up for {_ago(instance.started)}; data in {instance.data_dir}",
        err=True,
    )


def _state(child: ChildReport, answering: frozenset[str]) -> str:
    silent = child.state is ChildState.READY and child.name not in answering
    return "does not answer" if silent else child.state.value


def _iso(stamp: float) -> str:
    return datetime.fromtimestamp(stamp, UTC).isoformat(timespec="milliseconds")


def _ago(stamp: float) -> str:
    seconds = max(0, int(time.time() - stamp))
    if seconds < _MINUTE_S:
        return f"{seconds} s"
    if seconds < _HOUR_S:
        return f"{seconds // _MINUTE_S} min"
    if seconds < _DAY_S:
        return f"{seconds // _HOUR_S} h {seconds % _HOUR_S // _MINUTE_S} min"
    return f"{seconds // _DAY_S} d {seconds % _DAY_S // _HOUR_S} h"


def _mib(size: int | None) -> str:
    return "-" if size is None else f"{size / _MIB:.0f} MB"
