# SPDX-License-Identifier: AGPL-3.0-or-later
"""One pulled batch on its way: messages, what was read of them, and the requests they fill."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from decnet_ttp.core.addresses import canonical_ip
from decnet_ttp.core.source_kinds import SourceKind
from decnet_ttp.ingest.fields import text, uuid_text
from decnet_ttp.ingest.mail_reach import MailReach, best_of_each
from decnet_ttp.v1 import event_pb2, tagger_service_pb2

if TYPE_CHECKING:
    from decnet_ttp.ingest.inputs.reading import Input

#: Most events of one TagEvents request, the bound of a call. A message is cut only here: rules with
#: a timeline see no more of a session than one request holds.
MAX_EVENTS = 10_000
#: Events, and bytes of text (a guess below the message bound), from which the next message begins
#: a request of its own.
FULL_EVENTS = 2_000
MAX_REQUEST_BYTES = 8 * 1024 * 1024


#: Lists of a session whose entries become events.
PART_LISTS = ("commands", "http_requests", "auth_attempts", "payloads")


@dataclass(slots=True)
class Upstream:
    """One upstream message that was read, as far as it is about one attacker or identity.

    Attributes:
        origin_id: Identifier of the message.
        topic: Subject it came on.
        payload: Its JSON object.
        size_bytes: Its size on the bus.
        kind: Type of its envelope.
        ip: Canonical source address, empty when the payload names none.
        attacker_uuid: Attacker, from the payload or the directory.
        identity_uuid: Identity, likewise.
        source: How its payload becomes events; None: as a session's.
        members: Further attackers it is about, where it names several.
        insist: Whether the directory is asked even if it just did not know the address.
        sent_s: When it was published, in seconds since the epoch; 0 when unknown.
        names_attacker: Whether the payload itself names the attacker by UUID.
        names_identity: Whether the payload itself names the identity.
    """

    origin_id: str
    topic: str
    payload: Mapping[str, Any]
    size_bytes: int
    kind: str = ""
    ip: str = ""
    attacker_uuid: str = ""
    identity_uuid: str = ""
    source: Input | None = None
    members: list[Upstream] = field(default_factory=list)
    insist: bool = False
    sent_s: float = 0.0
    names_attacker: bool = False
    names_identity: bool = False

    def read_anchor(self) -> bool:
        """Read what the payload says of the anchor; returns whether there is anything."""
        self.attacker_uuid = uuid_text(self.payload.get("attacker_uuid"))
        self.identity_uuid = uuid_text(self.payload.get("identity_uuid"))
        self.ip = canonical_ip(text(self.payload.get("attacker_ip"))) or ""
        self.names_attacker = bool(self.attacker_uuid)
        self.names_identity = bool(self.identity_uuid)
        return self.named

    @property
    def named(self) -> bool:
        """Whether anybody is named who could be found."""
        return bool(self.attacker_uuid or self.identity_uuid or self.ip)

    @property
    def anchored(self) -> bool:
        """Whether it is known whom the message is about."""
        return bool(self.attacker_uuid or self.identity_uuid)

    @property
    def session_id(self) -> str:
        """Session, empty when there is none."""
        return text(self.payload.get("session_id"))[:512]

    @property
    def part_count(self) -> int:
        """How many events it may become beside the first."""
        before = self.payload.get("told_before")
        holders = (self.payload, before if isinstance(before, dict) else {})
        lists = (holder.get(name) for holder in holders for name in PART_LISTS)
        return sum(len(entries) for entries in lists if isinstance(entries, list))

    @property
    def decky_id(self) -> str:
        """Decoy, empty when unknown."""
        payload = self.payload
        found = payload.get("decky_id") or payload.get("decky") or payload.get("decky_name")
        return text(found)[:512]


@dataclass(slots=True)
class TaggerRequests:
    """The TagEvents requests one tagger gets for a batch.

    A new one begins with the message that would overfill the last, and within a message only
    where a call may hold no more.
    """

    kinds: frozenset[str]
    mail: MailReach = field(default_factory=MailReach)
    requests: list[tagger_service_pb2.TagEventsRequest] = field(default_factory=list)
    _events: int = FULL_EVENTS
    _bytes: int = 0
    _group: event_pb2.EventGroup | None = None
    _upstream: Upstream | None = None

    def begin(self, upstream: Upstream) -> None:
        """Begin the group of a message; it is made with its first event."""
        self._upstream = upstream
        self._group = None
        self._bytes += upstream.size_bytes

    @property
    def decky_id(self) -> str:
        """Decoy of the message that began last."""
        return "" if self._upstream is None else self._upstream.decky_id

    def event(self) -> event_pb2.Event:
        """Return a fresh event in the group of the message that began last."""
        upstream = self._upstream
        if upstream is None:
            raise RuntimeError("event() before begin()")
        if self._full(upstream):
            self.requests.append(tagger_service_pb2.TagEventsRequest())
            self._events = 0
            self._bytes = upstream.size_bytes
            self._group = None
        if self._group is None:
            self._group = self.requests[-1].groups.add(
                origin_id=upstream.origin_id,
                session_id=upstream.session_id,
                decky_id=upstream.decky_id,
                attacker_ip=upstream.ip,
            )
            if upstream.attacker_uuid:
                self._group.anchor.attacker_uuid = upstream.attacker_uuid
            if upstream.identity_uuid:
                self._group.anchor.identity_uuid = upstream.identity_uuid
        self._events += 1
        return self._group.events.add()

    def _full(self, upstream: Upstream) -> bool:
        if self._group is not None:
            return self._events >= MAX_EVENTS
        if self._events >= FULL_EVENTS or self._bytes >= MAX_REQUEST_BYTES:
            return True
        return self._events > 0 and self._events + upstream.part_count >= FULL_EVENTS


def sink_of(requests: Sequence[TaggerRequests]) -> Any:
    """Return the sink that hands out an event in the requests of every tagger of a kind.

    Of taggers that are alternatives for mails, only the one gets a mail that suits it best.
    """
    by_kind: dict[str, list[TaggerRequests]] = {}

    def sink(kind: str) -> list[event_pb2.Event]:
        takers = by_kind.get(kind)
        if takers is None:
            takers = by_kind[kind] = [item for item in requests if kind in item.kinds]
        if kind == SourceKind.EMAIL and len(takers) > 1:
            takers = best_of_each(takers, takers[0].decky_id)
        return [item.event() for item in takers]

    return sink
