# SPDX-License-Identifier: AGPL-3.0-or-later
"""The logs that paths name, as they come into being and go."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from decnet_ttp.sources.cursor import Cursor
from decnet_ttp.sources.follow import FollowedLog, Pace
from decnet_ttp.sources.log_source import LogSource
from decnet_ttp.sources.logfiles import FileNames, files_below, log_name

#: How often directories are looked into for logs that are new, in seconds.
LOOK_S: Final = 1.0
#: A log whose files are gone may still be written to by who has it open, for so long in seconds.
LET_GO_S: Final = 600.0
#: A large directory is looked into less often, so that looking takes a small share of the time.
_LEAST_REST: Final = 20.0


class FollowedLogs:
    """Every log that is followed; a directory's logs are found while they are followed.

    A log whose files have been gone for a while is let go of once it is read to its end and none of
    its sessions is open.
    """

    def __init__(
        self,
        paths: Sequence[str],
        make: Callable[[], LogSource],
        pace: Pace,
        known: Mapping[str, Cursor],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Looks for the first time.

        Args:
            paths: Files and directories.
            make: Makes the adapter of one log.
            pace: When an unfinished session is written.
            known: Cursors by the names of logs.
            clock: Seconds of a monotonic clock.

        Raises:
            FileNotFoundError: a path's folder does not exist.
        """
        self._paths = tuple(paths)
        self._make = make
        self._pace = pace
        self._known = dict(known)
        self._clock = clock
        self._logs: dict[Path, FollowedLog] = {}
        self._gone_since: dict[Path, float] = {}
        self._folders = [path for path in map(Path, paths) if path.is_dir()]
        self._look_at = 0.0
        self._names = make().names
        self._take_in(logs_below(paths, self._names))

    def __iter__(self) -> Iterator[FollowedLog]:
        return iter(tuple(self._logs.values()))

    def __len__(self) -> int:
        return len(self._logs)

    def look(self) -> list[str]:
        """Look for new logs when it is time to; returns the names of those that were let go of."""
        began = self._clock()
        if not self._folders or began < self._look_at:
            return []
        try:
            # While a folder is away, what is open in it is read on.
            there = all(folder.is_dir() for folder in self._folders)
            found = logs_below(self._paths, self._names) if there else None
        except OSError:
            found = None
        now = self._clock()
        self._look_at = now + max(LOOK_S, _LEAST_REST * (now - began))
        if found is None:
            return []
        self._take_in(found)
        present = {path for path, _ in found}
        self._gone_since = {
            path: self._gone_since.get(path, now) for path in self._logs if path not in present
        }
        gone = [
            path
            for path, since in self._gone_since.items()
            if now - since >= LET_GO_S and self._logs[path].done
        ]
        for path in gone:
            self._logs.pop(path).close()
        return [str(path) for path in gone]

    def close(self) -> None:
        """Close the files at hand."""
        for log in self:
            log.close()

    def _take_in(self, found: Sequence[tuple[Path, bool]]) -> None:
        for path, from_oldest in found:
            if path not in self._logs:
                self._logs[path] = FollowedLog(
                    path,
                    self._make(),
                    self._pace,
                    # Of an earlier life; a log that comes into being again begins anew.
                    cursor=self._known.pop(str(path), None),
                    from_oldest=from_oldest,
                    clock=self._clock,
                )


def logs_below(paths: Sequence[str], names: FileNames) -> list[tuple[Path, bool]]:
    """The logs that paths name, each with whether its rotated files are meant too.

    A file is followed from its beginning; it may come into being later, its folder may not. Of a
    directory all logs are followed, oldest file first; there may be none yet.

    Raises:
        FileNotFoundError: a path's folder does not exist.
    """
    found: dict[Path, bool] = {}
    for text in paths:
        path = Path(text).absolute()
        if path.is_dir():
            for file in files_below(path, names):
                found.setdefault(Path(log_name(file)), True)
        elif path.parent.is_dir():
            found[path] = False
        else:
            raise FileNotFoundError(f"{path.parent}: no such directory; name a log in one that is")
    return list(found.items())
