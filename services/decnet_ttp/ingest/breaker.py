# SPDX-License-Identifier: AGPL-3.0-or-later
"""A circuit breaker: a neighbour that keeps failing is left alone for a while."""

from __future__ import annotations

from collections.abc import Callable

#: Failures in a row after which the circuit opens.
_THRESHOLD = 3
#: How long it stays open at first and at most, in seconds.
_FIRST_S = 1.0
_LONGEST_S = 30.0


class Breaker:
    """Says whether a neighbour may be called.

    Closed, it lets everything pass. After some failures in a row it opens: calls fail at once,
    instead of each waiting for its deadline. When its time is up one call may try; its success
    closes the circuit, its failure doubles the time.

    Args:
        clock: Monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._failures = 0
        self._open_s = 0.0
        self._until_s = 0.0

    @property
    def open(self) -> bool:
        """Whether calls are held back, but for one that tries."""
        return self._open_s > 0

    def allows(self) -> bool:
        """Whether a call may be made now; while open, yes means that this call is the try."""
        if not self.open:
            return True
        if self._clock() < self._until_s:
            return False
        # Nobody else tries until this one has had its time.
        self._until_s = self._clock() + self._open_s
        return True

    def succeeded(self) -> None:
        """Note a call that was answered."""
        self._failures = 0
        self._open_s = 0.0

    def failed(self) -> None:
        """Note a call that was not answered."""
        self._failures += 1
        if self._failures >= _THRESHOLD:
            self._open_s = min(self._open_s * 2 or _FIRST_S, _LONGEST_S)
            self._until_s = self._clock() + self._open_s

    def hint(self) -> None:
        """Note a sign of life by another way: the next call may try at once."""
        self._until_s = self._clock()
