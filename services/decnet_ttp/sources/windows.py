# SPDX-License-Identifier: AGPL-3.0-or-later
"""The windows of one log that are open at a time, within bounds; and logs read by windows."""

from collections import OrderedDict
from collections.abc import Mapping
from itertools import islice
from typing import Any, Final

from decnet_ttp.sources.log_source import START, LogSource, Place
from decnet_ttp.sources.moments import epoch
from decnet_ttp.sources.protocol import Problem, SourceOption, Tally, Upstream
from decnet_ttp.sources.window import Window, WindowKey

WINDOW_S: Final = 3600
MAX_WINDOW_S: Final = 7 * 86_400
MAX_OPEN: Final = 10_000
MAX_HELD: Final = 48 * 1024 * 1024
FINISHED_AT_ONCE: Final = 500
#: A request is logged when it ends under the time when it began.
LINGER_S: Final = 300.0


def parse_window(text: str) -> int:
    """A window's length in seconds.

    Raises:
        ValueError: it is no whole number from 1 to 604800.
    """
    try:
        value = int(text)
    except ValueError:
        value = 0
    if not 0 < value <= MAX_WINDOW_S:
        raise ValueError(f"use a whole number of seconds from 1 to {MAX_WINDOW_S}")
    return value


WINDOW_OPTION: Final = SourceOption(
    name="window",
    metavar="SECONDS",
    doc="What one attacker does at one service within so long is one session. Another value gives "
    "other sessions; keep to one.",
    parse=parse_window,
    default=str(WINDOW_S),
)


