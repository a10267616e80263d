# SPDX-License-Identifier: AGPL-3.0-or-later
"""Running Alembic over asyncpg, under an advisory lock."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from decnet_ttp.runtime.database import sqlalchemy_url
from decnet_ttp.tag_store.migrations.beforehand import build_indexes

#: Key of the lock that lets one process migrate at a time ("dttp" and "tags" in ASCII).
_LOCK_KEY = 0x64747470_74616773


def alembic_config(schema: str) -> Config:
    """Return Alembic's configuration, which needs no file."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["schema"] = schema
    return config


async def _run(database_url: str, schema: str, step: Callable[[Config], None]) -> None:
    config = alembic_config(schema)
    engine = create_async_engine(
        sqlalchemy_url(database_url),
        poolclass=NullPool,
        connect_args={"server_settings": {"search_path": schema}},
    )

    def run(connection: Connection) -> None:
        config.attributes["connection"] = connection
        step(config)

    try:
        async with engine.connect() as connection:
            # Held by the transaction that migrates, so it goes with it however that ends.
            await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK_KEY})
            await connection.execute(text(f'CREATE SCHEMA IF NOT EXISTS "{schema}"'))
            await connection.run_sync(run)
            await connection.commit()
    finally:
        await engine.dispose()


async def upgrade(database_url: str, *, schema: str, revision: str) -> None:
    """Migrate forward to a revision; all of it happens, or nothing but the indexes built before."""
    await build_indexes(database_url, schema=schema, revision=revision)
    await _run(database_url, schema, lambda config: command.upgrade(config, revision))


async def downgrade(database_url: str, *, schema: str, revision: str) -> None:
    """Migrate back to a revision ("base": before the first); all of it happens, or nothing."""
    await _run(database_url, schema, lambda config: command.downgrade(config, revision))
