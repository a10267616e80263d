# SPDX-License-Identifier: AGPL-3.0-or-later
"""JSON lines: envelopes as they travel on the bus, or single events as `rules eval` reads them."""

import re
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any, ClassVar, Final

import orjson

from decnet_ttp.core.source_kinds import SourceKind
from decnet_ttp.sources.addresses import canonical_address, parse_address
from decnet_ttp.sources.log_source import LogSource
from decnet_ttp.sources.moments import epoch, parse_time
from decnet_ttp.sources.protocol import SourceOption, Upstream

MAX_ID: Final = 512

_TOPIC: Final = re.compile(
    r"(?:attacker|identity|credential|campaign|email|canary)(?:\.[A-Za-z0-9_-]{1,128}){1,8}"
)
# It becomes a header of the publish, where other characters would be headers of their own.
_MESSAGE_ID: Final = re.compile(r"[A-Za-z0-9_.:/-]{1,128}")
_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")
_SESSION: Final = "attacker.session.ended"
_PARTS: Final = {
    SourceKind.COMMAND: "commands",
    SourceKind.HTTP_REQUEST: "http_requests",
    SourceKind.AUTH_ATTEMPT: "auth_attempts",
    SourceKind.PAYLOAD: "payloads",
}
_TOPICS: Final = {
    SourceKind.SESSION: (_SESSION, "session.ended"),
    SourceKind.EMAIL: ("email.received", "received"),
    SourceKind.INTEL: ("attacker.intel.enriched", "intel.enriched"),
    SourceKind.IDENTITY: ("identity.formed", "formed"),
    SourceKind.CREDENTIAL: ("credential.reuse.detected", "reuse.detected"),
    SourceKind.HTTP_FINGERPRINT: ("attacker.fingerprinted", "http_fingerprint"),
    SourceKind.IPV6_LEAK: ("attacker.fingerprinted", "ipv6_leak"),
}
_COUNTED: Final = ("commands", "auth_attempts", "payloads", "http_requests")
_TIMES: Final = ("ts", "timestamp", "ended_at", "started_at", "observed_at")
_WHO: Final = (
    "attacker_uuid",
    "identity_uuid",
    "attacker_uuids",
    "attacker_ips",
    "winner_uuid",
)


