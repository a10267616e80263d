# SPDX-License-Identifier: AGPL-3.0-or-later
"""Cowrie's JSON log, any version from 2.0 on (and its forerunners since 2017), as sessions."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

from decnet_ttp.sources.addresses import canonical_address
from decnet_ttp.sources.cowrie_fields import (
    Event,
    first_time,
    port_number,
    protocol_name,
    raw_time,
    sensor_name,
    sha256_of,
)
from decnet_ttp.sources.cowrie_session import Session, seconds
from decnet_ttp.sources.cowrie_sessions import MAX_HELD, MAX_OPEN, OpenSessions
from decnet_ttp.sources.log_source import MAX_NAME, LogSource, Place
from decnet_ttp.sources.moments import EXACT_TIME, parse_time
from decnet_ttp.sources.protocol import Tally, Upstream

_OF_SESSIONS: Final = ("session.", "client.", "login.", "command.", "direct-tcpip.", "log.")
_CONNECT: Final = "cowrie.session.connect"
_CLOSED: Final = "cowrie.session.closed"


class CowrieSource(LogSource):
    """Puts sessions together from Cowrie's interleaved lines.

    `Session` defines ids and the size of a message, `OpenSessions` when a session is written and
    how many are kept. The files of one log count as one stretch, so rotation cuts no session.
    Events without meaning for the payload (terminal size, forwarded connections) still make their
    session known. Text typed into a program (Cowrie's `realm`) is no command and is left out.
    """

    summary = "Import Cowrie's JSON logs."

    def __init__(self, *, max_open: int = MAX_OPEN, max_held: int = MAX_HELD) -> None:
        super().__init__()
        self._sessions = OpenSessions(self.tally, max_open, max_held)
        self._handlers: dict[str, Callable[[Session, Event, str], None]] = {
            "cowrie.client.version": self._version,
            "cowrie.client.kex": self._kex,
            "cowrie.login.success": partial(self._login, result="success"),
            "cowrie.login.failed": partial(self._login, result="failure"),
            "cowrie.command.input": self._command,
            "cowrie.command.success": partial(self._verdict, success=True),
            "cowrie.command.failed": partial(self._verdict, success=False),
        }
        for direction in ("download", "upload"):
            name = f"cowrie.session.file_{direction}"
            self._handlers[name] = partial(self._transfer, direction=direction)
            self._handlers[f"{name}.failed"] = partial(
                self._transfer, direction=direction, failed=True
            )

    def share(self, tally: Tally) -> None:
        """See `LogSource.share`."""
        super().share(tally)
        self._sessions.tally = tally

    def drain(self) -> list[Upstream]:
        """See `LogSource.drain`."""
        out, self._sessions.out = self._sessions.out, []
        return out

    def finish(self) -> bool:
        """See `LogSource.finish`."""
        return self._sessions.finish()

    def oldest(self) -> Place | None:
        """See `LogSource.oldest`."""
        return self._sessions.oldest()

    def settle(self, now: float, *, linger_s: float, idle_s: float, live: bool) -> None:
        """See `LogSource.settle`."""
        del now  # Sessions end by their close, not by the time of day.
        self._sessions.settle(self.clock, linger_s=linger_s, idle_s=idle_s, live=live)

    @staticmethod
    def first_time(lines: Sequence[bytes]) -> str | None:
        """See `LogSource.first_time`."""
        return first_time(lines)

    def take(self, line: bytes, at: int, *, unended: bool = False) -> None:
        """See `LogSource.take`."""
        self.tally.lines += 1
        event = self.parse_object(line, at, unended=unended)
        if event is None:
            return
        session_id = event.get("session")
        name = event.get("eventid")
        if type(session_id) is not str or not 0 < len(session_id) <= MAX_NAME:
            self._without_session(name, at)
        elif type(name) is not str:
            self.report("not-an-event", at, "no eventid; left out")
        else:
            self._apply(event, name, session_id, at)

    def _apply(self, event: Event, name: str, session_id: str, at: int) -> None:
        value = event.get("timestamp")
        if type(value) is not str or len(value) != EXACT_TIME:
            value = raw_time(event)
        ts = parse_time(value)
        if ts is None:
            ts = ""
            self.report("bad-timestamp", at, "missing or unreadable; taken as unknown")
        sensor = event.get("sensor")
        if type(sensor) is not str or len(sensor) > MAX_NAME:
            sensor = sensor_name(event)[:MAX_NAME]
        key = (sensor, session_id)
        connect = name == _CONNECT
        self._sessions.place = self.place
        self._sessions.clock = self.clock
        session = self._sessions.find(key, ts, self._file, at, connect=connect)
        if connect or session.address is None:
            self._connection(session, event, connect=connect)
        if name == _CLOSED:
            session.duration = seconds(event.get("duration"), 1.0)
            if session.duration is None:
                session.duration = seconds(event.get("duration_ms"), 0.001)
            self._sessions.close(key, session, ts or session.last)
        elif (handler := self._handlers.get(name)) is not None:
            handler(session, event, ts)

    def _without_session(self, name: object, at: int) -> None:
        if not isinstance(name, str):
            self.report("not-an-event", at, "neither eventid nor session; left out")
        elif name.removeprefix("cowrie.").startswith(_OF_SESSIONS):
            self.report("no-session-id", at, "missing or no text; left out")

    def _text(self, session: Session, event: Event, name: str) -> str | None:
        value = event.get(name)
        if type(value) is str:
            return value
        if value is not None:
            self.report("wrong-type", session.line, f"{name} is no text; taken as absent")
        return None

    def _connection(self, session: Session, event: Event, *, connect: bool) -> None:
        address = self._text(session, event, "src_ip")
        if address is not None:
            session.address = canonical_address(address) or session.address
            if session.address is None:
                self.report("wrong-type", session.line, "src_ip is no address; taken as absent")
        session.protocol = protocol_name(event) or session.protocol
        if connect:
            session.src_port = port_number(event, "src_port")
            session.dst_port = port_number(event, "dst_port", "dest_port")

    def _version(self, session: Session, event: Event, _ts: str) -> None:
        version = self._text(session, event, "version")
        if version is not None:
            # Some releases wrote the Python form of the bytes.
            session.client_version = version.removeprefix("b'").removesuffix("'")

    def _kex(self, session: Session, event: Event, _ts: str) -> None:
        session.hassh = self._text(session, event, "hassh")
        session.kex_order = self._text(session, event, "hasshAlgorithms")

    def _login(self, session: Session, event: Event, ts: str, *, result: str) -> None:
        username = self._text(session, event, "username")
        password = self._text(session, event, "password")
        self._sessions.make_room(session, len(username or "") + len(password or ""))
        session.auth_attempts.append(
            {
                "id": session.item_id("auth", ts, f"{result}\0{username}\0{password}"),
                "ts": ts or None,
                "username": username,
                "password": password,
                "result": result,
                "service": session.protocol or "ssh",
            }
        )
        if result == "success":
            session.user = username

    def _command(self, session: Session, event: Event, ts: str) -> None:
        text = self._text(session, event, "input")
        if text is None or not text.strip() or "realm" in event:
            return
        self._sessions.make_room(session, len(text))
        command = {
            "id": session.item_id("command", ts, text),
            "command_text": text,
            "ts": ts or None,
        }
        if session.user is not None:
            command["user"] = session.user
        session.commands.append(command)

    def _verdict(self, session: Session, event: Event, _ts: str, *, success: bool) -> None:
        text = self._text(session, event, "input")
        if text is None or not text.strip() or "realm" in event:
            return
        session.judge(text, success=success)

    def _transfer(
        self, session: Session, event: Event, ts: str, *, direction: str, failed: bool = False
    ) -> None:
        if "realm" in event:
            return
        url = self._text(session, event, "url")
        sha256 = sha256_of(event)
        filename = self._text(session, event, "filename") or self._text(session, event, "destfile")
        self._sessions.make_room(session, len(url or "") + len(filename or ""))
        text = f"{direction}\0{failed}\0{url}\0{sha256}\0{filename}"
        payload: dict[str, Any] = {
            "id": session.item_id("payload", ts, text),
            "ts": ts or None,
            "direction": direction,
            "url": url,
            "sha256": sha256,
            "filename": filename,
        }
        if failed:
            payload["success"] = False
        session.payloads.append(payload)
