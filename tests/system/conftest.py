# SPDX-License-Identifier: AGPL-3.0-or-later
"""The whole system as a user starts it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from benchmarks.installation import Installation


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    """A running embedded installation of its own; nothing of it is left afterwards."""
    started = Installation(tmp_path / "data")
    try:
        started.up()
        yield started
    finally:
        started.down()
