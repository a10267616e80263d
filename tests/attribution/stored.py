# SPDX-License-Identifier: AGPL-3.0-or-later
"""Observations in bulk, and what the database holds of them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from attribution.observing import START_S, observation
from decnet_ttp.attribution.batch import Batch, Recorded
from decnet_ttp.attribution.database import Database
from decnet_ttp.attribution.directory import NoDirectory
from decnet_ttp.attribution.observations import Observation
from decnet_ttp.attribution.primitives import Primitive, Registry
from decnet_ttp.attribution.states import Kind
from decnet_ttp.attribution.store import Store

REGISTRY = Registry({"number": Primitive(Kind.NUMERIC), "print": Primitive(Kind.HASH)})
ATTACKERS = [UUID(int=place) for place in range(1, 5)]


async def record(store: Store, observations: Sequence[Observation]) -> Recorded:
    """Record observations of attackers that no directory knows."""
    unknown = await store.unknown_attackers(item.attacker for item in observations)
    memberships = await NoDirectory().resolve(unknown)
    return await store.record(Batch(list(observations), memberships))


async def fetch(database: Database, sql: str) -> list[tuple[Any, ...]]:
    """Return the rows of a query."""
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
