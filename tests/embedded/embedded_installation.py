# SPDX-License-Identifier: AGPL-3.0-or-later
"""A data directory with a real supervisor over it, for the tests of this folder."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from decnet_ttp.embedded import remains
from decnet_ttp.embedded.layout import ChildState, Instance, Layout

SUPERVISE = Path(__file__).with_name("supervise.py")
#: Only what never happens waits so long.
DEADLINE_S = 90.0


def until(condition: Callable[[], object], what: str | Callable[[], object]) -> None:
    """Poll a condition until it holds; fails after the deadline and says what there was then."""
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        if time.monotonic() > deadline:
            told = what if isinstance(what, str) else what()
            raise AssertionError(f"not within {DEADLINE_S:g} s: {told}")
        time.sleep(0.01)


def processes_of(data_dir: Path) -> list[int]:
    """Every process that belongs to the installation, except its supervisor."""
    layout = Layout.of(data_dir)
    marks = [remains.instance_id(path) for path in (layout.data_dir, layout.nats_dir)]
    marked = [pid for mark in marks for pid in remains.marked_processes(mark)]
    return marked + remains.postgres_processes(remains.cluster_name(layout.postgres_dir))


@dataclass
class Installation:
    """One data directory and the supervisors that tests run over it."""

    data_dir: Path
    prefix: tuple[str, ...] = ()
    env: dict[str, str] = field(default_factory=dict)
    supervisors: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def up(self, names: str = "ingest") -> Instance:
        """Start a supervisor and wait until everything is ready."""
        supervisor = self.launch(names)
        until(lambda: supervisor.poll() is not None or self.ready(supervisor.pid), self.report)
        assert supervisor.poll() is None, self.output(supervisor)
        return self.instance()

    def launch(self, names: str = "ingest") -> subprocess.Popen[bytes]:
        """Start a supervisor."""
        with self.printed.open("ab") as output:
            supervisor = subprocess.Popen(
                [*self.prefix, sys.executable, str(SUPERVISE), str(self.data_dir), names],
                env={**os.environ, **self.env},
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self.supervisors.append(supervisor)
        return supervisor

    def ready(self, pid: int) -> bool:
        """Whether this supervisor says that all is ready."""
        found = Instance.load_last(self.data_dir)
        return (
            found is not None
            and found.pid == pid
            and found.ready
            and all(child.state is ChildState.READY for child in found.children)
        )

    def instance(self) -> Instance:
        """What the supervisor says."""
        return Instance.load(self.data_dir)

    def report(self) -> object:
        """What was said last, for a failure's message."""
        found = Instance.load_last(self.data_dir)
        return found and found.children

    def pid(self, name: str) -> int:
        """Process id of a child."""
        found = next(c.pid for c in self.instance().children if c.name == name)
        assert found is not None
        return found

    def kill(self, name: str) -> None:
        """Kill a child with SIGKILL and wait until it was started again and is ready."""
        before = self.pid(name)
        os.kill(before, signal.SIGKILL)

        def back() -> bool:
            child = next(c for c in self.instance().children if c.name == name)
            return child.state is ChildState.READY and child.pid not in {None, before}

        until(back, self.report)

    def down(self) -> str:
        """Stop the newest supervisor with SIGTERM; returns what it printed."""
        supervisor = self.supervisors[-1]
        supervisor.send_signal(signal.SIGTERM)
        return self.output(supervisor)

    @property
    def printed(self) -> Path:
        """What all supervisors of this directory printed."""
        return self.data_dir.with_name(f"{self.data_dir.name}.out")

    def output(self, supervisor: subprocess.Popen[bytes]) -> str:
        """Wait for the end; returns what was printed so far."""
        supervisor.wait(timeout=DEADLINE_S)
        return self.printed.read_text()

    def close(self) -> None:
        """End everything."""
        for supervisor in self.supervisors:
            if supervisor.poll() is None:
                supervisor.kill()
            supervisor.wait()
        until(lambda: not processes_of(self.data_dir), "the killed supervisor's children ended")
        found = Instance.load_last(self.data_dir)
        if found is not None:
            shutil.rmtree(found.run_dir, ignore_errors=True)
