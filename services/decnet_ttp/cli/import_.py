# SPDX-License-Identifier: AGPL-3.0-or-later
"""`decnet-ttp import`: recorded telemetry onto the bus."""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

import click

from decnet_ttp.cli.connection import Connection, connection_options, run
from decnet_ttp.cli.output import json_option, print_json

if TYPE_CHECKING:
    from decnet_ttp.runtime.bus import Bus
    from decnet_ttp.runtime.config import Settings
    from decnet_ttp.sources.protocol import Source, Tally, Upstream
    from decnet_ttp.sources.publish import Published

PLAIN_EVERY_S = 5.0


class BusUnreachableError(Exception):
    """NATS did not answer in time."""


@dataclass(frozen=True, kw_only=True)
class _Options:
    settings: Settings
    dry_run: bool
    as_json: bool
    deadline_s: float


class _Progress(Protocol):
    def update(self) -> None: ...


@click.group(name="import")
def import_group() -> None:
    """Publish recorded telemetry on the bus.

    Importing the same input again adds nothing: every message and everything in it keeps its id.
    """


@import_group.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option(
    "--nats-url",
    metavar="URL",
    help="Bus to publish on [DECNET_TTP_NATS_URL]; default: the embedded installation's.",
)
@click.option("--dry-run", is_flag=True, help="Read and count, publish nothing.")
@click.option(
    "--deadline",
    "deadline_s",
    type=click.FloatRange(min=0, min_open=True),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for a bus that is away before giving up.",
)
@click.option(
    "--wait",
    "wait_s",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="Afterwards wait until ingest has tagged all that is on the bus, at most so long.",
)
@json_option
@connection_options
def cowrie(
    connection: Connection,
    *,
    paths: tuple[str, ...],
    nats_url: str | None,
    dry_run: bool,
    deadline_s: float,
    wait_s: float | None,
    as_json: bool,
) -> None:
    """Import Cowrie's JSON logs.

    PATH is a log file (plain, .gz, .xz or .bz2), a directory of them, or - for standard input.
    Rotated files of one log are joined in the order of their times. Lines that cannot be read are
    counted and reported, never fatal.
    """
    settings = connection.settings
    if not dry_run:
        settings = replace(settings, nats_url=nats_url or connection.nats_url)
    options = _Options(settings=settings, dry_run=dry_run, as_json=as_json, deadline_s=deadline_s)
    code = _import("cowrie", paths, options)
    if wait_s and not dry_run and not code:
        from decnet_ttp.cli.settle import wait_until_tagged

        run(wait_until_tagged(connection, wait_s))
    sys.exit(code)


def _import(adapter: str, paths: tuple[str, ...], options: _Options) -> int:
    """Runs one import; returns the exit code."""
    from decnet_ttp.sources.protocol import load
    from decnet_ttp.sources.publish import Published, PublishUnacknowledgedError

    source = load(adapter)
    counts = Published()
    started = time.monotonic()
    try:
        messages = source.read(paths)
    except OSError as error:
        click.echo(f"decnet-ttp: {error}", err=True)
        return 2
    failure = ""
    with _progress(source.tally) as progress:
        if options.dry_run:
            for number, _ in enumerate(messages):
                if not number % 500:
                    progress.update()
        else:
            import uvloop

            try:
                uvloop.run(_publish(messages, counts, options, progress))
            except BusUnreachableError as error:
                click.echo(f"decnet-ttp: {error}", err=True)
                return 1
            except PublishUnacknowledgedError as error:
                failure = str(error)
    _report(source, counts, options, time.monotonic() - started, stopped=bool(failure))
    if not failure and counts.failed:
        reasons = "; ".join(f"{count} {reason}" for reason, count in counts.refused.items())
        failure = f"the bus refused {counts.failed} messages ({reasons}); the others were imported"
    if failure:
        click.echo(f"decnet-ttp: {failure}", err=True)
    return 1 if failure else 0


async def _publish(
    messages: Iterator[Upstream], counts: Published, options: _Options, progress: _Progress
) -> None:
    from decnet_ttp.sources.publish import Publisher

    bus = await _open_bus(options.settings, options.deadline_s)
    try:
        publisher = Publisher(bus.js, deadline_s=options.deadline_s, counts=counts)
        await publisher.publish_all(messages, progress.update)
    finally:
        # Everything was acknowledged or given up: there is nothing to drain, and a bus that is
        # away would make draining wait. Closing on purpose is no disconnection worth a warning.
        logging.getLogger("decnet_ttp.runtime.bus").setLevel(logging.ERROR)
        with suppress(OSError):
            await bus.nc.close()


