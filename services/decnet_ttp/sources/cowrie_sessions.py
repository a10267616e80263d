# SPDX-License-Identifier: AGPL-3.0-or-later
"""The sessions of one Cowrie log that are open at a time, within bounds."""

from collections import OrderedDict
from datetime import datetime, timedelta
from itertools import islice
from typing import Final

from decnet_ttp.sources.cowrie_session import Session
from decnet_ttp.sources.log_source import START, Place
from decnet_ttp.sources.protocol import Problem, Tally, Upstream

MAX_OPEN: Final = 20_000
MAX_HELD: Final = 48 * 1024 * 1024
FINISHED_AT_ONCE: Final = 500
# Whose both ends were seen: where a log's times jump back, its clock would let them wait for ever.
MAX_CLOSING: Final = 4_000
# A download may end, and be logged, after the attacker has hung up.
LINGER: Final = timedelta(seconds=60)
_NEVER: Final = "~"  # Sorts after every time.

Key = tuple[str, str]
"""Sensor and session id."""


class OpenSessions:
    """Holds sessions from their first line until they are written to `out`.

    A session is written once both its connect and its close were seen and the log's clock has moved
    `LINGER` past the close, or `MAX_CLOSING` others were closed after it. What is incomplete,
    because its beginning lies in a file read later or its end in none, waits for `finish`.

    At most `max_open` sessions and `max_held` characters of their text are kept; beyond that the
    one idle for longest, in reading order, is written as it stands (over the bound on text: of
    those that hold any), and reported as `evicted` unless its close was seen. What follows of it
    becomes a session of its own.
    """

    def __init__(self, tally: Tally, max_open: int, max_held: int) -> None:
        self.out: list[Upstream] = []
        self.place = START
        self.clock = 0.0
        self.tally = tally
        self._max_open = max_open
        self._max_held = max_held
        self._held = 0
        self._holding: OrderedDict[Key, None] = OrderedDict()
        self._open: OrderedDict[Key, Session] = OrderedDict()
        self._closing: OrderedDict[Key, str] = OrderedDict()
        self._deadline = _NEVER

    def find(self, key: Key, ts: str, file: str, line: int, *, connect: bool) -> Session:
        """The session that an event at `ts` belongs to, begun if need be.

        A second connect with the same key, or an event more than a day away from the rest, begins
        another session: short ids come round again. A connect that precedes what is known of a
        session without one completes it: files of one log may come in the wrong order.
        """
        if ts > self._deadline:
            self._release(ts)
        session = self._open.get(key)
        if session is not None:
            if session.belongs(ts) and (not connect or session.starts_with(ts)):
                self._open.move_to_end(key)
                session.heard = self.clock
                session.touch(ts)
                session.line = line
                if connect:
                    session.connected = ts
                    self._settle(key, session)
                return session
            self._write(key, session)
        session = Session(key[0], key[1], ts, file, line)
        session.place = self.place
        session.heard = self.clock
        if connect:
            session.connected = ts
        self._open[key] = session
        if len(self._open) > self._max_open:
            self._evict(next(iter(self._open)))
        return session

    def close(self, key: Key, session: Session, ts: str) -> None:
        """Takes the end of a session into account; "" is a close at an unknown time."""
        session.ended = True
        session.closed = ts
        self._settle(key, session)

    def _settle(self, key: Key, session: Session) -> None:
        """Has a session written soon once both its ends are known."""
        if session.closed and session.connected:
            until = datetime.fromisoformat(session.closed) + LINGER
            self._closing[key] = until.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
            if len(self._closing) > MAX_CLOSING:
                first = next(iter(self._closing))
                self._write(first, self._open[first])
            if self._deadline is _NEVER:
                self._deadline = self._closing[key]

    def make_room(self, session: Session, size: int) -> None:
        """Accounts for one more item of `size` characters, splitting and evicting as needed."""
        if session.full_for(size):
            self._note(
                "split",
                session,
                f"part {session.part} of the session went into a message of its own",
            )
            self._held -= session.size
            self._emit(session, final=False)
            session.next_part()
            self._held += session.size
        session.items += 1
        session.size += size
        self._held += size
        key = (session.sensor, session.session)
        self._holding[key] = None
        self._holding.move_to_end(key)
        # The session at hand is the last, so it is never the one evicted.
        while self._held > self._max_held and len(self._holding) > 1:
            self._evict(next(iter(self._holding)))

    def finish(self) -> bool:
        """Writes some of what is open, oldest first: the log has ended; whether there is more."""
        for key, session in list(islice(self._open.items(), FINISHED_AT_ONCE)):
            self._write(key, session)
        self._deadline = _NEVER
        return bool(self._open)

    def oldest(self) -> Place | None:
        """Where the first line of the open sessions lies."""
        return min((session.place for session in self._open.values()), default=None)

    def settle(self, clock: float, *, linger_s: float, idle_s: float, live: bool) -> None:
        """Has the log end here for the moment; see `LogSource.settle`."""
        over: list[tuple[Key, Session]] = []
        for key, session in self._open.items():
            if session.heard + (linger_s if session.ended else idle_s) <= clock:
                over.append((key, session))
            elif live and not session.ended and session.address is not None:
                message = session.unfinished(session.address)
                if message is not None:
                    self.out.append(message)
        for key, session in over:
            if not session.ended:
                self._note("idle", session, "no line of it for too long; written as it stands")
            self._write(key, session)

    def _release(self, now: str) -> None:
        while self._closing:
            key, deadline = next(iter(self._closing.items()))
            if deadline >= now:
                self._deadline = deadline
                return
            self._write(key, self._open[key])
        self._deadline = _NEVER

    def _evict(self, key: Key) -> None:
        session = self._open[key]
        if not session.ended:
            self._note(
                "evicted", session, "too much was open at once; written as far as it was read"
            )
        self._write(key, session)

    def _write(self, key: Key, session: Session) -> None:
        del self._open[key]
        self._closing.pop(key, None)
        self._holding.pop(key, None)
        self._held -= session.size
        self.tally.sessions += 1
        self._emit(session, final=True)

    def _emit(self, session: Session, *, final: bool) -> None:
        tally = self.tally
        if session.address is None:
            tally.sessions_skipped += final
            self._note(
                "no-attacker-address",
                session,
                "no line of the session names one, so nobody can be tagged; left out",
            )
            return
        tally.commands += len(session.commands)
        tally.auth_attempts += len(session.auth_attempts)
        tally.payloads += len(session.payloads)
        self.out.append(session.upstream(session.address, final=final))

    def _note(self, reason: str, session: Session, detail: str) -> None:
        self.tally.note(Problem(reason, session.file, session.line, detail))
