# SPDX-License-Identifier: AGPL-3.0-or-later
"""What adapters of line-by-line logs share: files, their order, reporting, being followed."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final

import orjson

from decnet_ttp.sources.json_text import repair
from decnet_ttp.sources.lines import STDIN, open_raw, read_blocks
from decnet_ttp.sources.logfiles import JSON_NAMES, FileNames, find_logs
from decnet_ttp.sources.protocol import Problem, Tally, Upstream

Place = tuple[int, int, int]
"""Where a line of a followed log begins: which file of the log, byte, line number."""

START: Final[Place] = (0, 0, 1)
MAX_NAME: Final = 256


class LogSource(ABC):
    """An adapter that takes a log line by line; a subclass says what lines mean.

    Reading: `take` gets each line, `drain` hands over the messages that became complete, `finish`
    writes what is unfinished when the log has ended.

    Following (see `decnet_ttp.sources.follow`): whoever follows sets `place` before each line and
    `clock` (a monotonic clock in seconds) now and then, calls `settle` when the log has no more for
    the moment, and asks `oldest` where reading has to begin again after a restart.

    Attributes:
        names: which files of a directory belong to such logs.
        place: where the line at hand begins, while a log is followed.
        clock: seconds of a monotonic clock, while a log is followed.
    """

    names: ClassVar[FileNames] = JSON_NAMES

    def __init__(self) -> None:
        self.tally = Tally()
        self.place: Place = START
        self.clock = 0.0
        self._file = ""

    @abstractmethod
    def take(self, line: bytes, at: int, *, unended: bool = False) -> None:
        """Takes one line, without its newline.

        Args:
            line: neither empty nor blank.
            at: its number in the file.
            unended: the file ended inside it.
        """

    @abstractmethod
    def drain(self) -> list[Upstream]:
        """The messages that became complete since the last call."""

    @abstractmethod
    def finish(self) -> bool | None:
        """Completes what is unfinished: the log has ended.

        Returns:
            True when there is more; it is called again, after `drain`, so that not all that was
            open is held as messages at once.
        """

    @staticmethod
    @abstractmethod
    def first_time(lines: Sequence[bytes]) -> str | None:
        """The first readable time stamp among some lines, as text that sorts by time."""

    def oldest(self) -> Place | None:
        """Where the oldest line lies that is not yet in a drained message, None if there is none.

        The default is that of an adapter that keeps nothing back.
        """
        return None

    def settle(self, now: float, *, linger_s: float, idle_s: float, live: bool) -> None:
        """Completes what has ended, and what has gained no line for too long.

        Args:
            now: Seconds since the epoch.
            linger_s: how long after its end a session may still get a line.
            idle_s: without a line for so long, a session that has not ended counts as over.
            live: also write what is new in unfinished sessions, to be completed later.
        """
        del now, linger_s, idle_s, live

    def share(self, tally: Tally) -> None:
        """Counts into a tally that several logs have in common; before the first line."""
        self.tally = tally

    def read(self, paths: Sequence[str]) -> Iterator[Upstream]:
        """See `Source.read`.

        Raises:
            FileNotFoundError: a path does not exist or a directory holds no such log.
        """
        logs = find_logs(paths, self.first_time, self.names)
        files = [file for log in logs for file in log.files if file != STDIN]
        self.tally.bytes_total = sum(Path(file).stat().st_size for file in files)
        return self._read([log.files for log in logs])

    def _read(self, logs: Sequence[Sequence[str]]) -> Iterator[Upstream]:
        for files in logs:
            for file in files:
                yield from self._read_file(file)
            while self.finish():
                yield from self.drain()
            yield from self.drain()

    def _read_file(self, file: str) -> Iterator[Upstream]:
        self.begin(file)
        try:
            raw = open_raw(file)
        except OSError as error:
            self.report("unreadable-file", 0, f"left out: {error.strerror}")
            return
        done = self.tally.bytes_done
        with raw:
            for number, lines, unended in read_blocks(raw, self.report):
                for at, line in enumerate(lines, number):
                    if line and not line.isspace():
                        self.take(line, at, unended=unended)
                if file != STDIN:
                    self.tally.bytes_done = done + raw.tell()
                yield from self.drain()

    def begin(self, file: str) -> None:
        """The lines that follow are of another file of the log."""
        self._file = file
        self.tally.files += 1

    def report(self, reason: str, line: int, detail: str) -> None:
        """Notes a problem of the file at hand; `line` 0 means the file as a whole."""
        self.tally.note(Problem(reason, self._file, line, detail))

    def parse_object(self, line: bytes, at: int, *, unended: bool) -> dict[str, Any] | None:
        """The JSON object a line holds; None, with the problem noted, when it holds none."""
        try:
            value = orjson.loads(line)
        except orjson.JSONDecodeError:
            try:
                value = repair(line)
            except ValueError:
                if unended:
                    self.report("truncated-line", at, "the file ends inside it; left out")
                else:
                    self.report("not-json", at, "left out")
                return None
            self.report(
                "invalid-utf8", at, "bytes that are no text were replaced; the rest was kept"
            )
        if type(value) is not dict:
            self.report("not-an-object", at, "JSON, but no event; left out")
            return None
        return value
