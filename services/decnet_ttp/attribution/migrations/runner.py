# SPDX-License-Identifier: AGPL-3.0-or-later
"""Alembic over asyncpg, one process at a time."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from decnet_ttp.runtime.database import sqlalchemy_url

#: Key of the advisory lock of the migrations ("dttp" and "attr" in ASCII).
_LOCK_KEY = 0x64747470_61747472


async def upgrade(database_url: str, *, schema: str, revision: str) -> None:
    """Migrate to a revision; all of it happens, or nothing.

    Raises:
        OSError: The server is away.
        sqlalchemy.exc.SQLAlchemyError: The server refuses.
    """
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["schema"] = schema

    def run(connection: Connection) -> None:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)

    engine = create_async_engine(
        sqlalchemy_url(database_url),
        poolclass=NullPool,
        connect_args={"server_settings": {"search_path": schema}},
    )
    try:
        async with engine.connect() as connection:
            await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK_KEY})
            await connection.execute(text(f'CREATE SCHEMA IF NOT EXISTS "{schema}"'))
            await connection.run_sync(run)
            await connection.commit()
    finally:
        await engine.dispose()
