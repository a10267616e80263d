# SPDX-License-Identifier: AGPL-3.0-or-later
"""What is stored, over a real PostgreSQL."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

import orjson
import pytest

from attribution.observing import ATTACKER, START_S, observation
from decnet_ttp.attribution.batch import Batch, Recorded
from decnet_ttp.attribution.database import Database
from decnet_ttp.attribution.directory import Membership, NoDirectory, stub_identity
from decnet_ttp.attribution.membership import MembershipFollower
from decnet_ttp.attribution.observations import Observation
from decnet_ttp.attribution.primitives import Primitive, Registry
from decnet_ttp.attribution.states import Kind
from decnet_ttp.attribution.store import Store

REGISTRY = Registry({"number": Primitive(Kind.NUMERIC), "print": Primitive(Kind.HASH)})
ATTACKERS = [UUID(int=place) for place in range(1, 5)]


async def record(store: Store, observations: Sequence[Observation]) -> Recorded:
    unknown = await store.unknown_attackers(item.attacker for item in observations)
    memberships = await NoDirectory().resolve(unknown)
    return await store.record(Batch(list(observations), memberships))


async def fetch(database: Database, sql: str) -> list[tuple[Any, ...]]:
    async with database.connection() as connection:
        return [tuple(row) for row in await connection.fetch(sql)]


async def states(database: Database) -> list[tuple[Any, ...]]:
    """Everything of the states that must not depend on the order of arrival."""
    return await fetch(
        database,
        "SELECT identity_uuid, primitive, value, state, confidence, observation_count, observed_at "
        "FROM states ORDER BY 1, 2",
    )


def many(seed: int, count: int) -> list[Observation]:
    """Observations of few attackers with replacements, equal times and recordings that move."""
    rng = random.Random(seed)  # noqa: S311 - seeded test input
    values: dict[str, list[object]] = {
        "category": ["A", "B", ["list", 1]],
        "number": [1, 2, 3.5, 400],
        "print": ["a", "b", "c", "d", "e"],
    }
    return [
        observation(
            rng.choice(values[primitive]),
            primitive=primitive,
            evidence=f"recording {rng.randrange(60)}",
            at_s=START_S + rng.randrange(100) * 3_600,
            produced_s=rng.randrange(4),
            attacker=rng.choice(ATTACKERS),
        )
        for primitive in rng.choices(list(values), k=count)
    ]


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


class ToldDirectory:
    """A directory whose word the test sets."""

    def __init__(self) -> None:
        self.identities: dict[UUID, UUID] = {}

    async def resolve(self, attackers: Iterable[UUID]) -> list[Membership]:
        return [
            Membership(item, self.identities[item], stub=False)
            if item in self.identities
            else Membership(item, stub_identity(item), stub=True)
            for item in attackers
        ]

    async def memberships(self) -> Any:
        yield await self.resolve(ATTACKERS)


async def test_states_follow_identities_that_merge_and_split(database: Database) -> None:
    """States of a new membership are those its observations would always have given."""
    store = Store(database, REGISTRY)
    items = many(6, 200)
    await record(store, items)
    apart = await states(database)
    directory = ToldDirectory()
    follower = MembershipFollower(database, store, directory, REGISTRY)

    together = UUID(int=99)
    directory.identities = dict.fromkeys(ATTACKERS, together)
    assert await follower.compare() == len(ATTACKERS)
    assert await follower.compare() == 0
    merged = await states(database)
    assert {row[0] for row in merged} == {together}
    counted = await fetch(database, "SELECT count(*) FROM observations")
    assert sum(row[5] for row in merged) == counted[0][0]

    async with database.connection() as connection:
        await connection.execute("TRUNCATE members, observations, states, transitions, outbox")
    await store.record(Batch(items, await directory.resolve(ATTACKERS)))
    assert await states(database) == merged

    directory.identities = {}
    assert await follower.compare() == len(ATTACKERS)
    assert await states(database) == apart
