# SPDX-License-Identifier: AGPL-3.0-or-later
"""One Cowrie session while it is being put together from its lines."""

import math
from hashlib import blake2b
from typing import Any, Final

from decnet_ttp.sources.log_source import START
from decnet_ttp.sources.moments import epoch
from decnet_ttp.sources.protocol import Upstream, escape
from decnet_ttp.sources.told_before import lists_size, told_before

TOPIC: Final = "attacker.session.ended"
TYPE: Final = "session.ended"

MAX_ITEMS: Final = 2_000
MAX_TEXT: Final = 256 * 1024
JUDGED_BACK: Final = 64
MAX_SEEN: Final = 10_000
SHOWN_WHOLE: Final = 100
SAME_SESSION_S: Final = 24 * 3600.0


class Session:
    """Collects one session's events and writes them as `attacker.session.ended` payloads.

    Identity. All ids come from what the log line says, so that reading a file again, cutting it in
    other places or joining its parts in another order gives the same ids:

    * source id: `sensor/session/first`, where `first` is the time of the connect event, else the
      earliest time seen; from the second part of a split session on, `#part` is appended. Sensor
      and time keep apart the equal session ids of other sensors and years.
    * id of a command, log-in attempt or payload: the first 128 bits of blake2b over kind, sensor,
      session, time and text, NUL-separated, in hex; the n-th (n > 1) of several equal ones at the
      same instant gets `-n` appended. An event without a time takes the source id in its place.

    Bounds. A session over `MAX_ITEMS` items or `MAX_TEXT` characters of attacker text is written in
    parts, cut when the next item would exceed the bound. Parts share `session_id`, carry `part`
    (from 1) and all but the last say `closed: false`. One item alone may be as long as a line.
    From the second part on, `told_before` holds the last items of what came before.

    Times are held as `YYYY-MM-DDTHH:MM:SS.ffffffZ`, which sorts as text; "" stands for unknown.
    """

    __slots__ = (
        "address",
        "auth_attempts",
        "client_version",
        "closed",
        "commands",
        "connected",
        "disordered",
        "dst_port",
        "duration",
        "ended",
        "file",
        "first",
        "hassh",
        "heard",
        "items",
        "kex_order",
        "last",
        "line",
        "part",
        "payloads",
        "place",
        "protocol",
        "seen",
        "seen_at",
        "sensor",
        "session",
        "shown",
        "size",
        "src_port",
        "told",
        "user",
    )

    def __init__(self, sensor: str, session: str, ts: str, file: str, line: int) -> None:
        self.sensor = sensor
        self.session = session
        self.file = file
        self.line = line
        self.first = ts
        self.last = ts
        self.connected = ""
        self.closed = ""
        self.ended = False
        self.disordered = False
        self.address: str | None = None
        self.protocol: str | None = None
        self.src_port: int | None = None
        self.dst_port: int | None = None
        self.client_version: str | None = None
        self.hassh: str | None = None
        self.kex_order: str | None = None
        self.user: str | None = None
        self.duration: float | None = None
        self.commands: list[dict[str, Any]] = []
        self.auth_attempts: list[dict[str, Any]] = []
        self.payloads: list[dict[str, Any]] = []
        self.items = 0
        self.size = 0
        self.part = 1
        self.told: dict[str, list[dict[str, Any]]] = {}
        self.seen: dict[str, int] = {}
        self.seen_at = ""
        self.place = START
        self.heard = 0.0
        self.shown: tuple[int, int, int] = (0, 0, 0)

    @property
    def source_id(self) -> str:
        """See the class docstring."""
        own = f"{escape(self.sensor)}/{escape(self.session)}/{self.connected or self.first}"
        return own if self.part == 1 else f"{own}#{self.part}"

    def belongs(self, ts: str) -> bool:
        """Whether an event at `ts` may be of this session, judged by the gap alone."""
        if not ts or not self.last or ts[:10] == self.last[:10]:
            return True
        start, end, at = epoch(self.first), epoch(self.last), epoch(ts)
        return start - SAME_SESSION_S <= at <= end + SAME_SESSION_S

    def starts_with(self, connect_ts: str) -> bool:
        """Whether a connect at that time is the missing beginning of what is known so far."""
        return not self.connected and connect_ts <= (self.first or connect_ts)

    def touch(self, ts: str) -> None:
        """Takes the time of one more event into account."""
        if ts > self.last:
            self.last = ts
        elif ts and ts < self.last:
            self.disordered = True
        if ts and (not self.first or ts < self.first):
            self.first = ts

    def item_id(self, kind: str, ts: str, text: str) -> str:
        """The stable id of one item; see the class docstring."""
        digest = blake2b(
            f"{kind}\0{self.sensor}\0{self.session}\0{ts or self.source_id}\0{text}".encode(),
            digest_size=16,
        ).hexdigest()
        # Only items at one instant can be equal, so only those are remembered.
        if ts != self.seen_at or len(self.seen) > MAX_SEEN:
            self.seen_at = ts
            self.seen.clear()
        ordinal = self.seen.get(digest, 0) + 1
        self.seen[digest] = ordinal
        return digest if ordinal == 1 else f"{digest}-{ordinal}"

    def full_for(self, size: int) -> bool:
        """Whether an item of `size` characters starts a new part."""
        return self.items > 0 and (self.items >= MAX_ITEMS or self.size + size > MAX_TEXT)

    def next_part(self) -> None:
        """Forgets the items just written, but for what the next part tells of them."""
        self.told = told_before(
            {
                "commands": self.commands,
                "auth_attempts": self.auth_attempts,
                "payloads": self.payloads,
            },
            self.told,
        )
        self.part += 1
        self.items = 0
        self.size = lists_size(self.told)
        self.shown = (0, 0, 0)
        self.commands = []
        self.auth_attempts = []
        self.payloads = []

    def judge(self, text: str, *, success: bool) -> None:
        """Records what became of a command.

        Cowrie reports each program of a line by itself, with its path and arguments resolved, and
        after the whole line was logged. So: the earliest recent line that is that text and has no
        verdict, else the latest that names the program, else (for a failure) the latest. One failed
        program makes the line a failure.
        """
        recent = self.commands[-JUDGED_BACK:]
        if not recent:
            return
        wanted = text.strip()
        target = None
        for command in recent:
            if "success" not in command and command["command_text"].strip() == wanted:
                target = command
                break
        if target is None:
            program = wanted.partition(" ")[0]
            for command in reversed(recent):
                if program in command["command_text"]:
                    target = command
                    break
        if target is None:
            if success:
                return
            target = recent[-1]
        if not success or "success" not in target:
            target["success"] = success

    def unfinished(self, address: str) -> Upstream | None:
        """Writes the session as it stands, None when no item came since the last time.

        A long session would be sent whole again and again, so of that only what is new is written;
        the message that completes the session holds all of it once more.
        """
        whole = (self.commands, self.auth_attempts, self.payloads)
        shown = self.shown
        self.shown = (len(self.commands), len(self.auth_attempts), len(self.payloads))
        if shown == self.shown:
            return None
        if self.items > SHOWN_WHOLE:
            self.commands, self.auth_attempts, self.payloads = (
                items[start:] for items, start in zip(whole, shown, strict=True)
            )
        message = self.upstream(address, final=False)
        self.commands, self.auth_attempts, self.payloads = whole
        return message

    def upstream(self, address: str, *, final: bool) -> Upstream:
        """Writes what was collected since the last part; `final` unless another part follows."""
        closed = final and self.ended
        protocol = self.protocol or "ssh"
        started = self.connected or self.first
        ended = (self.closed if closed else "") or self.last
        duration = self.duration if closed else None
        if duration is None and started and ended:
            duration = max(0.0, round(epoch(ended) - epoch(started), 6))
        if self.disordered:
            for items in (self.commands, self.auth_attempts, self.payloads):
                items.sort(key=_time_of)
        source_id = self.source_id
        payload: dict[str, Any] = {
            "session_id": self.session,
            "source_id": source_id,
            "attacker_uuid": None,
            "attacker_ip": address,
            "decky_id": self.sensor,
            "service": protocol,
            "protocol": protocol,
            "started_at": started or None,
            "ended_at": ended or None,
            "duration_s": duration,
            "src_port": self.src_port,
            "dst_port": self.dst_port,
            "client_version": self.client_version,
            "hassh": self.hassh,
            "closed": closed,
            "commands": self.commands,
            "auth_attempts": self.auth_attempts,
            "payloads": self.payloads,
            "http_requests": [],
        }
        if self.kex_order:
            payload["kex_order"] = self.kex_order
        if self.part > 1 or not final:
            payload["part"] = self.part
        if self.told:
            payload["told_before"] = self.told
        at = epoch(ended) if ended else None
        return Upstream.of(TOPIC, TYPE, source_id, payload, at, int(final))


def _time_of(item: dict[str, Any]) -> str:
    return item["ts"] or "~"  # Unknown times sort last.


def seconds(value: object, unit: float) -> float | None:
    """A duration as Cowrie writes it (number, or number as text) in seconds; None if it is none."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value) * unit
    except (ValueError, OverflowError):
        return None
    return round(number, 6) if math.isfinite(number) and number >= 0 else None
