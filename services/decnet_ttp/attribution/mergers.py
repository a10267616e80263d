# SPDX-License-Identifier: AGPL-3.0-or-later
"""Mergers: from the newest samples of a series to its state.

Each is a pure function of the newest samples in canonical order, and reads a bounded number of
them. So the order and the batches in which observations arrive cannot matter, and the thousandth
observation costs what the first did. The windows and thresholds are DECNET's, except where a
docstring says otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import orjson

from decnet_ttp.attribution.states import Kind, Merged, Sample, State

#: Samples of the recent window, and of the older one before it.
WINDOW = 5
#: Below this number of samples a series says nothing.
MIN_SAMPLES = 3
#: Weight of the newest sample in the moving average.
EWMA_ALPHA = 0.3
#: Relative shift of the mean from which a numeric value drifts.
DRIFT_SHIFT = 0.30
#: Coefficient of variation above which numeric samples contradict each other.
CONFLICT_DISPERSION = 1.0
#: Span within which changes of a hash are counted, in microseconds (one day).
ROTATION_SPAN_US = 86_400 * 1_000_000
#: Changes of a hash within that span that are still drift.
MAX_ROTATIONS = 2
#: Confidence that two people share one primitive never exceeds this.
MULTI_ACTOR_CONFIDENCE = 0.6
#: Samples from which taking turns can be told from one exception.
MIN_ALTERNATION = 4

#: Newest samples each merger reads at most.
_DEPTH = {Kind.HASH: 64}
_DEFAULT_DEPTH = 2 * WINDOW
_CONFLICT_CONFIDENCE = 0.5


def depth(kind: Kind) -> int:
    """Return how many of the newest samples decide the state of a primitive of this kind."""
    return _DEPTH.get(kind, _DEFAULT_DEPTH)


def merge(kind: Kind, samples: Sequence[Sample]) -> Merged:
    """Merge a series.

    Args:
        kind: How its values are to be read; lists, free texts and booleans are categories.
        samples: Samples in ascending order; only the newest `depth(kind)` are looked at.
    """
    newest = samples[-depth(kind) :]
    if not newest:
        return Merged(None, State.UNKNOWN, 0.0)
    match kind:
        case Kind.NUMERIC:
            return merge_numeric(newest)
        case Kind.HASH:
            return merge_hash(newest)
        case _:
            return merge_categorical(newest)


def _mode(window: Sequence[str]) -> tuple[str, int]:
    """Return the most frequent value, the newest among equals, and its count."""
    top = window[-1]
    count = window.count(top)
    # Windows are so short that counting each value by itself is the quicker way.
    for value in reversed(window):
        if 2 * count >= len(window):
            break
        if (found := window.count(value)) > count:
            top, count = value, found
    return top, count


def _settled(window: Sequence[str], count: int) -> bool:
    """Say whether one value holds: at most one dissenter, and none among three."""
    return count >= max(len(window) - 1, MIN_SAMPLES)


def _takes_turns(window: Sequence[str]) -> bool:
    """Say whether two values alternate more often than they repeat.

    With f changes and r repetitions between neighbours: f >= 2 * max(r, 1), over exactly two
    values. It is the short-window form of the runs test (Wald and Wolfowitz, Annals of
    Mathematical Statistics 11, 1940): too many runs for one habit that changed once.
    """
    if len(window) < MIN_ALTERNATION or len(set(window)) != 2:  # noqa: PLR2004 - two values
        return False
    changes = sum(left != right for left, right in pairwise(window))
    repetitions = len(window) - 1 - changes
    return changes >= 2 * max(repetitions, 1)


def merge_categorical(samples: Sequence[Sample]) -> Merged:
    """Merge categories.

    The recent window R holds the last 5 samples, the older one O up to 5 before them. Confidence
    is the share of R's most frequent value. R is settled when at most one sample dissents (none
    among three); O is compared when it has at least three samples, and is settled with at most
    one dissenter.

    * fewer than 3 samples: unknown, confidence 0;
    * R not settled: multi-actor when its values take turns, confidence at most 0.6, else
      conflicted;
    * R settled: drifting when O is not settled or holds another value, else stable.

    The tolerance of one dissenter in every window is stricter reasoning than the fixed majority
    of four in DECNET, which let one exception among four samples, or a lone first sample, tip
    a stable state.
    """
    values = [sample.value for sample in samples]
    if len(values) < MIN_SAMPLES:
        return Merged(values[-1], State.UNKNOWN, 0.0)
    recent, older = values[-WINDOW:], values[-2 * WINDOW : -WINDOW]
    top, count = _mode(recent)
    confidence = count / len(recent)
    if not _settled(recent, count):
        if _takes_turns(recent):
            return Merged(recent[-1], State.MULTI_ACTOR, min(confidence, MULTI_ACTOR_CONFIDENCE))
        return Merged(top, State.CONFLICTED, confidence)
    if len(older) >= MIN_SAMPLES:
        older_top, older_count = _mode(older)
        if older_count < len(older) - 1 or older_top != top:
            return Merged(top, State.DRIFTING, confidence)
    return Merged(top, State.STABLE, confidence)


def _ewma(values: Sequence[float]) -> float:
    """Return the exponentially weighted moving average: s = a*x + (1-a)*s, from the first value.

    Roberts, Control Chart Tests Based on Geometric Moving Averages, Technometrics 1(3), 1959.
    """
    average = values[0]
    for value in values[1:]:
        average = EWMA_ALPHA * value + (1 - EWMA_ALPHA) * average
    return average


def _dispersion(values: Sequence[float], centre: float) -> float:
    """Return the coefficient of variation about a centre: sqrt(mean((x-c)^2)) / |c|."""
    # Scaled by the largest magnitude, so that squares neither overflow nor vanish.
    scale = max(abs(value) for value in (*values, centre))
    if scale == 0:
        return 0.0
    spread = math.sqrt(sum(((value - centre) / scale) ** 2 for value in values) / len(values))
    if centre == 0:
        return math.inf
    return spread / (abs(centre) / scale)


def merge_numeric(samples: Sequence[Sample]) -> Merged:
    """Merge numbers.

    With m the moving average of the last 5 samples, o that of up to 5 before them, and CV the
    coefficient of variation of the last 5 about m:

    * fewer than 3 samples: unknown, confidence 0;
    * CV > 1: conflicted, confidence 0.5;
    * |m - o| / |o| >= 0.3 (/ 1 when o is 0): drifting, else stable; confidence 1 - CV.

    The value is m. DECNET declares a further bound on the dispersion of a stable value and does
    not use it; it is left out, since a beacon with a third of jitter holds its mean all the same,
    and the confidence tells the dispersion already. Numbers are never multi-actor: a mean of two
    people is no habit of either, and shows as conflicted.
    """
    values = [float(sample.value) for sample in samples]
    if len(values) < MIN_SAMPLES:
        return Merged(samples[-1].value, State.UNKNOWN, 0.0)
    recent, older = values[-WINDOW:], values[-2 * WINDOW : -WINDOW]
    mean = _ewma(recent)
    merged = orjson.dumps(mean).decode()
    dispersion = _dispersion(recent, mean)
    if dispersion > CONFLICT_DISPERSION:
        return Merged(merged, State.CONFLICTED, _CONFLICT_CONFIDENCE)
    confidence = 1.0 - dispersion
    if older:
        before = _ewma(older)
        if abs(mean - before) / (abs(before) or 1.0) >= DRIFT_SHIFT:
            return Merged(merged, State.DRIFTING, confidence)
    return Merged(merged, State.STABLE, confidence)


def merge_hash(samples: Sequence[Sample]) -> Merged:
    """Merge fingerprints.

    With r + 1 different hashes within the 24 hours that end with the newest sample: stable for
    r = 0, drifting for 1 or 2, else conflicted; confidence 1 / (1 + r); the value is the newest.
    At most the 64 newest samples are looked at, so that a sensor that floods cannot make it slow.
    """
    last = samples[-1]
    since = last.at - ROTATION_SPAN_US
    rotations = len({sample.value for sample in samples if sample.at >= since}) - 1
    if rotations == 0:
        state = State.STABLE
    elif rotations <= MAX_ROTATIONS:
        state = State.DRIFTING
    else:
        state = State.CONFLICTED
    return Merged(last.value, state, 1 / (1 + rotations))
