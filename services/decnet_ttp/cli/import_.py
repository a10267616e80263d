# SPDX-License-Identifier: AGPL-3.0-or-later
"""`decnet-ttp import`: recorded and live telemetry onto the bus, one command an adapter."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from decnet_ttp.cli.connection import Connection, connection_options, run
from decnet_ttp.cli.import_bus import BusUnreachableError, open_bus
from decnet_ttp.cli.import_follow import can_follow, follow_logs, follow_options, following
from decnet_ttp.cli.import_progress import Progress, progress_of, report
from decnet_ttp.cli.output import json_option

if TYPE_CHECKING:
    from decnet_ttp.runtime.config import Settings
    from decnet_ttp.sources.protocol import (
        Source,
        SourceOption,
        SourceUnusableError,
        Upstream,
    )
    from decnet_ttp.sources.publish import Published


@dataclass(frozen=True, kw_only=True)
class _Import:
    settings: Settings
    dry_run: bool
    as_json: bool
    deadline_s: float


class _Adapters(click.Group):
    """One command for each adapter that is installed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the adapters."""
        from decnet_ttp.sources.protocol import source_names

        return source_names()

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Make the command of an adapter."""
        from decnet_ttp.sources.protocol import (
            SourceUnknownError,
            SourceUnusableError,
            load_class,
        )

        try:
            adapter = load_class(cmd_name)
        except SourceUnknownError:
            return None
        except SourceUnusableError as error:
            # The others are listed, and run, all the same.
            return _unusable(cmd_name, error)
        return _command(cmd_name, adapter)


@click.group(name="import", cls=_Adapters)
def import_group() -> None:
    """Publish recorded telemetry on the bus.

    Importing the same input again adds nothing: every message and everything in it keeps its id.
    """


_PARAMETERS = (
    click.argument("paths", nargs=-1, required=True, metavar="PATH..."),
    click.option(
        "--nats-url",
        metavar="URL",
        help="Bus to publish on [DECNET_TTP_NATS_URL]; default: the embedded installation's.",
    ),
    click.option("--dry-run", is_flag=True, help="Read and count, publish nothing."),
    click.option(
        "--deadline",
        "deadline_s",
        type=click.FloatRange(min=0, min_open=True),
        default=60.0,
        show_default=True,
        metavar="SECONDS",
        help="How long to wait for a bus that is away before giving up.",
    ),
    click.option(
        "--wait",
        "wait_s",
        type=click.FloatRange(min=0, min_open=True),
        metavar="SECONDS",
        help="Afterwards wait until ingest has tagged all that is on the bus, at most so long.",
    ),
    json_option,
    connection_options,
)

_PATHS_HELP = """PATH is a file (plain, .gz, .xz or .bz2), a directory of them, or - for standard
input. What cannot be read is counted and reported, never fatal."""


def _command(name: str, adapter: Any) -> click.Command:
    options: tuple[SourceOption, ...] = getattr(adapter, "options", ())

    def callback(connection: Connection, **given: Any) -> None:
        chosen = {option.name: given.pop(option.name) for option in options}
        if given["dry_run"]:
            chosen = {o.name: chosen[o.name] for o in options if not o.writes}
        keywords = {key: value for key, value in chosen.items() if value is not None}
        follow = following(given)
        if follow is None:
            _run(connection, adapter(**keywords), **given)
        else:
            follow_logs(connection, name, partial(adapter, **keywords), follow, **given)

    if can_follow(adapter):
        callback = follow_options(callback)
    for option in reversed(options):
        callback = click.option(
            f"--{option.name.replace('_', '-')}",
            option.name,
            type=_Parsed(option),
            default=option.default or None,
            show_default=bool(option.default),
            envvar=option.variable or None,
            metavar=option.metavar,
            help=option.doc,
        )(callback)
    for parameter in reversed(_PARAMETERS):
        callback = parameter(callback)
    summary = getattr(adapter, "summary", f"Import with the adapter {name}.")
    return click.command(name=name, help=f"{summary}\n\n{_PATHS_HELP}", short_help=summary)(
        callback
    )


def _unusable(name: str, error: SourceUnusableError) -> click.Command:
    def callback() -> None:
        raise error

    lenient = {"ignore_unknown_options": True, "allow_extra_args": True}
    return click.Command(
        name, callback=callback, short_help="(cannot be imported)", context_settings=lenient
    )


class _Parsed(click.ParamType[object]):
    """The text of an adapter's option, parsed as the adapter says."""

    def __init__(self, option: SourceOption) -> None:
        self.name = option.metavar
        self._option = option

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> object:
        """Parse the value."""
        try:
            return self._option.parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def _run(
    connection: Connection,
    source: Source,
    *,
    paths: tuple[str, ...],
    nats_url: str | None,
    dry_run: bool,
    deadline_s: float,
    wait_s: float | None,
    as_json: bool,
) -> None:
    settings = connection.settings
    if not dry_run:
        settings = replace(settings, nats_url=nats_url or connection.nats_url)
    work = _Import(settings=settings, dry_run=dry_run, as_json=as_json, deadline_s=deadline_s)
    code = _import(source, paths, work)
    if wait_s and not dry_run and not code:
        from decnet_ttp.cli.settle import wait_until_tagged

        run(wait_until_tagged(connection, wait_s))
    sys.exit(code)


def _import(source: Source, paths: tuple[str, ...], work: _Import) -> int:
    """Runs one import; returns the exit code."""
    from decnet_ttp.sources.backlog import BacklogStuckError
    from decnet_ttp.sources.publish import Published, PublishUnacknowledgedError

    counts = Published()
    started = time.monotonic()
    try:
        messages = source.read(paths)
    except OSError as error:
        click.echo(f"decnet-ttp: {error}", err=True)
        return 2
    failure = ""
    with progress_of(source.tally) as progress:
        if work.dry_run:
            for number, _ in enumerate(messages):
                if not number % 500:
                    progress.update()
        else:
            import uvloop

            try:
                uvloop.run(_publish(messages, counts, work, progress))
            except BusUnreachableError as error:
                click.echo(f"decnet-ttp: {error}", err=True)
                return 1
            except (PublishUnacknowledgedError, BacklogStuckError) as error:
                failure = str(error)
    report(
        source.tally,
        counts,
        time.monotonic() - started,
        as_json=work.as_json,
        dry_run=work.dry_run,
        stopped=bool(failure),
    )
    if not failure and counts.failed:
        reasons = "; ".join(f"{count} {reason}" for reason, count in counts.refused.items())
        failure = f"the bus refused {counts.failed} messages ({reasons}); the others were imported"
    if failure:
        click.echo(f"decnet-ttp: {failure}", err=True)
    return 1 if failure else 0


async def _publish(
    messages: Iterator[Upstream], counts: Published, work: _Import, progress: Progress
) -> None:
    from decnet_ttp.runtime.streams import EVENTS_STREAM, INGEST_DURABLE
    from decnet_ttp.sources.backlog import Backlog
    from decnet_ttp.sources.publish import Publisher

    async with open_bus(work.settings, work.deadline_s) as bus:
        backlog = Backlog(bus.js, EVENTS_STREAM, INGEST_DURABLE, patience_s=work.deadline_s)
        publisher = Publisher(bus.js, deadline_s=work.deadline_s, counts=counts, backlog=backlog)
        await publisher.publish_all(messages, progress.update)
