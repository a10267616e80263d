# SPDX-License-Identifier: AGPL-3.0-or-later
"""Which installation a command talks to: the embedded one, or the servers the settings name."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import click

from decnet_ttp.core.errors import DeadlineExceededError, UnavailableError
from decnet_ttp.runtime.config import Settings, SettingsError, load_settings

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])

#: Deadline of one reading call, in seconds.
CALL_TIMEOUT_S = 30.0

#: Most rows a service puts on one page.
PAGE_ROWS = 1000

# A service that restarts between two pages is waited for; one that never answered is not.
_LATER_PAGE_ATTEMPTS_S = 10.0


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

    def targets(self, services: str) -> tuple[str, ...]:
        """Return the gRPC targets of a service of which there are several ("taggers").

        Raises:
            SettingsError: Neither a setting nor a running embedded installation names one.
        """
        explicit: tuple[str, ...] = getattr(self.settings, services)
        return explicit or tuple(getattr(self._embedded(), services))

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
    """Open a channel to a service, do the work with it, close it.

    Raises:
        DecnetError: What a call answered; a service that is away is named with the cure.
    """
    return await with_target(connection, service, connection.target(service), work)


async def with_target(
    connection: Connection, service: str, target: str, work: Callable[[Any], Awaitable[T]]
) -> T:
    """As with_channel, to the target given; the service's name is for people.

    Raises:
        DecnetError: What a call answered; a service that is away is named with the cure.
    """
    from decnet_ttp.runtime.clients import open_channel
    from decnet_ttp.runtime.unreached import explain_unreached

    try:
        async with open_channel(target, connection.settings) as channel:
            return await work(channel)
    except DeadlineExceededError as error:
        raise DeadlineExceededError(
            f"the {_spoken(service)} at {target} did not answer within {CALL_TIMEOUT_S:g} s; "
            "see `decnet-ttp status` and its log",
            target=target,
        ) from error
    except UnavailableError as error:
        why = explain_unreached(error.reason, connection.settings)
        if why is None and "reason" in vars(error):
            # The service itself said so and knows why.
            raise
        said = (
            f": {why}"
            if why
            else "; start it with `decnet-ttp up`, or name another with "
            f"DECNET_TTP_{service.upper()}"
        )
        raise UnavailableError(
            f"the {_spoken(service)} at {target} cannot be reached{said}", target=target
        ) from error


def _spoken(service: str) -> str:
    return service.replace("_", "-")


class Listing:
    """The rows of a paged call, page after page.

    Args:
        method: Method of a stub whose request has page_size and page_token.
        request: The request; its paging fields are set here.
        field: Field of the response that holds the rows.
        limit: Rows at most; 0: all.

    Attributes:
        truncated: Whether there were more rows than the limit; known at the end.
    """

    def __init__(self, method: Any, request: Any, field: str, *, limit: int = 0) -> None:
        self._method = method
        self._request = request
        self._field = field
        self._limit = limit
        self.truncated = False

    async def __aiter__(self) -> AsyncIterator[Any]:
        """Yield the rows in the order of the service."""
        from decnet_ttp.runtime.clients import call

        left = self._limit
        request = type(self._request)()
        request.CopyFrom(self._request)
        while True:
            request.page_size = min(left, PAGE_ROWS) if self._limit else PAGE_ROWS
            page: Any = await call(
                self._method,
                request,
                timeout_s=CALL_TIMEOUT_S,
                attempts_s=_LATER_PAGE_ATTEMPTS_S if request.page_token else 0.0,
            )
            for row in getattr(page, self._field):
                yield row
                left -= 1
            request.page_token = page.next_page_token
            if not request.page_token:
                return
            if self._limit and left <= 0:
                self.truncated = True
                return
