# SPDX-License-Identifier: AGPL-3.0-or-later
"""`decnet-ttp import ADAPTER --follow`: logs onto the bus while they grow."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from decnet_ttp.cli.connection import Connection
from decnet_ttp.cli.import_bus import BusUnreachableError, open_bus
from decnet_ttp.cli.import_progress import report

if TYPE_CHECKING:
    from decnet_ttp.runtime.config import Settings
    from decnet_ttp.sources.cursor import CursorFile
    from decnet_ttp.sources.followed_logs import FollowedLogs
    from decnet_ttp.sources.log_source import LogSource
    from decnet_ttp.sources.protocol import Tally, Upstream
    from decnet_ttp.sources.publish import Published

#: How long the publication at hand may still take once the import is told to stop, in seconds.
STOP_GRACE_S = 5.0


@dataclass(frozen=True)
class Follow:
    """How logs are followed.

    Attributes:
        cursor: file of the cursor, None for one in the data directory.
        idle_s: seconds without a line after which a session counts as over.
        live: also publish what is new in sessions that go on.
    """

    cursor: Path | None
    idle_s: float
    live: bool


_OPTIONS = (
    click.option(
        "--follow", is_flag=True, help="Go on with what is appended, until SIGINT or SIGTERM."
    ),
    click.option(
        "--cursor",
        type=click.Path(path_type=Path, dir_okay=False),
        metavar="FILE",
        help="With --follow: where to remember how far the logs are published; "
        "default: in the data directory.",
    ),
    click.option(
        "--idle",
        "idle_s",
        type=click.FloatRange(min=0, min_open=True),
        default=3600.0,
        show_default=True,
        metavar="SECONDS",
        help="With --follow: a session that gains no line for so long counts as over.",
    ),
    click.option(
        "--closed-only",
        is_flag=True,
        help="With --follow: publish a session only when it is over, not as it goes on.",
    ),
)


def can_follow(adapter: Any) -> bool:
    """Whether an adapter reads logs that can be followed."""
    from decnet_ttp.sources.log_source import LogSource

    return isinstance(adapter, type) and issubclass(adapter, LogSource)


def follow_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of following."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def following(given: dict[str, Any]) -> Follow | None:
    """Take the options of following out of the given ones; None when nothing is to be followed.

    Raises:
        click.UsageError: options contradict each other.
    """
    if "follow" not in given:
        return None
    follow = given.pop("follow")
    chosen = Follow(given.pop("cursor"), given.pop("idle_s"), not given.pop("closed_only"))
    if not follow:
        if chosen.cursor is not None:
            raise click.UsageError("--cursor is for --follow; add it, or leave the cursor out")
        return None
    for name, option in (("dry_run", "--dry-run"), ("wait_s", "--wait")):
        if given[name]:
            raise click.UsageError(f"--follow has no end, so {option} does not go with it")
    if "-" in given["paths"]:
        raise click.UsageError("standard input cannot be followed; name the log's file")
    return chosen


def follow_logs(
    connection: Connection,
    name: str,
    make: Callable[[], Any],
    follow: Follow,
    *,
    paths: tuple[str, ...],
    nats_url: str | None,
    deadline_s: float,
    as_json: bool,
    **_: Any,
) -> None:
    """Follow logs until a signal comes, then tell what was done."""
    from decnet_ttp.embedded.layout import default_data_dir
    from decnet_ttp.sources.cursor import CursorError, CursorFile
    from decnet_ttp.sources.follow import Pace
    from decnet_ttp.sources.followed_logs import FollowedLogs
    from decnet_ttp.sources.protocol import Tally
    from decnet_ttp.sources.publish import Published

    settings = replace(connection.settings, nats_url=nats_url or connection.nats_url)
    started = time.monotonic()
    tally, counts = Tally(), Published()
    where = follow.cursor or _default_cursor(settings.data_dir or default_data_dir(), name, paths)

    def made() -> LogSource:
        source: LogSource = make()
        source.share(tally)
        return source

    code = 0
    try:
        cursors = CursorFile(where)
        try:
            pace = Pace(idle_s=follow.idle_s, live=follow.live)
            logs = FollowedLogs(paths, made, pace, cursors.load())
            try:
                _run(logs, cursors, settings, deadline_s, counts, tally)
            finally:
                logs.close()
        finally:
            cursors.close()
    except FileNotFoundError as error:
        click.echo(f"decnet-ttp: {error}", err=True)
        sys.exit(2)
    except (CursorError, BusUnreachableError) as error:
        click.echo(f"decnet-ttp: {error}", err=True)
        code = 1
    took = time.monotonic() - started
    report(tally, counts, took, as_json=as_json, dry_run=False, stopped=bool(code))
    sys.exit(code)


def _default_cursor(data_dir: Path, name: str, paths: Sequence[str]) -> Path:
    # By what was named, not by what is found: a directory's logs come and go.
    named = sorted({str(Path(path).absolute()) for path in paths})
    key = blake2b("\0".join(named).encode("utf-8", "surrogateescape"), digest_size=8)
    return data_dir / "cursors" / f"{name}-{key.hexdigest()}.json"


def _run(
    logs: FollowedLogs,
    cursors: CursorFile,
    settings: Settings,
    deadline_s: float,
    counts: Published,
    tally: Tally,
) -> None:
    import uvloop

    uvloop.run(_follow(logs, cursors, settings, deadline_s, counts, tally))


async def _follow(
    logs: FollowedLogs,
    cursors: CursorFile,
    settings: Settings,
    deadline_s: float,
    counts: Published,
    tally: Tally,
) -> None:
    from decnet_ttp.runtime.streams import EVENTS_STREAM, INGEST_DURABLE
    from decnet_ttp.sources.backlog import Backlog, BacklogStuckError
    from decnet_ttp.sources.follow import follow
    from decnet_ttp.sources.publish import Publisher, PublishUnacknowledgedError

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    told = _Problems(tally)
    async with open_bus(settings, deadline_s) as bus:
        backlog = Backlog(bus.js, EVENTS_STREAM, INGEST_DURABLE, patience_s=deadline_s)

        async def publish(messages: Sequence[Upstream]) -> None:
            told.tell()
            while True:
                try:
                    publisher = Publisher(
                        bus.js, deadline_s=deadline_s, counts=counts, backlog=backlog
                    )
                    await publisher.publish_all(iter(messages))
                except (PublishUnacknowledgedError, BacklogStuckError) as error:
                    # The log keeps what is not published, so there is no hurry to give up.
                    click.echo(f"decnet-ttp: still waiting for the bus: {error}", err=True)
                else:
                    return

        click.echo(f"following {len(logs)} logs, cursor in {cursors.path}", err=True)
        work = asyncio.create_task(follow(logs, publish, cursors, stop))
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({work, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        done, _ = await asyncio.wait({work}, timeout=STOP_GRACE_S)
        if not done:
            # The cursor lies before what is under way, so the next start publishes it.
            work.cancel()
            with suppress(asyncio.CancelledError):
                await work
            return
        work.result()


class _Problems:
    """Tells problems while they come, since there is no end at which to tell them."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._told = 0

    def tell(self) -> None:
        for problem in self._tally.listed[self._told :]:
            click.echo(f"  {problem}", err=True)
        self._told = len(self._tally.listed)
