# SPDX-License-Identifier: AGPL-3.0-or-later
"""Files beside the rules that predicates read, and whether one is another than it was."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from decnet_ttp.core.shipped import data_digest

_Stamps = tuple[tuple[int, int, int] | None, ...]


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


@dataclass(slots=True)
class DataFile:
    """The file that one rule reads.

    Attributes:
        paths: Where it may lie; the first there counts.
        sha256: Digest of the content that the rule was loaded with; empty where there was none.
    """

    paths: tuple[Path, ...]
    sha256: str
    _stamps: _Stamps = ()
    _changed_since: float | None = field(default=None, init=False)

    def changed(self, clock: Callable[[], float], settle_s: float) -> bool | None:
        """Tell whether it is another than the rule was loaded with.

        Editors rename a file away before they write the new one, and write in several steps, so
        a change is believed once the file was left alone for a while.

        Args:
            clock: Seconds on a clock that never goes back.
            settle_s: How long that is, in seconds.

        Returns:
            None when another look should follow.
        """
        stamps = tuple(map(_stamp, self.paths))
        now = clock()
        if stamps != self._stamps:
            first = not self._stamps
            self._stamps = stamps
            self._changed_since = now
            if first and data_digest(self.paths) == self.sha256:
                self._changed_since = None
                return False
            return None
        if self._changed_since is None:
            return False
        if now - self._changed_since < settle_s:
            return None
        self._changed_since = None
        return data_digest(self.paths) != self.sha256
