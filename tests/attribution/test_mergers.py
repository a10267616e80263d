# SPDX-License-Identifier: AGPL-3.0-or-later
from __future__ import annotations

import json
import math
from collections.abc import Sequence
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decnet_ttp.attribution.mergers import ROTATION_SPAN_US, depth, merge
from decnet_ttp.attribution.states import Kind, Merged, Sample, State

HOUR_US = 3_600 * 1_000_000


def series(values: Sequence[object], step_us: int = HOUR_US) -> list[Sample]:
    return [
        Sample(place * step_us, UUID(int=place), json.dumps(value))
        for place, value in enumerate(values)
    ]


def categorical(values: Sequence[object]) -> Merged:
    return merge(Kind.CATEGORICAL, series(values))


@pytest.mark.parametrize(
    ("values", "value", "state", "confidence"),
    [
        ("A", "A", State.UNKNOWN, 0.0),
        ("AA", "A", State.UNKNOWN, 0.0),
        ("AAA", "A", State.STABLE, 1.0),
        ("AAB", "A", State.CONFLICTED, 2 / 3),
        ("ABC", "C", State.CONFLICTED, 1 / 3),
        ("AAAB", "A", State.STABLE, 0.75),
        ("ABAB", "B", State.MULTI_ACTOR, 0.5),
        ("ABBA", "A", State.MULTI_ACTOR, 0.5),
        ("AABB", "B", State.CONFLICTED, 0.5),
        ("AAAAB", "A", State.STABLE, 0.8),
        ("ABABA", "A", State.MULTI_ACTOR, 0.6),
        ("AABAB", "B", State.MULTI_ACTOR, 0.6),
        ("AAABB", "A", State.CONFLICTED, 0.6),
        ("ABCAB", "B", State.CONFLICTED, 0.4),
        ("AAAAABBBBB", "B", State.DRIFTING, 1.0),
        ("ABCDEBBBBB", "B", State.DRIFTING, 1.0),
        ("AABAABAAAA", "A", State.STABLE, 0.8),
        ("BBBBBAAAAAAAAAA", "A", State.STABLE, 1.0),
    ],
)
def test_categorical_state(values: str, value: str, state: State, confidence: float) -> None:
    assert categorical(values) == Merged(json.dumps(value), state, pytest.approx(confidence))


def test_lists_and_objects_are_categories() -> None:
    order = ["curve25519", "ecdh"]
    assert merge(Kind.ARRAY, series([order] * 3)) == Merged(json.dumps(order), State.STABLE, 1.0)


def test_nothing_observed_is_unknown() -> None:
    assert merge(Kind.HASH, []) == Merged(None, State.UNKNOWN, 0.0)


@given(
    before=st.integers(0, 14), after=st.integers(0, 14), outlier=st.sampled_from(["B", 1, [2], ""])
)
def test_one_outlier_never_flips_a_stable_state(before: int, after: int, outlier: object) -> None:
    """Whenever the series without the outlier is stable on more than one sample to spare."""
    if before + after < 3:
        return
    merged = categorical(["A"] * before + [outlier] + ["A"] * after)
    assert merged.value == '"A"'
    assert merged.state is State.STABLE


@given(st.lists(st.sampled_from("ABC"), min_size=8, max_size=12), st.sampled_from("ABC"))
def test_a_stable_state_of_one_mind_survives_any_next_observation(
    history: list[str], outlier: str
) -> None:
    settled = [*history, *"AAAAAAAAA"]
    assert categorical(settled).state is State.STABLE
    assert categorical([*settled, outlier]).state is State.STABLE


@pytest.mark.parametrize(
    ("values", "value", "state", "confidence"),
    [
        ([60.0, 60.0], 60.0, State.UNKNOWN, 0.0),
        ([60, 60, 60], 60.0, State.STABLE, 1.0),
        ([0, 0, 0], 0.0, State.STABLE, 1.0),
        ([10] * 5 + [20] * 5, 20.0, State.DRIFTING, 1.0),
        ([100] * 5 + [120] * 5, 120.0, State.STABLE, 1.0),
        ([0] * 5 + [0.2] * 5, 0.2, State.STABLE, 1.0),
        ([0] * 5 + [0.4] * 5, 0.4, State.DRIFTING, 1.0),
        # EWMA of 1, 1, 1, 1, 1001 is 301; the root mean square about it is 404.98.
        ([1, 1, 1, 1, 1001], 301.0, State.CONFLICTED, 0.5),
        # EWMA 0.7 * 10 + 0.3 * 20 = 13, then 0.7 * 13 + 0.3 * 10 = 12.1.
        ([10, 20, 10], 12.1, State.STABLE, 1 - math.sqrt((2.1**2 * 2 + 7.9**2) / 3) / 12.1),
        ([1e100, -1e100, 1e100], 0.58e100, State.CONFLICTED, 0.5),
    ],
)
def test_numeric_state(values: list[float], value: float, state: State, confidence: float) -> None:
    merged = merge(Kind.NUMERIC, series(values))
    assert merged.state is state
    assert float(merged.value or "") == pytest.approx(value)
    assert merged.confidence == pytest.approx(confidence)


@pytest.mark.parametrize(
    ("values", "state", "confidence"),
    [
        ("a", State.STABLE, 1.0),
        ("aaaa", State.STABLE, 1.0),
        ("ab", State.DRIFTING, 1 / 2),
        ("abca", State.DRIFTING, 1 / 3),
        ("abcd", State.CONFLICTED, 1 / 4),
    ],
)
def test_hash_state_within_a_day(values: str, state: State, confidence: float) -> None:
    merged = merge(Kind.HASH, series(values))
    assert merged == Merged(json.dumps(values[-1]), state, pytest.approx(confidence))


def test_hash_rotation_counts_within_24_hours_of_the_newest() -> None:
    at_the_edge = series("ab", step_us=ROTATION_SPAN_US)
    beyond = series("ab", step_us=ROTATION_SPAN_US + 1)
    assert merge(Kind.HASH, at_the_edge).state is State.DRIFTING
    assert merge(Kind.HASH, beyond).state is State.STABLE


numbers = st.floats(-1e100, 1e100, allow_nan=False)
values_of = {
    Kind.CATEGORICAL: st.sampled_from("ABC"),
    Kind.NUMERIC: numbers,
    Kind.HASH: st.sampled_from("abcdef"),
    Kind.ARRAY: st.lists(st.integers(0, 1), max_size=2),
}


@pytest.mark.parametrize("kind", list(values_of))
@given(data=st.data())
def test_confidence_stays_within_0_and_1(kind: Kind, data: st.DataObject) -> None:
    values = data.draw(st.lists(values_of[kind], min_size=1, max_size=20))
    merged = merge(kind, series(values))
    assert 0.0 <= merged.confidence <= 1.0
    assert merged.value is not None
    assert json.loads(merged.value) is not None
    if merged.state is State.MULTI_ACTOR:
        assert merged.confidence <= 0.6


@pytest.mark.parametrize("kind", list(values_of))
@given(data=st.data())
def test_only_the_newest_samples_count(kind: Kind, data: st.DataObject) -> None:
    """So an observation costs the same whatever came before it."""
    values = data.draw(st.lists(values_of[kind], min_size=depth(kind), max_size=depth(kind) + 10))
    samples = series(values)
    assert merge(kind, samples) == merge(kind, samples[-depth(kind) :])
