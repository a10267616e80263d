# SPDX-License-Identifier: AGPL-3.0-or-later
"""PostgreSQL: one URL, as SQLAlchemy and as asyncpg want it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import asyncpg
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from decnet_ttp.runtime.config import SettingsError

Initialise = Callable[[Any], Coroutine[Any, Any, None]]


def sqlalchemy_url(database_url: str) -> URL:
    """Return the URL for SQLAlchemy over asyncpg.

    Raises:
        SettingsError: It is no PostgreSQL URL.
    """
    if not database_url:
        raise SettingsError("DECNET_TTP_DATABASE_URL is not set; name a PostgreSQL server")
    try:
        url = make_url(database_url)
    except (ArgumentError, ValueError) as error:
        raise SettingsError(
            "DECNET_TTP_DATABASE_URL is no URL; use postgresql://user@host/name"
        ) from error
    if url.get_backend_name() != "postgresql":
        raise SettingsError(
            f"DECNET_TTP_DATABASE_URL names {url.get_backend_name()}; use postgresql://…"
        )
    return url.set(drivername="postgresql+asyncpg")


def asyncpg_dsn(database_url: str) -> str:
    """Return the URL for asyncpg, which knows no driver suffix."""
    url = sqlalchemy_url(database_url).set(drivername="postgresql")
    return url.render_as_string(hide_password=False)


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
        min_size=1,
        max_size=max_size,
        init=init,
        timeout=timeout_s,
        server_settings={"search_path": schema, "application_name": application_name},
    )
    return pool