async def _open_bus(settings: Settings, deadline_s: float) -> Bus:
    import nats.errors

    from decnet_ttp.runtime.bus import connect_bus, ensure_streams_until_done

    bus = None
    try:
        async with asyncio.timeout(deadline_s):
            bus = await connect_bus(settings, name="decnet-ttp import")
            await ensure_streams_until_done(bus.js, settings)
    except (TimeoutError, OSError, nats.errors.Error) as error:
        if bus is not None:
            await bus.nc.close()
        place = urlsplit(settings.nats_url)
        raise BusUnreachableError(
            f"NATS at {place.hostname}:{place.port} cannot be used within {deadline_s:g} s "
            f"({type(error).__name__}); start it, or name another with --nats-url"
        ) from error
    return bus


def _summary(source: Source, counts: Published, options: _Options, took: float) -> dict[str, Any]:
    tally = source.tally
    return {
        "files": tally.files,
        "lines": tally.lines,
        "sessions": tally.sessions,
        "sessions_imported": counts.happenings_published,
        "sessions_duplicate": counts.happenings_duplicate,
        "sessions_left_out": tally.sessions_skipped,
        "commands": tally.commands,
        "auth_attempts": tally.auth_attempts,
        "payloads": tally.payloads,
        "messages_published": counts.published,
        "messages_refused": counts.failed,
        "problems": dict(sorted(tally.problems.items())),
        "seconds": round(took, 3),
        "sessions_per_s": round(tally.sessions / took, 1) if took > 0 else 0.0,
        "dry_run": options.dry_run,
    }


def _report(
    source: Source, counts: Published, options: _Options, took: float, *, stopped: bool
) -> None:
    tally = source.tally
    for problem in tally.listed:
        click.echo(f"  {problem}", err=True)
    unlisted = tally.problems.total() - len(tally.listed)
    if unlisted:
        click.echo(f"  and {unlisted} more of the same kinds", err=True)
    summary = _summary(source, counts, options, took)
    if options.as_json:
        print_json(summary)
        return
    rate = f"{took:.1f} s, {summary['sessions_per_s']:,.0f} sessions/s"
    done = "read, nothing published" if options.dry_run else "imported"
    if stopped:
        done = "stopped early"
    rows = [
        ("files", f"{tally.files:,}"),
        ("lines", f"{tally.lines:,}"),
        ("sessions", f"{tally.sessions:,}"),
        ("  imported", f"{counts.happenings_published:,}"),
        ("  known already", f"{counts.happenings_duplicate:,}"),
        ("  left out", f"{tally.sessions_skipped:,}"),
        ("commands", f"{tally.commands:,}"),
        ("log-in attempts", f"{tally.auth_attempts:,}"),
        ("payloads", f"{tally.payloads:,}"),
        *((f"problem: {reason}", f"{count:,}") for reason, count in sorted(tally.problems.items())),
    ]
    for name, value in rows:
        click.echo(f"{name:<28}{value:>12}")
    click.echo(f"{done} in {rate}")


@contextmanager
def _progress(tally: Tally) -> Iterator[_Progress]:
    if not sys.stderr.isatty():
        yield _PlainProgress(tally)
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    with Progress(
        TextColumn("importing"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TextColumn("{task.fields[sessions]:,} sessions, {task.fields[rate]:,.0f}/s"),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
    ) as bar:
        yield _BarProgress(tally, bar)


class _PlainProgress:
    """A line on standard error every few seconds."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._started = self._said = time.monotonic()

    def update(self) -> None:
        now = time.monotonic()
        if now - self._said < PLAIN_EVERY_S:
            return
        self._said = now
        sessions = self._tally.sessions
        click.echo(f"{sessions} sessions, {sessions / (now - self._started):.0f}/s", err=True)


class _BarProgress:
    """Rich's bar over the bytes read."""

    def __init__(self, tally: Tally, bar: Any) -> None:
        self._tally = tally
        self._bar = bar
        self._started = time.monotonic()
        self._task = bar.add_task("", total=tally.bytes_total or None, sessions=0, rate=0.0)

    def update(self) -> None:
        sessions = self._tally.sessions
        self._bar.update(
            self._task,
            completed=self._tally.bytes_done,
            sessions=sessions,
            rate=sessions / max(time.monotonic() - self._started, 1e-3),
        )
