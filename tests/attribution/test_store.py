# SPDX-License-Identifier: AGPL-3.0-or-later
"""What is stored, over a real PostgreSQL."""

from __future__ import annotations

import asyncio
import random

import orjson
import pytest

from attribution.observing import ATTACKER, START_S, observation
from attribution.stored import REGISTRY, fetch, many, record, states
from decnet_ttp.attribution.batch import Batch, Recorded
from decnet_ttp.attribution.database import Database
from decnet_ttp.attribution.directory import stub_identity
from decnet_ttp.attribution.store import Store


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_any_order_and_any_batches_give_the_same_states(
    database: Database, seed: int
) -> None:
    items = many(seed, 400)
    store = Store(database, REGISTRY)
    await record(store, items)
    expected = await states(database)
    async with database.connection() as connection:
        await connection.execute("TRUNCATE members, observations, states, transitions, outbox")
    rng = random.Random(seed)  # noqa: S311 - seeded test input
    rng.shuffle(items)
    while items:
        size = rng.randint(1, 60)
        await record(store, items[:size])
        items = items[size:]
    assert len(expected) > 6
    assert await states(database) == expected


async def test_a_replay_stores_nothing_and_announces_nothing(database: Database) -> None:
    store = Store(database, REGISTRY)
    items = many(4, 300)
    first = await record(store, items)
    expected = await states(database)
    outbox = await fetch(database, "SELECT id FROM outbox")
    assert first.transitions == len(outbox) > 0
    assert await record(store, items) == Recorded(0, 0)
    for item in items[:20]:
        assert await record(store, [item]) == Recorded(0, 0)
    assert await states(database) == expected
    assert await fetch(database, "SELECT id FROM outbox") == outbox


async def test_two_writers_at_once_arrive_at_the_same_states(database: Database) -> None:
    items = many(5, 300)
    await asyncio.gather(
        *(record(Store(database, REGISTRY), items[start::6]) for start in range(6))
    )
    expected = await states(database)
    async with database.connection() as connection:
        await connection.execute("TRUNCATE members, observations, states, transitions, outbox")
    await record(Store(database, REGISTRY), items)
    assert await states(database) == expected


async def test_a_change_of_state_is_announced_with_all_it_needs(
    database: Database, store: Store
) -> None:
    for place in range(4):
        made = observation("steady", evidence=f"e{place}", at_s=START_S + place)
        await record(store, [made])
    bodies = await fetch(database, "SELECT subject, body FROM outbox ORDER BY id")
    assert [subject for subject, _ in bodies] == ["attribution.profile.state_changed"] * 2
    envelope = orjson.loads(bodies[1][1])
    assert envelope["type"] == "profile.state_changed"
    assert envelope["payload"] == {
        "identity_uuid": str(stub_identity(ATTACKER)),
        "primitive": "motor.keystroke_cadence",
        "old_state": "unknown",
        "new_state": "stable",
        "current_value": "steady",
        "confidence": 1.0,
        "observation_count": 3,
        "ts": START_S + 2,
    }


@pytest.mark.parametrize("told_s", [-9e10, 0.0, 9e10])
async def test_a_sensor_without_a_calendar_is_stored(
    database: Database, store: Store, told_s: float
) -> None:
    """Its time of telling only orders versions; whatever it is, it may not hold up the batch."""
    made = observation("x", produced_s=told_s)
    assert await record(store, [made]) == Recorded(1, 1)
    assert await fetch(database, "SELECT produced_at FROM observations") == [(made.produced,)]
    assert await record(store, [made]) == Recorded(0, 0)


async def test_text_with_nul_characters_is_stored(database: Database, store: Store) -> None:
    await record(store, [observation("a\0b")])
    assert await fetch(database, "SELECT value FROM states") == [('"a\\u0000b"',)]


async def test_refusals_are_counted_by_reason(database: Database, store: Store) -> None:
    batch = Batch()
    batch.refusals.update(["value_not_allowed", "value_not_allowed", "no_attacker"])
    await store.record(batch)
    await store.record(batch)
    assert await fetch(database, "SELECT reason, count FROM refusals ORDER BY 1") == [
        ("no_attacker", 2),
        ("value_not_allowed", 4),
    ]
