# SPDX-License-Identifier: AGPL-3.0-or-later
"""Publishes logs while they grow, without loss or repetition across restarts."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Protocol

from decnet_ttp.sources.cursor import Cursor, CursorFile
from decnet_ttp.sources.log_source import LogSource
from decnet_ttp.sources.protocol import Upstream
from decnet_ttp.sources.tail import Tail

POLL_S: Final = 0.1
SETTLE_S: Final = 0.25
STEP_BYTES: Final = 4 * 1024 * 1024
MAX_PUBLISHED: Final = 50_000

Publish = Callable[[Sequence[Upstream]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Pace:
    """When an unfinished session is written.

    Attributes:
        linger_s: seconds after its end in which a session may still get a line.
        idle_s: seconds without a line after which a session counts as over.
        live: also write what is new in unfinished sessions, to be completed when they end.
    """

    linger_s: float = 1.0
    idle_s: float = 3600.0
    live: bool = True


class FollowedLog:
    """One log, from the lines to the messages and back to a cursor.

    The cursor lies at the oldest line that is not wholly on the bus: the first one of the oldest
    open session. After a restart everything from there is read again. What of it is published is
    known by the messages' ids, so it is not published twice.
    """

    def __init__(
        self,
        path: Path,
        source: LogSource,
        pace: Pace,
        *,
        cursor: Cursor | None = None,
        from_oldest: bool = False,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.name = str(path)
        self.source = source
        self.caught_up = False
        self._pace = pace
        self._clock = clock
        self._now = now
        self._tail = Tail(
            path,
            source.first_time,
            source.report,
            cursor=cursor,
            from_oldest=from_oldest,
            clock=clock,
        )
        self._file = ""
        self._settled = float("-inf")
        # Messages that are on the bus, with how far the log was read when they were written. For
        # those of an earlier process it is not known before as much was read again.
        self._published: dict[str, int | None] = dict.fromkeys(cursor.published if cursor else ())
        self._again_until = cursor.offset + cursor.ahead if cursor else 0
        self._saved = cursor

    def advance(self) -> list[Upstream]:
        """Reads some of what there is and returns the messages that are to be published for it."""
        source = self.source
        source.clock = self._clock()
        size = 0
        self.caught_up = False
        while size < STEP_BYTES:
            lines = self._tail.read()
            if not lines:
                self.caught_up = True
                break
            if self._tail.file != self._file:
                self._file = self._tail.file
                source.begin(self._file)
            for place, text, unended in lines:
                size += len(text)
                if text and not text.isspace():
                    source.place = place
                    source.take(text, place[2], unended=unended)
        if self.caught_up and source.clock - self._settled >= SETTLE_S:
            self._settled = source.clock
            pace = self._pace
            source.settle(self._now(), linger_s=pace.linger_s, idle_s=pace.idle_s, live=pace.live)
        here = self._tail.distance(self._tail.end)
        fresh = []
        for message in source.drain():
            if message.id in self._published:
                self._published[message.id] = here
            else:
                fresh.append(message)
        return fresh

    def acknowledge(self, messages: Sequence[Upstream]) -> None:
        """The messages of the last `advance` are on the bus."""
        here = self._tail.distance(self._tail.end)
        self._published.update((message.id, here) for message in messages)

    def cursor(self) -> Cursor | None:
        """Where to go on, once everything from `advance` was acknowledged; None if unchanged."""
        end = self._tail.end
        here = self._tail.distance(end)
        place = self.source.oldest() or end
        cursor = self._tail.cursor(place)
        if cursor is None:
            return None
        start = self._tail.distance(place)
        if here >= self._again_until or self.caught_up:
            self._again_until = 0
            self._published = {
                name: here if at is None else at
                for name, at in self._published.items()
                if at is None or at > start
            }
        published = tuple(self._published)[-MAX_PUBLISHED:]
        ahead = max(here, self._again_until) - start
        cursor = replace(cursor, ahead=ahead, published=published)
        if cursor == self._saved:
            return None
        self._saved = cursor
        return cursor

    @property
    def done(self) -> bool:
        """Whether all of it is read, and nothing that was read is still to be completed."""
        return self.caught_up and self.source.oldest() is None

    def close(self) -> None:
        """Close the file at hand."""
        self._tail.close()


class Logs(Protocol):
    """What is followed, which may change."""

    def __iter__(self) -> Iterator[FollowedLog]:
        """Give the logs of the moment."""

    def look(self) -> list[str]:
        """Bring the logs up to date; returns the names of those that were let go of."""


async def follow(
    logs: Logs,
    publish: Publish,
    cursors: CursorFile,
    stop: asyncio.Event,
    *,
    poll_s: float = POLL_S,
) -> None:
    """Follows until `stop` is set.

    A cursor is saved only when the bus has acknowledged all that lies before it.

    Args:
        logs: what is followed, each with the cursor that `cursors` holds for it.
        publish: returns once every message was acknowledged; what it raises ends the following.
        cursors: where cursors are kept.
        stop: ends the following after the step at hand.
        poll_s: how often a quiet log is looked at, in seconds.

    Raises:
        CursorError: a cursor cannot be saved.
    """
    saved = cursors.load()
    while not stop.is_set():
        quiet = True
        for name in await asyncio.to_thread(logs.look):
            saved.pop(name, None)
        for log in logs:
            messages = await asyncio.to_thread(log.advance)
            if messages:
                await publish(messages)
                log.acknowledge(messages)
            if (cursor := log.cursor()) is not None:
                saved[log.name] = cursor
                await asyncio.to_thread(cursors.save, saved)
            quiet = quiet and log.caught_up and not messages
        if quiet:
            try:
                async with asyncio.timeout(poll_s):
                    await stop.wait()
            except TimeoutError:
                continue
