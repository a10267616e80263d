# SPDX-License-Identifier: AGPL-3.0-or-later
"""What an import tells while it runs and when it is done."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

import click

from decnet_ttp.cli.output import print_json

if TYPE_CHECKING:
    from decnet_ttp.sources.protocol import Tally
    from decnet_ttp.sources.publish import Published

PLAIN_EVERY_S = 5.0


class Progress(Protocol):
    """Shows how far an import has come."""

    def update(self) -> None:
        """Show the counts as they are now, if it is time to."""


def _summary(tally: Tally, counts: Published, took: float, *, dry_run: bool) -> dict[str, Any]:
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
        "http_requests": tally.http_requests,
        "mails": tally.mails,
        "messages_published": counts.published,
        "messages_duplicate": counts.duplicates,
        "messages_refused": counts.failed,
        "problems": dict(sorted(tally.problems.items())),
        "seconds": round(took, 3),
        "sessions_per_s": round(tally.sessions / took, 1) if took > 0 else 0.0,
        "dry_run": dry_run,
    }


def report(
    tally: Tally, counts: Published, took: float, *, as_json: bool, dry_run: bool, stopped: bool
) -> None:
    """Print problems on standard error and the counts on standard output.

    Args:
        tally: what was read.
        counts: what was published.
        took: how long it took, in seconds.
        as_json: print the counts as one JSON object.
        dry_run: nothing was to be published.
        stopped: publishing ended early.
    """
    for problem in tally.listed:
        click.echo(f"  {problem}", err=True)
    unlisted = tally.problems.total() - len(tally.listed)
    if unlisted:
        click.echo(f"  and {unlisted} more of the same kinds", err=True)
    summary = _summary(tally, counts, took, dry_run=dry_run)
    if as_json:
        print_json(summary)
        return
    rate = f"{took:.1f} s, {summary['sessions_per_s']:,.0f} sessions/s"
    done = "read, nothing published" if dry_run else "imported"
    if stopped:
        done = "stopped early"
    rows = [
        ("files", tally.files),
        ("lines", tally.lines),
        ("sessions", tally.sessions),
        ("  imported", counts.happenings_published),
        ("  known already", counts.happenings_duplicate),
        ("  left out", tally.sessions_skipped),
        ("commands", tally.commands),
        ("log-in attempts", tally.auth_attempts),
        ("payloads", tally.payloads),
        ("HTTP requests", tally.http_requests),
        ("mails", tally.mails),
        ("messages", counts.published),
        *((f"problem: {reason}", count) for reason, count in sorted(tally.problems.items())),
    ]
    for name, value in rows:
        click.echo(f"{name:<28}{value:>12,}")
    click.echo(f"{done} in {rate}")


@contextmanager
def progress_of(tally: Tally) -> Iterator[Progress]:
    """Show the progress of a reading: a bar on a terminal, else a line now and then."""
    if not sys.stderr.isatty():
        yield _PlainProgress(tally)
        return
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as RichProgress

    with RichProgress(
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
