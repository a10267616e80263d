# SPDX-License-Identifier: AGPL-3.0-or-later
"""Two replicas of ingest share the work; one that keeps dying loses nothing.

What that costs in speed is measured by `./dev bench ingest_replicas`.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks.cowrie_logs import command_heavy, write
from benchmarks.ingest_replicas import import_with_two

pytestmark = [pytest.mark.system, pytest.mark.faults, pytest.mark.timeout(1800)]

SESSIONS = 6_000
COMMANDS = 5
#: Often enough that even a quick machine sees some kills while the import runs.
KILLED_EVERY_S = 2.0


async def test_replica_that_keeps_dying_loses_nothing(tmp_path: Path) -> None:
    log = write(tmp_path / "cowrie.json", command_heavy(SESSIONS, COMMANDS, seed=3))
    quiet = await import_with_two(tmp_path, "quiet", log)
    dying = await import_with_two(tmp_path, "dying", log, KILLED_EVERY_S)
    assert (quiet.kills, dying.kills >= 1) == (0, True)
    assert dying.tags == quiet.tags
    assert dying.announced == quiet.announced
    assert len(quiet.announced) == SESSIONS
    assert set(quiet.announced.values()) == {1}
