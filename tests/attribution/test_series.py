# SPDX-License-Identifier: AGPL-3.0-or-later
"""The same observations in any order, batched in any way, give the same state."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from attribution.observing import observation
from decnet_ttp.attribution.mergers import depth
from decnet_ttp.attribution.observations import Observation
from decnet_ttp.attribution.series import (
    Series,
    SeriesKey,
    Stored,
    Transition,
    apply,
    samples_needed,
)
from decnet_ttp.attribution.states import Kind, Merged, Sample, State

KINDS = {"category": Kind.CATEGORICAL, "number": Kind.NUMERIC, "print": Kind.HASH}
VALUES = {"category": ["A", "B"], "number": [1, 2, 50], "print": ["a", "b", "c", "d"]}
IDENTITIES = [UUID(int=1), UUID(int=2)]


class Memory:
    """What the database does for `apply`: it keeps all, and hands out only what is asked for."""

    def __init__(self) -> None:
        self.stored: dict[UUID, Stored] = {}
        self.states: dict[SeriesKey, Merged] = {}
        self.counts: dict[SeriesKey, int] = {}
        self.transitions: list[Transition] = []

    def take(self, batch: Sequence[Stored]) -> None:
        prior = {item.key: self.stored[item.key] for _, item in batch if item.key in self.stored}
        needed = samples_needed(batch, prior, KINDS)
        series = {key: self._load(key, count) for key, count in needed.items()}
        changes = apply(batch, prior, series)
        self.stored |= changes.written
        self.transitions += changes.transitions
        for key in changes.touched:
            merged = series[key].merged
            self.counts[key] = series[key].count
            if merged is None:
                self.states.pop(key, None)
            else:
                self.states[key] = merged

    def _load(self, key: SeriesKey, count: int) -> Series:
        samples: list[Sample] = sorted(
            stored.observation.sample
            for stored in self.stored.values()
            if SeriesKey(stored.identity, stored.observation.primitive) == key
        )
        return Series(
            kind=KINDS[key.primitive],
            samples=samples[-count:],
            count=self.counts.get(key, 0),
            merged=self.states.get(key),
        )

    def result(self) -> tuple[dict[SeriesKey, Merged], dict[SeriesKey, int]]:
        return self.states, {key: count for key, count in self.counts.items() if count}


@st.composite
def stored_observations(draw: st.DrawFn) -> Stored:
    """Few recordings and few times, so that replacements and equal times are frequent."""
    primitive = draw(st.sampled_from(sorted(KINDS)))
    attacker = draw(st.sampled_from(IDENTITIES))
    made: Observation = observation(
        draw(st.sampled_from(VALUES[primitive])),
        primitive=primitive,
        evidence=f"recording {draw(st.integers(0, 14))}",
        at_s=1_700_000_000 + draw(st.integers(0, 20)),
        produced_s=draw(st.integers(0, 3)),
        attacker=attacker,
    )
    return Stored(attacker, made)


@given(st.lists(stored_observations(), max_size=60), st.data())
def test_any_order_and_any_batches_give_the_same_states(
    items: list[Stored], data: st.DataObject
) -> None:
    whole = Memory()
    whole.take(items)
    shuffled = data.draw(st.permutations(items))
    pieces = Memory()
    while shuffled:
        size = data.draw(st.integers(1, len(shuffled)))
        pieces.take(shuffled[:size])
        shuffled = shuffled[size:]
    assert pieces.result() == whole.result()


@given(st.lists(stored_observations(), max_size=60), st.data())
def test_transitions_do_not_depend_on_where_the_stream_was_cut(
    items: list[Stored], data: st.DataObject
) -> None:
    one_by_one, in_batches = Memory(), Memory()
    for item in items:
        one_by_one.take([item])
    rest = items
    while rest:
        size = data.draw(st.integers(1, len(rest)))
        in_batches.take(rest[:size])
        rest = rest[size:]
    assert in_batches.transitions == one_by_one.transitions


@given(st.lists(stored_observations(), max_size=40))
def test_a_replay_changes_nothing_and_announces_nothing(items: list[Stored]) -> None:
    memory = Memory()
    memory.take(items)
    states, counts = dict(memory.states), dict(memory.counts)
    announced = len(memory.transitions)
    memory.take(items)
    for item in items:
        memory.take([item])
    assert (memory.states, memory.counts, len(memory.transitions)) == (states, counts, announced)


def test_a_re_run_of_the_extractor_replaces_what_it_said() -> None:
    memory = Memory()
    who = IDENTITIES[0]
    for place in range(5):
        first = observation("A", primitive="category", evidence=f"e{place}", at_s=1.7e9 + place)
        memory.take([Stored(who, first)])
    again = observation("B", primitive="category", evidence="e2", at_s=1.7e9 + 2, produced_s=9)
    memory.take([Stored(who, again)])
    key = SeriesKey(who, "category")
    assert memory.counts[key] == 5
    assert memory.states[key] == Merged('"A"', State.STABLE, 0.8)


def test_a_replaced_observation_that_leaves_the_window_brings_back_an_older_one() -> None:
    memory = Memory()
    who = IDENTITIES[0]
    for place in range(depth(Kind.NUMERIC) + 1):
        value = 7 if place < 6 else 10
        made = observation(value, primitive="number", evidence=f"e{place}", at_s=1.7e9 + place)
        memory.take([Stored(who, made)])
    # The newest was dated wrongly and turns out to be the oldest: 7 again counts.
    moved = observation(10, primitive="number", evidence="e10", at_s=1.6e9, produced_s=9)
    memory.take([Stored(who, moved)])
    expected = Memory()
    expected.take(list(memory.stored.values()))
    assert memory.states == expected.states
    assert memory.counts[SeriesKey(who, "number")] == 11
