# SPDX-License-Identifier: AGPL-3.0-or-later
"""Looking again, some times and ever later, at what may not be written yet."""

from __future__ import annotations

from decnet_ttp.attribution.identity_feed import MAX_NAMED, Word

#: When word is looked at, in seconds since it came: whoever writes the directory may have read the
#: same word a moment ago, and may wait for a database.
LOOKS_S = (0.0, 0.5, 3.0, 12.0)


class Revisits:
    """Word that is to be looked at, by how often it was already."""

    def __init__(self) -> None:
        self._lanes = [Word() for _ in LOOKS_S]
        self._due_s = [0.0 for _ in LOOKS_S]

    def add(self, word: Word, now_s: float) -> None:
        """Take in word that just came."""
        self._put(0, word, now_s)

    def _put(self, lane: int, word: Word, now_s: float) -> None:
        if not word.named:
            return
        held = self._lanes[lane]
        if not held.named:
            wait_s = LOOKS_S[lane] - (LOOKS_S[lane - 1] if lane else 0.0)
            self._due_s[lane] = now_s + wait_s
        # Whoever floods is found by the next comparison of everybody.
        if len(held.named) < MAX_NAMED:
            held.named |= word.named
            held.parted |= word.parted

    def next_s(self) -> float | None:
        """Return when something is due, None when nothing waits."""
        return min(
            (due for due, word in zip(self._due_s, self._lanes, strict=True) if word.named),
            default=None,
        )

    def take(self, now_s: float) -> Word:
        """Return what is due, and put it aside for the look after."""
        taken = Word()
        for lane in reversed(range(len(LOOKS_S))):
            word = self._lanes[lane]
            if not word.named or self._due_s[lane] > now_s:
                continue
            self._lanes[lane] = Word()
            taken.named |= word.named
            taken.parted |= word.parted
            if lane + 1 < len(LOOKS_S):
                self._put(lane + 1, word, now_s)
        return taken
