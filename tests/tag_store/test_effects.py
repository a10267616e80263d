# SPDX-License-Identifier: AGPL-3.0-or-later
"""The effective confidence: bounds, bands, and the same bits in Python and in the database."""

from __future__ import annotations

import random

import pytest

from decnet_ttp.tag_store.database import Database
from decnet_ttp.tag_store.effects import NO_EFFECT, Effect, adjusted, effective_sql
from decnet_ttp.tag_store.rollup_counts import band_of


@pytest.mark.parametrize(
    ("confidence", "effect", "expected"),
    [
        (0.7, NO_EFFECT, 0.7),
        (0.7, Effect(0.05, 1.0), 0.75),
        (0.95, Effect(-0.1, 1.0), 0.85),
        (0.98, Effect(0.05, 1.0), 1.0),
        (0.3, Effect(-1.0, 1.0), 0.0),
        (0.5, Effect(0.3, 0.6), 0.6),
        (0.9, Effect(0.05, 0.6), 0.9),
        (0.9, Effect(-0.1, 0.6), 0.8),
    ],
)
def test_an_effect_adds_and_stays_within_its_bounds(
    confidence: float, effect: Effect, expected: float
) -> None:
    assert adjusted(confidence, effect) == expected


def test_what_is_lowered_to_a_band_is_in_it() -> None:
    assert band_of(adjusted(0.95, Effect(-0.1, 1.0))) == 3
    assert band_of(adjusted(0.7, Effect(-0.1, 1.0))) == 2


async def test_python_and_the_database_give_the_same_bits(database: Database) -> None:
    chance = random.Random(11)  # noqa: S311 - a fixed seed, nothing secret
    rows = [
        (chance.random(), chance.uniform(-1, 1), chance.choice((1.0, chance.random())))
        for _ in range(2_000)
    ]
    rows += [(n / 20, a / 20, 1.0) for n in range(21) for a in range(-20, 21)]
    expression = effective_sql("e.amount", "e.ceiling")
    found = await database.fetch(
        f"""
        SELECT {expression} FROM unnest($1::float8[], $2::float8[], $3::float8[])
            WITH ORDINALITY AS e (base, amount, ceiling, n)
        CROSS JOIN LATERAL (
            SELECT e.base AS confidence, false AS confidence_fixed, 'command' AS source_kind
        ) t ORDER BY e.n
        """,  # noqa: S608 - an expression of ours
        *(list(column) for column in zip(*rows, strict=True)),
    )
    assert [row[0] for row in found] == [
        adjusted(base, Effect(amount, ceiling)) for base, amount, ceiling in rows
    ]
