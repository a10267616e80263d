# SPDX-License-Identifier: AGPL-3.0-or-later
"""Memory that a burst needed goes back to the system."""

from __future__ import annotations

import asyncio
import subprocess
import sys

from decnet_ttp.runtime.memory import GROWTH, Trimming

_MB = 2**20

#: What a burst leaves behind: pieces in use between pieces that are free.
_BURST = """
from decnet_ttp.runtime.memory import Trimming, bound_heaps, resident_bytes
bound_heaps()
trimming = Trimming()
trimming.look()
pieces = [b"x" * 60_000 for _ in range(2_000)]
full = resident_bytes()
kept = pieces[::50]
del pieces
looked = trimming.look()
print(looked, trimming.look(), full, resident_bytes(), len(kept))
"""


def test_free_pieces_between_used_ones_go_back() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _BURST], check=True, capture_output=True, text=True
    )
    looked, again, *sizes = done.stdout.split()
    full, after, _ = map(int, sizes)
    assert (looked, again) == ("True", "False")
    assert full - after > 100 * _MB


def test_nothing_is_trimmed_before_the_process_has_grown() -> None:
    sizes = iter([90 * _MB, 90 * _MB + GROWTH - 1, 90 * _MB + GROWTH, 90 * _MB])
    trimming = Trimming(resident=lambda: next(sizes))
    assert [trimming.look() for _ in range(3)] == [True, False, True]


def test_what_is_free_only_after_a_busy_time_goes_back_then() -> None:
    """Trimmed while it was busy, the process must not be taken to be that large."""
    sizes = iter([50 * _MB, 120 * _MB, 118 * _MB, 110 * _MB, 60 * _MB])
    trimming = Trimming(resident=lambda: next(sizes))
    assert [trimming.look() for _ in range(3)] == [True, True, True]


async def test_looks_until_it_is_stopped() -> None:
    looks = 0
    stop = asyncio.Event()

    def resident() -> int:
        nonlocal looks
        looks += 1
        if looks == 3:
            stop.set()
        return 0

    await asyncio.wait_for(Trimming(period_s=0.001, resident=resident).run(stop), 60)
    assert looks == 3
