# SPDX-License-Identifier: AGPL-3.0-or-later
"""What one attacker did at one service of one sensor within one window of time."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any, Final, NamedTuple

from decnet_ttp.sources.log_source import START, Place
from decnet_ttp.sources.moments import epoch
from decnet_ttp.sources.protocol import Upstream, escape
from decnet_ttp.sources.told_before import lists_size, told_before

TOPIC: Final = "attacker.session.ended"
TYPE: Final = "session.ended"

MAX_ITEMS: Final = 2_000
MAX_TEXT: Final = 256 * 1024
MAX_SEEN: Final = 10_000
MAX_VALUES: Final = 1_000
MAX_JOINED: Final = 64 * 1024
SHOWN_WHOLE: Final = 100

#: The lists of a session, and the short word that each takes in ids.
LISTS: Final = {
    "auth_attempts": "auth",
    "http_requests": "http",
    "commands": "command",
    "payloads": "payload",
}
Shown = tuple[int, int, int, int, int]
_NOTHING_SHOWN: Final[Shown] = (0, 0, 0, 0, 0)


class WindowKey(NamedTuple):
    """Which window.

    Attributes:
        sensor: the decoy.
        service: for example `http`.
        port: of the decoy; None when the log does not say.
        address: the attacker's.
        start: the window's first second since the epoch; None for lines without a time.
    """

    sensor: str
    service: str
    port: int | None
    address: str
    start: int | None


@dataclass(slots=True)
class Window:
    """Collects the items of one window and writes them as `attacker.session.ended` payloads.

    Identity. Windows lie on a fixed grid, so an item's window depends on its time alone:

    * source and session id: `service/sensor/port/address/start`; from the second part of a split
      window on, `#part` is appended to the source id.
    * id of an item: the first 128 bits of blake2b over kind, service, sensor, port, address, time
      and text, NUL-separated, in hex; the n-th (n > 1) of several equal ones in a window gets `-n`
      appended. An item without a time takes the source id in its place.

    Bounds as for a Cowrie session: over `MAX_ITEMS` items or `MAX_TEXT` characters a window is
    written in parts.
    """

    key: WindowKey
    file: str
    line: int
    place: Place = START
    heard: float = 0.0
    first: str = ""
    last: str = ""
    client_version: str | None = None
    part: int = 1
    items: int = 0
    size: int = 0
    kept: int = 0
    lists: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    values: dict[str, dict[Any, None]] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    told: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    _seen: dict[str, int] = field(default_factory=dict)
    _shown: Shown = _NOTHING_SHOWN
    _news: int = 0

    @property
    def source_id(self) -> str:
        """See the class docstring."""
        sensor, service, port, address, start = self.key
        when = "undated"
        if start is not None:
            when = datetime.fromtimestamp(start, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return f"{escape(service)}/{escape(sensor)}/{port or ''}/{escape(address)}/{when}"

    def touch(self, ts: str) -> None:
        """Takes the time of one more line into account."""
        self.last = max(self.last, ts)
        if ts and (not self.first or ts < self.first):
            self.first = ts

    def add(self, name: str, ts: str, text: str, item: Mapping[str, Any]) -> None:
        """Appends an item to the list `name`; `text` is what tells it from others at its time."""
        item_id = self._item_id(LISTS[name], ts, text)
        self.lists.setdefault(name, []).append({"id": item_id, "ts": ts or None, **item})
        self.items += 1

    def add_value(self, name: str, value: object) -> bool:
        """Adds to a list of different values that describe the session; whether it was new."""
        values = self.values.setdefault(name, {})
        if value in values or len(values) >= MAX_VALUES:
            return False
        values[value] = None
        self._news += 1
        return True

    def add_text(self, name: str, text: str) -> bool:
        """Adds a line to a text that describes the session; whether there was room for it."""
        known = self.texts.get(name)
        if len(known or "") + len(text) >= MAX_JOINED:
            return False
        self.texts[name] = text if known is None else f"{known}\n{text}"
        self._news += 1
        return True

    def full_for(self, size: int) -> bool:
        """Whether an item of `size` characters starts a new part."""
        return self.items > 0 and (self.items >= MAX_ITEMS or self.size + size > MAX_TEXT)

    def next_part(self) -> None:
        """Forgets the items just written, but for what the next part tells of them.

        What describes the whole is kept.
        """
        self.told = told_before(self.lists, self.told)
        self.part += 1
        self.items = 0
        self.size = lists_size(self.told)
        self.lists = {}
        self._shown = _NOTHING_SHOWN

    def unfinished(self) -> Upstream | None:
        """Writes the window as it stands, None when nothing came since the last time.

        Of a long one only what is new is written; the message that completes the window holds all
        of it once more.
        """
        before = self._shown
        auth, http, command, payload = (len(self.lists.get(name, ())) for name in LISTS)
        self._shown = (auth, http, command, payload, self._news)
        if before == self._shown:
            return None
        whole = self.lists
        if self.items > SHOWN_WHOLE:
            self.lists = {
                name: self.lists.get(name, [])[start:]
                for name, start in zip(LISTS, before, strict=False)
            }
        message = self.upstream(final=False)
        self.lists = whole
        return message

    def upstream(self, *, final: bool) -> Upstream:
        """Writes what was collected since the last part; `final` unless another part follows."""
        key = self.key
        session_id = self.source_id
        source_id = session_id if self.part == 1 else f"{session_id}#{self.part}"
        duration = round(epoch(self.last) - epoch(self.first), 6) if self.first else None
        payload: dict[str, Any] = {
            "session_id": session_id,
            "source_id": source_id,
            "attacker_uuid": None,
            "attacker_ip": key.address,
            "decky_id": key.sensor,
            "service": key.service,
            "protocol": key.service,
            "started_at": self.first or None,
            "ended_at": self.last or None,
            "duration_s": duration,
            "src_port": None,
            "dst_port": key.port,
            "client_version": self.client_version,
            "hassh": None,
            "closed": False,
            **{name: sorted(self.lists.get(name, ()), key=_time_of) for name in LISTS},
            **{name: list(values) for name, values in self.values.items()},
            **self.texts,
        }
        if self.part > 1 or not final:
            payload["part"] = self.part
        if self.told:
            payload["told_before"] = self.told
        at = epoch(self.last) if self.last else None
        return Upstream.of(TOPIC, TYPE, source_id, payload, at, int(final))

    def _item_id(self, kind: str, ts: str, text: str) -> str:
        key = self.key
        when = ts or self.source_id
        digest = blake2b(
            "\0".join(
                (kind, key.service, key.sensor, str(key.port or ""), key.address, when, text)
            ).encode("utf-8", "replace"),
            digest_size=16,
        ).hexdigest()
        if len(self._seen) > MAX_SEEN:
            self._seen.clear()
        ordinal = self._seen.get(digest, 0) + 1
        self._seen[digest] = ordinal
        return digest if ordinal == 1 else f"{digest}-{ordinal}"


def _time_of(item: dict[str, Any]) -> str:
    return item["ts"] or "~"  # Unknown times sort last.
