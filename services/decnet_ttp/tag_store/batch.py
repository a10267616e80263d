# SPDX-License-Identifier: AGPL-3.0-or-later
"""A request's tags, checked and made into rows before anything is written."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import NamedTuple
from uuid import UUID

from asyncpg.pgproto import pgproto

from decnet_ttp.core.errors import InvalidArgumentError
from decnet_ttp.core.tags import CONFIDENCE_FLOOR, tag_bytes
from decnet_ttp.tag_store.fields import MAX_TEXT, check_text, parse_uuid
from decnet_ttp.tag_store.ticks import to_ticks
from decnet_ttp.v1 import tag_pb2

#: Tags one request may carry.
MAX_TAGS = 50_000
#: Largest serialised evidence of one tag, in bytes.
MAX_EVIDENCE_BYTES = 64 * 1024
#: Tags of one batch have numbers below this, so that a batch's number can stand above them.
SEQ_PER_BATCH = 1 << 16

_MAX_RULE_VERSION = 2**31 - 1
_MAX_SHAPES = 10_000
_TACTIC = re.compile(r"TA\d{4}", re.ASCII)
_TECHNIQUE = re.compile(r"T\d{4}", re.ASCII)
_SUB_TECHNIQUE = re.compile(r"T\d{4}\.\d{3}", re.ASCII)


class TagRow(NamedTuple):
    """One row of the table `tags`, fields named and ordered as its columns are copied.

    Times are ticks.
    """

    uuid: UUID
    seq: int
    attacker_uuid: UUID | None
    identity_uuid: UUID | None
    observed_at: int | None
    created_at: int
    confidence: float
    rule_version: int
    session_id: str | None
    decky_id: str | None
    source_kind: str
    source_id: str
    tactic: str
    technique_id: str
    sub_technique_id: str | None
    rule_id: str
    attack_release: str
    evidence: bytes
    confidence_fixed: bool

    @property
    def seen_at(self) -> int:
        """Time of the event, or of storage when the event had none."""
        return self.created_at if self.observed_at is None else self.observed_at


@dataclass(slots=True)
class MessageTags:
    """The rows of one upstream message about one anchor."""

    origin_id: str
    attacker_uuid: UUID | None
    identity_uuid: UUID | None
    session_id: str | None
    decky_id: str | None
    rows: list[TagRow] = field(default_factory=list)


class TagShapes:
    """Remembers which combinations of rule and ids were found sound.

    A fleet's tags repeat some hundred of them; checking each once leaves one look-up per tag.
    """

    def __init__(self) -> None:
        self._sound: set[tuple[str, str, int, str, str, str, str]] = set()

    def __contains__(self, shape: tuple[str, str, int, str, str, str, str]) -> bool:
        return shape in self._sound

    def check(self, shape: tuple[str, str, int, str, str, str, str], path: str) -> None:
        """Let a sound combination pass, and remember it.

        Args:
            shape: Source kind, rule id, rule version, tactic, technique, sub-technique, release.
            path: Path of the tag within the request.

        Raises:
            InvalidArgumentError: One of them cannot be.
        """
        source_kind, rule_id, rule_version, tactic, technique_id, sub_technique_id, release = shape
        check_text(source_kind, f"{path}.source_kind", required=True)
        check_text(rule_id, f"{path}.rule_id", required=True)
        check_text(release, f"{path}.attack_release", required=True)
        if not 1 <= rule_version <= _MAX_RULE_VERSION:
            raise InvalidArgumentError(
                f"{path}.rule_version is {rule_version}; versions begin at 1",
                field=f"{path}.rule_version",
            )
        if not _TACTIC.fullmatch(tactic):
            raise InvalidArgumentError(
                f"{path}.tactic is no tactic; use an id such as TA0002", field=f"{path}.tactic"
            )
        if not _TECHNIQUE.fullmatch(technique_id):
            raise InvalidArgumentError(
                f"{path}.technique_id is no technique; use an id such as T1059, and put T1059.004 "
                "into sub_technique_id",
                field=f"{path}.technique_id",
            )
        if sub_technique_id and not (
            _SUB_TECHNIQUE.fullmatch(sub_technique_id) and sub_technique_id.startswith(technique_id)
        ):
            raise InvalidArgumentError(
                f"{path}.sub_technique_id is no sub-technique of technique_id; use an id such as "
                "T1059.004 under T1059",
                field=f"{path}.sub_technique_id",
            )
        if len(self._sound) >= _MAX_SHAPES:
            self._sound.clear()
        self._sound.add(shape)


class Batch:
    """One InsertTags request on its way into the database.

    Args:
        number: Number of the batch; its tags are numbered from `number * SEQ_PER_BATCH`.
        now: Time of storage, in ticks.
        shapes: What was checked before.

    Attributes:
        messages: The rows by upstream message and anchor, those below the floor left out.
        below_floor: Tags left out.
        repeated: Tags that stood in the request before.
    """

    def __init__(self, *, number: int, now: int, shapes: TagShapes) -> None:
        self.now = now
        self.messages: list[MessageTags] = []
        self.below_floor = 0
        self.repeated = 0
        self._next_seq = number * SEQ_PER_BATCH
        self._shapes = shapes
        self._seen: set[UUID] = set()
        self._uuids: dict[str, UUID] = {}
        self._by_origin: dict[tuple[str, UUID | None, UUID | None, str], MessageTags] = {}

    def _anchor(self, text: str, path: str) -> UUID | None:
        if not text:
            return None
        found = self._uuids.get(text)
        if found is None:
            found = self._uuids[text] = parse_uuid(text, path)
        return found

    def _message(self, group: tag_pb2.TagGroup, path: str) -> MessageTags:
        attacker = self._anchor(group.anchor.attacker_uuid, f"{path}.anchor.attacker_uuid")
        identity = self._anchor(group.anchor.identity_uuid, f"{path}.anchor.identity_uuid")
        if attacker is None and identity is None:
            raise InvalidArgumentError(
                f"{path}.anchor is empty; set attacker_uuid or identity_uuid",
                field=f"{path}.anchor",
            )
        origin_id = check_text(group.origin_id, f"{path}.origin_id")
        session_id = check_text(group.session_id, f"{path}.session_id")
        decky_id = check_text(group.decky_id, f"{path}.decky_id")
        key = (origin_id, attacker, identity, session_id)
        message = self._by_origin.get(key) if origin_id else None
        if message is None:
            message = MessageTags(
                origin_id, attacker, identity, session_id or None, decky_id or None
            )
            self._by_origin[key] = message
            self.messages.append(message)
        return message

    def add(self, group: tag_pb2.TagGroup, path: str) -> None:
        """Check the tags of one group and add them.

        Args:
            group: The group.
            path: Its path within the request, for errors.

        Raises:
            InvalidArgumentError: A field cannot be; names it and the cure.
        """
        message = self._message(group, path)
        for index, tag in enumerate(group.tags):
            confidence = tag.confidence
            # False for NaN too, which compares with nothing.
            if not 0.0 <= confidence <= 1.0:
                raise InvalidArgumentError(
                    f"{path}.tags[{index}].confidence is {confidence}; use 0 to 1",
                    field=f"{path}.tags[{index}].confidence",
                )
            row = self._row(message, tag, confidence, path, index)
            if confidence < CONFIDENCE_FLOOR:
                self.below_floor += 1
            elif row.uuid in self._seen:
                self.repeated += 1
            else:
                self._seen.add(row.uuid)
                self._next_seq += 1
                message.rows.append(row)

    def _row(
        self, message: MessageTags, tag: tag_pb2.TagDraft, confidence: float, group: str, index: int
    ) -> TagRow:
        source_kind, source_id, rule_id = tag.source_kind, tag.source_id, tag.rule_id
        rule_version, tactic, technique_id = tag.rule_version, tag.tactic, tag.technique_id
        sub_technique_id, release = tag.sub_technique_id, tag.attack_release
        shape = (
            source_kind,
            rule_id,
            rule_version,
            tactic,
            technique_id,
            sub_technique_id,
            release,
        )
        if shape not in self._shapes:
            self._shapes.check(shape, f"{group}.tags[{index}]")
        if not 0 < len(source_id) <= MAX_TEXT or "\0" in source_id:
            check_text(source_id, f"{group}.tags[{index}].source_id", required=True)
        observed_at = None
        if tag.HasField("observe_time"):
            try:
                observed_at = to_ticks(tag.observe_time)
            except ValueError as error:
                raise InvalidArgumentError(
                    f"{group}.tags[{index}].observe_time lies outside the years 1 to 9999; leave "
                    "it out when the time is unknown",
                    field=f"{group}.tags[{index}].observe_time",
                ) from error
        evidence = tag.evidence.SerializeToString()
        if len(evidence) > MAX_EVIDENCE_BYTES:
            raise InvalidArgumentError(
                f"{group}.tags[{index}].evidence has {len(evidence)} bytes; at most "
                f"{MAX_EVIDENCE_BYTES} are kept",
                field=f"{group}.tags[{index}].evidence",
            )
        uuid = tag_bytes(
            source_kind, source_id, rule_id, rule_version, technique_id, sub_technique_id
        )
        return TagRow(
            # The driver's own UUID, which is made and compared in a fraction of the time.
            pgproto.UUID(uuid),
            self._next_seq,
            message.attacker_uuid,
            message.identity_uuid,
            observed_at,
            self.now,
            confidence,
            rule_version,
            message.session_id,
            message.decky_id,
            source_kind,
            source_id,
            tactic,
            technique_id,
            sub_technique_id or None,
            rule_id,
            release,
            evidence,
            tag.confidence_fixed,
        )
