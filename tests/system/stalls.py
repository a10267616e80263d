# SPDX-License-Identifier: AGPL-3.0-or-later
"""How long the machine itself stood still, beside what is promised in seconds."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

#: How often the machine is looked at, in seconds.
_PERIOD_S = 0.05
#: What a look may take beyond that on a machine that works, in seconds.
_USUAL_S = 0.1


@dataclass
class Stalls:
    """When a byte could not be flushed to disk at once: from, and to, in seconds of the epoch."""

    spans: list[tuple[float, float]] = field(default_factory=list)

    def within(self, begin_s: float, end_s: float) -> float:
        """Return how much of a time the machine stood still, in seconds."""
        found = ((max(start, begin_s), min(end, end_s)) for start, end in tuple(self.spans))
        return sum(max(0.0, end - start) for start, end in found)


@contextmanager
def watching(folder: Path) -> Iterator[Stalls]:
    """Watch the machine, processor and disk."""
    stalls = Stalls()
    over = threading.Event()

    def watch() -> None:
        with (folder / "stalls").open("wb", buffering=0) as file:
            while not over.is_set():
                began = time.time()
                over.wait(_PERIOD_S)
                file.write(b".")
                os.fsync(file.fileno())
                due, now = began + _PERIOD_S + _USUAL_S, time.time()
                if now > due:
                    stalls.spans.append((due, now))

    thread = threading.Thread(target=watch, name="stalls")
    thread.start()
    try:
        yield stalls
    finally:
        over.set()
        thread.join()
