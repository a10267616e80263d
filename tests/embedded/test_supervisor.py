# SPDX-License-Identifier: AGPL-3.0-or-later
"""Restarts, pauses and order, with children of a few lines."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from decnet_ttp.embedded.child import Backoff, Child
from decnet_ttp.embedded.errors import NotReady, StartFailedError
from decnet_ttp.embedded.layout import ChildReport, ChildState
from decnet_ttp.embedded.process import Command
from decnet_ttp.embedded.supervisor import Supervisor


def shell(name: str, script: str, ready: Callable[[], bool], **other: float) -> Child:
    async def probe(_pid: int) -> None:
        if not ready():
            raise NotReady

    command = Command(("/bin/sh", "-c", script), {"PATH": "/usr/bin:/bin"})
    return Child(name, command, probe, **other)  # type: ignore[arg-type]  # only numbers


async def reports_until(
    supervisor: Supervisor, seen: list[ChildReport], condition: Callable[[ChildReport], bool]
) -> ChildReport:
    async with asyncio.timeout(60):
        while True:
            for report in seen:
                if condition(report):
                    return report
            await asyncio.sleep(0.01)


@dataclass(frozen=True)
class ToldBackoff(Backoff):
    """Keeps what it is asked."""

    asked: list[int] = field(default_factory=list)

    def pause_s(self, failures: int) -> float:
        """Seconds to wait after this many deaths in a row."""
        self.asked.append(failures)
        return super().pause_s(failures)


async def test_pauses_grow_and_start_over_after_health(tmp_path: Path) -> None:
    """Quick deaths in a row lengthen the pause; one long life brings back the short one."""
    seen: list[ChildReport] = []
    now = 0.0

    def changed(report: ChildReport) -> None:
        nonlocal now
        seen.append(report)
        # The third life is a long one; the others are short, however slow the machine is.
        if (report.state, report.restarts) == (ChildState.READY, 2):
            now += 30.0

    backoff = ToldBackoff(first_s=0.02, limit_s=1, healthy_s=30.0)
    supervisor = Supervisor(tmp_path, backoff=backoff, on_change=changed, clock=lambda: now)
    # Long enough to be found ready.
    await supervisor.start([shell("c", "sleep 0.2", lambda: True)])
    await reports_until(supervisor, seen, lambda r: r.restarts == 4)
    await supervisor.stop()
    assert backoff.asked[:4] == [1, 2, 1, 2]
    waiting = [r.since for r in seen if r.state is ChildState.WAITING]
    starting = [r.since for r in seen if r.state is ChildState.STARTING and r.pid is None]
    pauses = [end - begin for begin, end in zip(waiting, starting, strict=False)]
    assert all(pause > 0.9 * wanted for pause, wanted in zip(pauses, [0.02, 0.04], strict=False))


async def test_a_start_that_fails_for_good_says_why(tmp_path: Path) -> None:
    """Five starts, then the name, how it ended and the end of its log."""
    seen: list[ChildReport] = []
    supervisor = Supervisor(tmp_path, backoff=Backoff(first_s=0.001), on_change=seen.append)
    child = shell("broken", "echo no database >&2; exit 3", lambda: False)
    with pytest.raises(StartFailedError, match="broken did not start: exit 3") as failure:
        await supervisor.start([child])
    assert failure.value.log_tail == ("no database",) * 5
    await supervisor.stop()


async def test_a_child_that_never_becomes_ready_is_started_again(tmp_path: Path) -> None:
    """A start that hangs is ended after its time, and the next one may succeed."""
    seen: list[ChildReport] = []
    supervisor = Supervisor(tmp_path, backoff=Backoff(first_s=0.01), on_change=seen.append)
    child = shell(
        "hangs",
        "exec sleep 60",
        lambda: any(report.restarts == 1 for report in seen),
        ready_timeout_s=0.1,
    )
    await supervisor.start([child])
    assert supervisor.reports[0].restarts == 1
    assert supervisor.reports[0].last_exit == "not ready within 0.1 s"
    await supervisor.stop()


async def test_children_stop_in_stages(tmp_path: Path) -> None:
    """A later stage gets its signal only when the earlier one has ended."""
    seen: list[ChildReport] = []
    supervisor = Supervisor(tmp_path, backoff=Backoff(), on_change=seen.append)
    armed = [tmp_path / name for name in ("late", "early")]

    def slow(name: str, stage: int) -> Child:
        script = (
            f"trap 'sleep 0.1; exit 0' TERM; touch {tmp_path / name}; while :; do sleep 0.01; done"
        )
        return shell(name, script, (tmp_path / name).exists, stop_stage=stage)

    await supervisor.start([slow("late", 1), slow("early", 0)])
    assert all(path.exists() for path in armed)
    seen.clear()
    await supervisor.stop()
    assert [(report.name, report.state.value) for report in seen] == [
        ("early", "stopping"),
        ("early", "stopped"),
        ("late", "stopping"),
        ("late", "stopped"),
    ]


async def test_stop_does_not_wait_for_a_pause(tmp_path: Path) -> None:
    """A child that waits for its restart is just not started again."""
    seen: list[ChildReport] = []
    supervisor = Supervisor(
        tmp_path, backoff=Backoff(first_s=60, limit_s=60), on_change=seen.append
    )
    await supervisor.start([shell("c", "sleep 0.05; exit 1", lambda: True)])
    await reports_until(supervisor, seen, lambda r: r.state is ChildState.WAITING)
    began = time.monotonic()
    await supervisor.stop()
    assert time.monotonic() - began < 30
    assert supervisor.reports[0].state is ChildState.STOPPED


async def test_stop_ends_a_probe_that_loses_a_cancellation(tmp_path: Path) -> None:
    """A client library that passes over the first one does not hold up the end."""
    asking = asyncio.Event()
    lost = 0

    async def probe(_pid: int) -> None:
        nonlocal lost
        asking.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if lost:
                raise
            lost += 1
            raise NotReady from None

    command = Command(("/bin/sleep", "60"))
    supervisor = Supervisor(tmp_path, backoff=Backoff(), on_change=lambda _: None)
    starting = asyncio.create_task(supervisor.start([Child("c", command, probe)]))
    async with asyncio.timeout(60):
        await asking.wait()
        starting.cancel()
        await supervisor.stop()
    assert lost == 1
    assert supervisor.reports[0].state is ChildState.STOPPED