class Windows:
    """Holds windows from their first line until they are written to `out`.

    A window is written once the log's clock has moved `LINGER_S` past its end. At most `max_open`
    windows and `max_held` characters of their text are kept; beyond that the one idle for longest
    is written as it stands. A line that comes later opens the window anew: ids stay the same.
    """

    def __init__(
        self, tally: Tally, window_s: int, *, max_open: int = MAX_OPEN, max_held: int = MAX_HELD
    ) -> None:
        self.out: list[Upstream] = []
        self.place: Place = START
        self.clock = 0.0
        self.tally = tally
        self._window_s = window_s
        self._max_open = max_open
        self._max_held = max_held
        self._held = 0
        self._open: OrderedDict[WindowKey, Window] = OrderedDict()
        self._newest = float("-inf")
        self._released = float("-inf")

    def find(
        self,
        sensor: str,
        service: str,
        port: int | None,
        address: str,
        ts: str,
        file: str,
        line: int,
    ) -> Window:
        """The window that a line belongs to, begun if need be; `ts` may be "" for unknown."""
        start = None
        if ts:
            at = epoch(ts)
            start = int(at // self._window_s) * self._window_s
            self._advance(at)
        key = WindowKey(sensor, service, port, address, start)
        window = self._open.get(key)
        if window is None:
            window = self._open[key] = Window(key, file, line, self.place)
            if len(self._open) > self._max_open:
                self._evict(next(iter(self._open)))
        else:
            self._open.move_to_end(key)
            window.line = line
        window.heard = self.clock
        window.touch(ts)
        return window

    def make_room(self, window: Window, size: int) -> None:
        """Accounts for one more item of `size` characters, splitting and evicting as needed."""
        if window.full_for(size):
            self._note(
                "split", window, f"part {window.part} of the session went into a message of its own"
            )
            self._held -= window.size
            self._emit(window, final=False)
            window.next_part()
            self._held += window.size
        window.size += size
        self._hold(size)

    def keep(self, window: Window, size: int) -> None:
        """Accounts for `size` characters that describe the window as a whole."""
        window.kept += size
        self._hold(size)

    def _hold(self, size: int) -> None:
        self._held += size
        # The window at hand is the last, so it is never the one evicted.
        while self._held > self._max_held and len(self._open) > 1:
            self._evict(next(iter(self._open)))

    def oldest(self) -> Place | None:
        """Where the first line of the open windows lies."""
        return min((window.place for window in self._open.values()), default=None)

    def settle(self, now: float, *, linger_s: float, idle_s: float, live: bool) -> None:
        """Has the log end here for the moment; see `LogSource.settle`."""
        over = []
        for key, window in self._open.items():
            ended = key.start is not None and key.start + self._window_s + linger_s <= now
            if window.heard + (linger_s if ended else idle_s) <= self.clock:
                over.append(key)
            elif live and (message := window.unfinished()) is not None:
                self.out.append(message)
        for key in over:
            self._write(key)

    def finish(self) -> bool:
        """Writes some of what is open, oldest first: the log has ended; whether there is more."""
        for key in list(islice(self._open, FINISHED_AT_ONCE)):
            self._write(key)
        self._newest = self._released = float("-inf")
        return bool(self._open)

    def _advance(self, at: float) -> None:
        if at <= self._newest:
            return
        self._newest = at
        over = (at - LINGER_S) // self._window_s
        if over <= self._released:
            return
        self._released = over
        before = over * self._window_s
        for key in [k for k in self._open if k.start is not None and k.start < before]:
            self._write(key)

    def _evict(self, key: WindowKey) -> None:
        self._note(
            "evicted",
            self._open[key],
            "too much was open at once; written as far as it was read",
        )
        self._write(key)

    def _write(self, key: WindowKey) -> None:
        window = self._open.pop(key)
        self._held -= window.size + window.kept
        self.tally.sessions += 1
        self._emit(window, final=True)

    def _emit(self, window: Window, *, final: bool) -> None:
        tally, lists = self.tally, window.lists
        tally.commands += len(lists.get("commands", ()))
        tally.auth_attempts += len(lists.get("auth_attempts", ()))
        tally.payloads += len(lists.get("payloads", ()))
        tally.http_requests += len(lists.get("http_requests", ()))
        self.out.append(window.upstream(final=final))

    def _note(self, reason: str, window: Window, detail: str) -> None:
        self.tally.note(Problem(reason, window.file, window.line, detail))


class WindowedLog(LogSource):
    """A log without sessions of its own, read into windows of time."""

    def __init__(
        self, *, window: int = WINDOW_S, max_open: int = MAX_OPEN, max_held: int = MAX_HELD
    ) -> None:
        super().__init__()
        self._windows = Windows(self.tally, window, max_open=max_open, max_held=max_held)

    def share(self, tally: Tally) -> None:
        """See `LogSource.share`."""
        super().share(tally)
        self._windows.tally = tally

    def drain(self) -> list[Upstream]:
        """See `LogSource.drain`."""
        out, self._windows.out = self._windows.out, []
        return out

    def finish(self) -> bool:
        """See `LogSource.finish`."""
        return self._windows.finish()

    def oldest(self) -> Place | None:
        """See `LogSource.oldest`."""
        return self._windows.oldest()

    def settle(self, now: float, *, linger_s: float, idle_s: float, live: bool) -> None:
        """See `LogSource.settle`."""
        self._windows.clock = self.clock
        self._windows.settle(now, linger_s=linger_s, idle_s=idle_s, live=live)

    def window(
        self, sensor: str, service: str, port: int | None, address: str, ts: str, line: int
    ) -> Window:
        """The window of the line at hand; see `Windows.find`."""
        self._windows.place = self.place
        self._windows.clock = self.clock
        return self._windows.find(sensor, service, port, address, ts, self._file, line)

    def add(self, window: Window, name: str, ts: str, item: Mapping[str, Any], text: str) -> None:
        """Adds an item to a window, within its bounds; see `Window.add`."""
        self._windows.make_room(window, len(text))
        window.add(name, ts, text, item)

    def add_value(self, window: Window, name: str, value: str | int) -> None:
        """Adds to a list of different values of the session; see `Window.add_value`."""
        if window.add_value(name, value):
            self._windows.keep(window, len(value) if isinstance(value, str) else 8)

    def add_text(self, window: Window, name: str, text: str) -> None:
        """Adds a line to a text of the session; see `Window.add_text`."""
        if window.add_text(name, text):
            self._windows.keep(window, len(text) + 1)