class JsonlSource(LogSource):
    """One message a line.

    A line with `topic` and `payload` is an envelope and travels as it is. A line with
    `source_kind` and `payload` is one event, which becomes the message that carries such events;
    a command, request, log-in attempt or file becomes a session with that alone. The line's `id`
    is the event's, else a digest of the line.
    """

    summary = "Import envelopes or events, one JSON object a line."
    options: ClassVar = (
        SourceOption(
            name="attacker_ip",
            metavar="ADDRESS",
            doc="Whom events belong to that name nobody; without it they are left out.",
            parse=parse_address,
        ),
    )

    def __init__(self, *, attacker_ip: str | None = None) -> None:
        super().__init__()
        self._attacker_ip = attacker_ip
        self._out: list[Upstream] = []

    @staticmethod
    def first_time(lines: Sequence[bytes]) -> str | None:
        """See `LogSource.first_time`."""
        for line in lines:
            try:
                event = orjson.loads(line)
            except orjson.JSONDecodeError:
                continue
            if isinstance(event, dict) and (time := _time(event)):
                return time
        return None

    def drain(self) -> list[Upstream]:
        """See `LogSource.drain`."""
        out, self._out = self._out, []
        return out

    def finish(self) -> None:
        """See `LogSource.finish`."""

    def take(self, line: bytes, at: int, *, unended: bool = False) -> None:
        """See `LogSource.take`."""
        self.tally.lines += 1
        event = self.parse_object(line, at, unended=unended)
        if event is None:
            return
        payload = event.get("payload")
        if not isinstance(payload, dict):
            self.report("not-an-event", at, "no object under payload; left out")
        elif "topic" in event:
            self._envelope(event, payload, at)
        elif isinstance(event.get("source_kind"), str):
            self._event(event, payload, line, at)
        else:
            self.report("not-an-event", at, "neither topic nor source_kind; left out")

    def _envelope(self, event: dict[str, Any], payload: dict[str, Any], at: int) -> None:
        topic, given, kind = event["topic"], event.get("id"), event.get("type")
        if not isinstance(topic, str) or not _TOPIC.fullmatch(topic):
            self.report("bad-topic", at, "no subject of the input stream; left out")
            return
        if event.get("v", 1) != 1:
            self.report("bad-version", at, "an envelope of another version; left out")
            return
        when = _time(event)
        ts = epoch(when) if when else None
        kind = kind if isinstance(kind, str) else topic.partition(".")[2]
        message = Upstream.of(topic, kind, topic, payload, ts, int(topic == _SESSION))
        if isinstance(given, str) and _MESSAGE_ID.fullmatch(given):
            message = Upstream(topic, kind, given, ts, message.payload, message.weight)
        self._count(topic, payload)
        self._out.append(message)

    def _event(self, event: dict[str, Any], payload: dict[str, Any], line: bytes, at: int) -> None:
        kind, given = event["source_kind"], event.get("id")
        own = given if isinstance(given, str) and 0 < len(given) <= MAX_ID else ""
        own = own or blake2b(line.strip(), digest_size=16).hexdigest()
        ts = _time(payload) or _time(event)
        body = dict(payload)
        if kind in _PARTS:
            body = self._session_of(_PARTS[kind], {"id": own, "ts": ts, **payload}, own)
            topic, label = _TOPICS[SourceKind.SESSION]
        elif kind == SourceKind.CANARY_FINGERPRINT:
            token = payload.get("token_id")
            usable = isinstance(token, str) and _TOKEN.fullmatch(token)
            topic, label = f"canary.{token if usable else 'unknown'}.triggered", "triggered"
            body.setdefault("trigger_id", own)
        elif kind in _TOPICS:
            topic, label = _TOPICS[SourceKind(kind)]
        else:
            self.report("unknown-kind", at, "no message carries such events; left out")
            return
        body.setdefault("source_id", own)
        if kind == SourceKind.SESSION:
            body.setdefault("session_id", own)
        address = self._address(payload) or self._address(event) or self._attacker_ip
        if address is not None:
            body["attacker_ip"] = address
        elif not any(body.get(name) for name in _WHO):
            self.tally.sessions_skipped += 1
            self.report("no-attacker-address", at, "it names nobody; give --attacker-ip; left out")
            return
        self._count(topic, body)
        weight = int(topic == _SESSION)
        self._out.append(Upstream.of(topic, label, own, body, epoch(ts) if ts else None, weight))

    @staticmethod
    def _session_of(name: str, item: dict[str, Any], own: str) -> dict[str, Any]:
        who: dict[str, Any] = {
            key: item.pop(key) for key in ("attacker_uuid", "identity_uuid") if key in item
        }
        session = item.pop("session_id", None)
        decky = item.pop("decky_id", None)
        return {
            **who,
            "session_id": session or own,
            "source_id": own,
            "decky_id": decky or "",
            "service": item.get("service") or ("http" if name == "http_requests" else ""),
            "started_at": item["ts"],
            "ended_at": item["ts"],
            "closed": True,
            name: [item],
        }

    @staticmethod
    def _address(fields: dict[str, Any]) -> str | None:
        for name in ("attacker_ip", "src_ip"):
            value = fields.get(name)
            if isinstance(value, str) and (address := canonical_address(value)):
                return address
        return None

    def _count(self, topic: str, payload: dict[str, Any]) -> None:
        tally = self.tally
        if topic == "email.received":
            tally.mails += 1
        if topic != _SESSION:
            return
        tally.sessions += 1
        for name in _COUNTED:
            items = payload.get(name)
            if isinstance(items, list):
                setattr(tally, name, getattr(tally, name) + len(items))


def _time(fields: dict[str, Any]) -> str | None:
    return next((t for name in _TIMES if (t := parse_time(fields.get(name)))), None)
