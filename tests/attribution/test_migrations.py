# SPDX-License-Identifier: AGPL-3.0-or-later
"""A database of an earlier release is brought up to date, with what it holds."""

from __future__ import annotations

import asyncpg
import pytest

from attribution.stored import fetch, many, record, states
from decnet_ttp.attribution.database import Database
from decnet_ttp.attribution.migrate import HEAD, SCHEMA, schema_version
from decnet_ttp.attribution.migrations.runner import upgrade
from decnet_ttp.attribution.primitives import Registry
from decnet_ttp.attribution.store import Store

_FILL = """
SET search_path TO attribution;
INSERT INTO members VALUES (gen_random_uuid(), gen_random_uuid(), false);
INSERT INTO refusals VALUES ('no_attacker', 3);
"""


@pytest.mark.parametrize("revision", ["0001", "0002"])
async def test_rows_of_an_earlier_release_stay(database_url: str, revision: str) -> None:
    await upgrade(database_url, schema=SCHEMA, revision=revision)
    assert await schema_version(database_url) == revision
    connection = await asyncpg.connect(database_url)
    await connection.execute(_FILL)
    await connection.close()
    database = Database(database_url)
    await database.open()
    try:
        assert await schema_version(database_url) == HEAD
        store = Store(database, Registry())
        assert (await record(store, many(1, 40))).stored > 0
        assert await states(database)
        assert await fetch(database, "SELECT count FROM refusals") == [(3,)]
        assert await fetch(database, "SELECT count(*) FROM members WHERE NOT stub") == [(1,)]
        assert await store.place(0) is None
    finally:
        await database.close()
