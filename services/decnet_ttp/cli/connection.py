# SPDX-License-Identifier: AGPL-3.0-or-later
"""Which installation a command talks to: the embedded one, or the servers the settings name."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import click

from decnet_ttp.runtime.config import Settings, SettingsError, load_settings

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])

#: Deadline of one reading call, in seconds.
CALL_TIMEOUT_S = 30.0


@dataclass(frozen=True)
class Connection:
    """The settings with every target filled in.

    Attributes:
        settings: Targets of the services, the bus, certificates.
    """

    settings: Settings

    def target(self, service: str) -> str:
        """Return the gRPC target of a service ("tag_store", "rule_store", "ingest", …).

        Raises:
            SettingsError: Neither a setting nor a running embedded installation names it.
        """
        explicit: str = getattr(self.settings, service)
        return explicit or str(getattr(self._embedded(), service))

    @property
    def nats_url(self) -> str:
        """URL of the bus.

        Raises:
            SettingsError: Neither a setting nor a running embedded installation names it.
        """
        return self.settings.nats_url or str(self._embedded().nats_url)

    def _embedded(self) -> Any:
        from decnet_ttp.embedded.layout import (
            NotRunning,
            load_instance,
        )

        try:
            return load_instance(self.settings.data_dir)
        except NotRunning as error:
            raise SettingsError(str(error)) from error


def connection_options(command: F) -> F:
    """Add `--data-dir` and hand the command a Connection as its first argument."""

    @click.option(
        "--data-dir",
        type=click.Path(path_type=Path),
        help="Embedded installation to talk to [DECNET_TTP_DATA_DIR].",
    )
    @wraps(command)
    def wrapped(*args: Any, data_dir: Path | None, **kwargs: Any) -> Any:
        return command(Connection(load_settings(data_dir=data_dir)), *args, **kwargs)

    return wrapped  # type: ignore[return-value]  # click.option keeps the callable's type loose


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a command's coroutine."""
    return asyncio.run(main)


async def with_channel(
    connection: Connection, service: str, work: Callable[[Any], Awaitable[T]]
) -> T:
    """Open a channel to a service, do the work with it, close it."""
    from decnet_ttp.runtime.clients import open_channel

    async with open_channel(connection.target(service), connection.settings) as channel:
        return await work(channel)
