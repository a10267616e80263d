# SPDX-License-Identifier: AGPL-3.0-or-later
"""Handing memory that batches needed back to the system.

The C library keeps what was freed for the next batch, and many small pieces hold on to large ones;
after a burst a service would stay as large as its largest moment. Where the C library is not
glibc, all of this does nothing.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from decnet_ttp.runtime.pacing import pause

#: Pieces from this size on are mapped one by one and go back when they are freed, in bytes.
_MAPPED_FROM: Final = 256 * 1024
#: Free memory at the end of the heap beyond this goes back by itself, in bytes.
_KEPT_AT_END: Final = 4 * 1024 * 1024
#: Heaps that threads allocate from; the default is eight times the processors, none of which gets
#: what another freed.
_HEAPS: Final = 2

#: Growth beyond the smallest size from which on a trim pays, in bytes.
GROWTH: Final = 8 * 1024 * 1024
#: By how much a service that stays larger is taken to have to be, with every trim, in bytes.
_CREEP: Final = 256 * 1024
PERIOD_S: Final = 2.0

# Parameters of mallopt(3).
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
_M_ARENA_MAX: Final = -8

_STATM: Final = Path("/proc/self/statm")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


def _library() -> ctypes.CDLL | None:
    library = ctypes.CDLL(None)
    return library if hasattr(library, "mallopt") and hasattr(library, "malloc_trim") else None


def bound_heaps() -> None:
    """Have freed memory go back to the system early; to be called before threads are started."""
    library = _library()
    if library is not None:
        library.mallopt(_M_ARENA_MAX, _HEAPS)
        library.mallopt(_M_MMAP_THRESHOLD, _MAPPED_FROM)
        library.mallopt(_M_TRIM_THRESHOLD, _KEPT_AT_END)


def resident_bytes() -> int:
    """Return the memory of this process that is not shared with files, in bytes."""
    _, resident, shared, *_ = _STATM.read_text().split()
    return (int(resident) - int(shared)) * _PAGE


class Trimming:
    """Gives free memory back whenever the process has grown.

    Args:
        period_s: How often to look, in seconds.
        resident: Returns the size of the process, in bytes.
    """

    def __init__(
        self, *, period_s: float = PERIOD_S, resident: Callable[[], int] = resident_bytes
    ) -> None:
        self._period_s = period_s
        self._resident = resident
        self._library = _library()
        self._least: int | None = None

    def look(self) -> bool:
        """Give back what is free if the process has grown; returns whether it had."""
        least = self._least
        if self._library is None or (least is not None and self._resident() < least + GROWTH):
            return False
        self._library.malloc_trim(0)
        now = self._resident()
        self._least = now if least is None else min(now, least + _CREEP)
        return True

    async def run(self, stop: asyncio.Event) -> None:
        """Look until `stop`."""
        while not stop.is_set():
            self.look()
            await pause(stop, self._period_s)
