# SPDX-License-Identifier: AGPL-3.0-or-later
"""What the supervisor has to know about one child; plain data, so that tests bring their own."""

import math
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from decnet_ttp.embedded.process import Command

Probe = Callable[[int], Awaitable[None]]
"""Given the child's process id, returns when it is ready and raises NotReady when it is not."""


async def nothing_to_prepare() -> None:
    """Do nothing."""


@dataclass(frozen=True)
class Child:
    """One supervised program.

    Attributes:
        name: Name in `status` and of its log file.
        command: How to start it.
        probe: Readiness probe.
        before_start: Clears what a previous life left, before every start.
        stop_signal: Asks it to end in good order.
        stop_stage: Children stop in ascending stages; within one stage together.
        grace_s: Seconds from the stop signal to SIGKILL.
        ready_timeout_s: Seconds a start may take before the child is killed and tried again.
    """

    name: str
    command: Command
    probe: Probe
    before_start: Callable[[], Awaitable[None]] = nothing_to_prepare
    stop_signal: signal.Signals = signal.SIGTERM
    stop_stage: int = 0
    grace_s: float = 20.0
    ready_timeout_s: float = 60.0


@dataclass(frozen=True)
class Backoff:
    """Growing pauses between restarts.

    Attributes:
        first_s: Pause after the first death, in seconds; doubled each time.
        limit_s: Longest pause, in seconds.
        healthy_s: A child that was ready for this many seconds starts over at `first_s`.
    """

    first_s: float = 0.1
    limit_s: float = 10.0
    healthy_s: float = 30.0

    def pause_s(self, failures: int) -> float:
        """Seconds to wait after this many deaths in a row (at least one)."""
        doublings = float(min(failures - 1, 32))
        return min(self.limit_s, self.first_s * math.pow(2.0, doublings))
