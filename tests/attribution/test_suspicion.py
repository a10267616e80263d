# SPDX-License-Identifier: AGPL-3.0-or-later
"""When an identity is suspected to be several people, and when that is told."""

from __future__ import annotations

from uuid import UUID

import orjson
import pytest

from decnet_ttp.attribution.database import Database
from decnet_ttp.attribution.suspicion import Suspicion

WHO = UUID(int=7)


async def flag(database: Database, *primitives: str) -> None:
    """Put these primitives into state multi-actor, and no other."""
    async with database.connection() as connection:
        await connection.execute("DELETE FROM states")
        await connection.executemany(
            "INSERT INTO states VALUES ($1, $2, '\"a\"', 'multi_actor', 0.6, 9, now(), now())",
            [(WHO, name) for name in primitives],
        )


async def observe(database: Database, primitive: str, values: str) -> None:
    """Store one observation per recording."""
    async with database.connection() as connection:
        await connection.executemany(
            "INSERT INTO observations VALUES "
            "(gen_random_uuid(), $1, $1, now() + $2 * interval '1 s', now(), 1, $3, $4, '', $5, "
            "'')",
            [(WHO, place, primitive, value, f"e{place}") for place, value in enumerate(values)],
        )


async def announced(database: Database) -> list[list[str]]:
    """Take what the outbox holds."""
    async with database.connection() as connection:
        rows = await connection.fetch("DELETE FROM outbox RETURNING id, body")
    return [orjson.loads(row["body"])["payload"]["primitives"] for row in sorted(rows)]


async def test_one_primitive_is_no_suspicion(database: Database) -> None:
    await flag(database, "a")
    assert await Suspicion(database).look() == 0


async def test_two_primitives_are_told_once_even_after_a_restart(database: Database) -> None:
    await flag(database, "b", "a")
    assert await Suspicion(database).look() == 1
    assert await Suspicion(database).look() == 0
    assert await announced(database) == [["a", "b"]]


async def test_another_set_is_told_anew(database: Database) -> None:
    for primitives in (["a", "b"], ["a", "b", "c"], ["b", "c"], ["b", "d"]):
        await flag(database, *primitives)
        assert await Suspicion(database).look() == 1
        assert await announced(database) == [primitives]


async def test_a_suspicion_that_ended_is_told_again_when_it_returns(database: Database) -> None:
    await flag(database, "a", "b")
    await Suspicion(database).look()
    await flag(database, "a")
    assert await Suspicion(database).look() == 0
    await flag(database, "a", "b")
    assert await Suspicion(database).look() == 1
    assert await announced(database) == [["a", "b"], ["a", "b"]]


async def test_the_announcement_holds_what_subscribers_read(database: Database) -> None:
    await flag(database, "a", "b")
    await Suspicion(database).look()
    async with database.connection() as connection:
        row = await connection.fetchrow("SELECT subject, body FROM outbox")
        since = await connection.fetchval("SELECT suspected_at FROM suspects")
    payload = orjson.loads(row["body"])["payload"]
    assert row["subject"] == "attribution.profile.multi_actor_suspected"
    assert abs(payload.pop("ts") - since / 1e6) < 60
    assert payload == {
        "identity_uuid": str(WHO),
        "primitives": ["a", "b"],
        "evidence_summary": "2 primitives flagged multi_actor",
        "confidence": 0.6,
    }


@pytest.mark.parametrize(
    ("left", "right", "confidence"),
    [
        ("ABABA", "xyxyx", 0.6),
        ("ABABA", "yxyxy", 0.6),
        ("ABABA", "xyyxy", 0.3),
        ("ABABA", "xyxyy", 0.3),
        ("CCABABA", "zzxyxyx", 0.6),
        ("ABABA", "xyx", 0.6),
    ],
)
async def test_primitives_that_change_at_different_times_count_for_less(
    database: Database, left: str, right: str, confidence: float
) -> None:
    await flag(database, "a", "b")
    await observe(database, "a", left)
    await observe(database, "b", right)
    await Suspicion(database).look()
    async with database.connection() as connection:
        stored = await connection.fetchval("SELECT confidence FROM suspects")
        body = await connection.fetchval("SELECT body FROM outbox")
    assert stored == orjson.loads(body)["payload"]["confidence"] == confidence
