# SPDX-License-Identifier: AGPL-3.0-or-later
"""What an event says to lifters, and what events that say the same gave before.

Attackers send the same log-ins and commands again and again; what sets two such events apart is
when they happened, which nothing that is found in them follows from.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from google.protobuf.struct_pb2 import Struct

from decnet_ttp.core.source_kinds import PAYLOAD_FIELD, SourceKind
from decnet_ttp.matching import EXTRA_PREFIX, PART_KINDS, StepMet
from decnet_ttp.tagger.lifter import Finding
from decnet_ttp.v1 import event_pb2, tag_pb2

#: Kinds whose events repeat each other: sessions and their parts. All else is rare.
REPEATED_KINDS: Final = frozenset({SourceKind.SESSION, *PART_KINDS})

#: Longest content that is remembered, in bytes; what is longer hardly comes twice.
MAX_CONTENT_BYTES: Final = 4 * 1024

#: What is remembered at most, in bytes: an estimate of what the process holds for it.
MAX_MEMORY_BYTES: Final = 16 * 1024 * 1024

# What an entry, a finding and a tag take beside their evidence, and how often its encoded length
# evidence takes: measured as growth of the process over thousands of entries.
_ENTRY_BYTES: Final = 700
_FINDING_BYTES: Final = 1_100
_TAG_BYTES: Final = 1_200
_EVIDENCE_FACTOR: Final = 3

#: Kind, payload and extra fields of an event, encoded.
Content = tuple[str, bytes, bytes]


class Excerpt:
    """The content of the events of one kind: what findings follow from.

    Args:
        kind: One of `REPEATED_KINDS`.
        unread: Fields that no lifter reads, of `PASSING_FIELDS`.
    """

    def __init__(self, kind: str, unread: Iterable[str] = ()) -> None:
        self._kind = kind
        self._member: str = PAYLOAD_FIELD[SourceKind(kind)]
        unread = sorted(unread)
        self._unread = [name for name in unread if not name.startswith(EXTRA_PREFIX)]
        self._unread_extra = [
            name.removeprefix(EXTRA_PREFIX) for name in unread if name.startswith(EXTRA_PREFIX)
        ]

    def content(self, event: event_pb2.Event) -> Content | None:
        """Return the content of an event; None for one that is too long to be remembered."""
        payload = getattr(event, self._member)
        if self._unread:
            whole, payload = payload, type(payload)()
            payload.CopyFrom(whole)
            for name in self._unread:
                payload.ClearField(name)
        encoded: bytes = payload.SerializeToString()
        extra = self._extra(event.extra) if event.HasField("extra") else b""
        if len(encoded) + len(extra) > MAX_CONTENT_BYTES:
            return None
        return self._kind, encoded, extra

    def _extra(self, extra: Struct) -> bytes:
        fields = extra.fields
        unread = [name for name in self._unread_extra if name in fields]
        if len(unread) == len(fields):
            return b""
        if unread:
            extra = Struct()
            for name in fields:
                if name not in unread:
                    extra.fields[name].CopyFrom(fields[name])
        return extra.SerializeToString(deterministic=True)

    def event(self, content: Content) -> event_pb2.Event:
        """Return an event that has a content and nothing else."""
        event = event_pb2.Event(source_kind=self._kind)
        _, encoded, extra = content
        payload: Any = getattr(event, self._member)
        payload.MergeFromString(encoded)
        payload.SetInParent()
        if extra:
            event.extra.MergeFromString(extra)
        return event


@dataclass(slots=True, eq=False)
class Lifted:
    """What lifters found in an event.

    Attributes:
        steps: Steps of timelines that it takes.
        findings: Rules that fired.
        content_bytes: Length of its content.
        recalled: Whether it was found again.
        plain: Whether the findings give the same tags whomever they are about and whenever they
            happened; None as long as nobody asked.
        drafts: Then their tags, without what sets an event apart.
    """

    steps: tuple[StepMet, ...]
    findings: tuple[Finding, ...]
    content_bytes: int = 0
    recalled: bool = False
    plain: bool | None = None
    drafts: tuple[tag_pb2.TagDraft, ...] = ()

    @property
    def size_bytes(self) -> int:
        """What remembering it takes, about."""
        size = _ENTRY_BYTES + 2 * self.content_bytes
        for finding in self.findings:
            evidence = _EVIDENCE_FACTOR * finding.evidence.ByteSize()
            size += _FINDING_BYTES + evidence + len(finding.emissions) * (_TAG_BYTES + evidence)
        return size


class Memory:
    """What was found by content; what was not asked for in a while is forgotten.

    It has a young and an old half: what is found in the old one moves to the young one, and when
    that is full, it becomes the old one and the old one is dropped.

    Args:
        max_bytes: What both take at most, about.
    """

    __slots__ = ("_half_bytes", "_old", "_young", "_young_bytes")

    def __init__(self, max_bytes: int = MAX_MEMORY_BYTES) -> None:
        self._half_bytes = max_bytes // 2
        self._young: dict[Content, Lifted] = {}
        self._old: dict[Content, Lifted] = {}
        self._young_bytes = 0

    def __len__(self) -> int:
        """Return how many contents are remembered."""
        return len(self._young) + len(self._old)

    def get(self, content: Content) -> Lifted | None:
        """Return what was found in a content."""
        found = self._young.get(content)
        if found is None and (found := self._old.pop(content, None)) is not None:
            self.put(content, found)
        return found

    def put(self, content: Content, lifted: Lifted) -> None:
        """Remember what was found in a content."""
        size = lifted.size_bytes
        if self._young_bytes + size > self._half_bytes:
            self._old, self._young, self._young_bytes = self._young, {}, 0
        if size <= self._half_bytes:
            self._young[content] = lifted
            self._young_bytes += size
