# SPDX-License-Identifier: AGPL-3.0-or-later
"""What `up` shows on standard error: a live list on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Self

import click

from decnet_ttp.embedded.layout import ChildReport, ChildState

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table

_MARKS = {
    ChildState.STARTING: "[yellow]…[/]",
    ChildState.READY: "[green]✔[/]",
    ChildState.WAITING: "[red]✘[/]",
    ChildState.STOPPING: "[yellow]…[/]",
    ChildState.STOPPED: "[dim]■[/]",
}


class StartupList:
    """The children and their states, as they change."""

    def __init__(self) -> None:
        self._reports: dict[str, ChildReport] = {}
        self._live: Live | None = None

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.live import Live

            # Without its refreshing thread: the supervisor stays a single-threaded program.
            self._live = Live(console=Console(stderr=True), auto_refresh=False)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.finish()

    def finish(self) -> None:
        """Leave the list standing; later changes are plain lines."""
        live, self._live = self._live, None
        if live is not None:
            with suppress(OSError):
                live.stop()

    def changed(self, report: ChildReport) -> None:
        """Show the new state of a child."""
        known = self._reports.get(report.name)
        self._reports[report.name] = report
        # A terminal that went away must not keep the supervisor from stopping in good order.
        with suppress(OSError):
            self._show(report, known)

    def say(self, line: str) -> None:
        """Print a line."""
        with suppress(OSError):
            click.echo(line, err=True)

    def _show(self, report: ChildReport, known: ChildReport | None) -> None:
        if self._live is not None:
            self._live.update(self._table(), refresh=True)
        elif known is None or known.state is not report.state:
            moment = datetime.fromtimestamp(report.since, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            click.echo(f"{moment} {report.name}: {_words(report)}", err=True)

    def _table(self) -> Table:
        from rich.table import Table

        table = Table.grid(padding=(0, 1))
        for report in self._reports.values():
            table.add_row(_MARKS[report.state], report.name, _words(report))
        return table


def _words(report: ChildReport) -> str:
    words = report.state.value
    if report.state is ChildState.WAITING:
        words += f" after {report.last_exit}"
    if report.restarts:
        words += f" (restart {report.restarts})"
    return words
