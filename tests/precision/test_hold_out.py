# SPDX-License-Identifier: AGPL-3.0-or-later
"""What was held out stays what was judged, and the rules keep their promises there."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks.hold_out import BANDS, Fired, band_of, held_out, now, then
from benchmarks.precision import wilson

HELD = held_out()


@pytest.fixture(scope="module")
def fired(shared_dir: Path) -> list[Fired]:
    """What the shipped rules fire on the rows."""
    return list(now(HELD, shared_dir))


def _right(fired: list[Fired], band: str) -> tuple[int, int]:
    own = [each.right for each in fired if band_of(each.confidence) == band]
    return sum(map(bool, own)), len(own)


def test_the_figure_before_tuning_is_never_written_anew() -> None:
    first, second = list(then(HELD, HELD.rows)), list(then(HELD, HELD.again))
    assert [_right(first, band) for band in BANDS] == [(310, 319), (369, 390)]
    assert [_right(second, band) for band in BANDS] == [(72, 74), (79, 83)]
    assert sum(len(rows) for rows in HELD.rows.values()) == 331
    assert sum(len(rows) for rows in HELD.again.values()) == 80


@pytest.mark.shared
def test_whatever_fires_now_was_judged(fired: list[Fired]) -> None:
    """A rule that fires on a row it did not is read there, and what is found goes to `since`."""
    assert [(each.rule_id, each.row_id) for each in fired if each.right is None] == []


@pytest.mark.shared
@pytest.mark.parametrize("band", BANDS)
def test_the_rules_keep_their_promise_on_what_was_held_out(fired: list[Fired], band: str) -> None:
    right, whole = _right(fired, band)
    assert whole > 300
    assert right / whole >= BANDS[band][1]


@pytest.mark.parametrize(
    ("right", "whole", "low", "high"),
    [(0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (81, 263, 0.2553, 0.3662)],
)
def test_bounds_are_those_of_wilson(right: int, whole: int, low: float, high: float) -> None:
    """The last row is the worked example of Newcombe (1998)."""
    assert wilson(right, whole) == pytest.approx((low, high), abs=1e-4)
