# SPDX-License-Identifier: AGPL-3.0-or-later
"""PostgreSQL: one URL, as SQLAlchemy and as asyncpg want it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import asyncpg

from decnet_ttp.runtime.config import SettingsError

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

Initialise = Callable[[Any], Coroutine[Any, Any, None]]


def asyncpg_dsn(database_url: str) -> str:
    """Return the URL for asyncpg, which knows no driver suffix.

    Raises:
        SettingsError: It is no PostgreSQL URL.
    """
    if not database_url:
        raise SettingsError("DECNET_TTP_DATABASE_URL is not set; name a PostgreSQL server")
    try:
        parts = urlsplit(database_url)
        port = parts.port
    except ValueError as error:
        raise _no_url() from error
    backend = parts.scheme.partition("+")[0]
    if not backend or "://" not in database_url or port == 0:
        raise _no_url()
    if backend not in {"postgresql", "postgres"}:
        raise SettingsError(f"DECNET_TTP_DATABASE_URL names {backend}; use postgresql://…")
    return f"postgresql://{database_url.partition('://')[2]}"


def _no_url() -> SettingsError:
    return SettingsError("DECNET_TTP_DATABASE_URL is no URL; use postgresql://user@host/name")


def sqlalchemy_url(database_url: str) -> URL:
    """Return the URL for SQLAlchemy over asyncpg.

    Raises:
        SettingsError: It is no PostgreSQL URL.
    """
    # Only migrations need SQLAlchemy; it costs every other start 15 MB and half a second.
    from sqlalchemy.engine import make_url  # noqa: PLC0415 - see above
    from sqlalchemy.exc import ArgumentError  # noqa: PLC0415 - see above

    try:
        url = make_url(asyncpg_dsn(database_url))
    except (ArgumentError, ValueError) as error:
        raise _no_url() from error
    return url.set(drivername="postgresql+asyncpg")


async def open_pool(
    database_url: str,
    *,
    schema: str,
    application_name: str,
    max_size: int = 8,
    init: Initialise | None = None,
    timeout_s: float = 10.0,
) -> asyncpg.Pool[Any]:
    """Open a pool whose connections see one schema.

    Args:
        database_url: As in the settings.
        schema: Search path of every connection.
        application_name: Name shown in pg_stat_activity.
        max_size: Connections at most.
        init: Called once with each new connection.
        timeout_s: How long a connect may take, in seconds.

    Raises:
        OSError: The server is away.
        asyncpg.PostgresError: The server refuses.
    """
    pool: asyncpg.Pool[Any] = await asyncpg.create_pool(
        asyncpg_dsn(database_url),
        # A server that is away is no error of a pool that has nothing to do.
        min_size=0,
        max_size=max_size,
        init=init,
        timeout=timeout_s,
        server_settings={"search_path": schema, "application_name": application_name},
    )
    return pool
