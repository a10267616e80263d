# SPDX-License-Identifier: AGPL-3.0-or-later
"""What is said on the bus about new tags: one outbox row per upstream message, some messages each.

The envelope ids follow from the row's own random id, so however often a row is published, NATS
sees the same Nats-Msg-Id; and a database made anew never repeats the ids of the one before.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any
from uuid import UUID

import orjson

from decnet_ttp.runtime.bus import Envelope
from decnet_ttp.tag_store.batch import MessageTags, TagRow
from decnet_ttp.tag_store.ticks import to_epoch_seconds

TAGGED = "ttp.tagged"
RULE_FIRED = "ttp.rule.fired"
RULE_SUPPRESSED = "ttp.rule.suppressed"

#: Tag ids and rule ids one message lists at most; a message must fit the bus. Further tags are
#: counted in `tag_uuids_omitted` and found with ListTags.
MAX_TAG_UUIDS = 20_000
MAX_RULE_IDS = 1_000


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """A row of the outbox.

    Attributes:
        id: Its place in the order.
        announcement: Random id all its messages' ids follow from.
        body: What `encode_body` made.
        created_at: Time of storage, in ticks.
    """

    id: int
    announcement: UUID
    body: bytes
    created_at: int


def encode_body(
    message: MessageTags, rows: Sequence[TagRow], silenced: Sequence[str] = (), per_minute: int = 0
) -> bytes:
    """Return what the outbox keeps of an upstream message.

    Args:
        message: Its anchor.
        rows: Its new tags that are announced.
        silenced: Rules whose tags are held back from now on until the minute is over.
        per_minute: How many tags of a rule are announced within a minute.
    """
    return orjson.dumps(
        {
            "origin_id": message.origin_id,
            "attacker_uuid": message.attacker_uuid,
            "identity_uuid": message.identity_uuid,
            "session_id": message.session_id,
            "decky_id": message.decky_id,
            "tags": [
                (str(row.uuid), row.technique_id, row.sub_technique_id, row.rule_id, row.confidence)
                for row in rows
            ],
            **({"silenced": silenced, "per_minute": per_minute} if silenced else {}),
        }
    )


def _tag_fields(tags: Sequence[Sequence[Any]]) -> dict[str, Any]:
    if len(tags) == 1:
        # As below; most techniques of a message have one tag.
        uuid, _, _, rule_id, confidence = tags[0]
        return {"tag_uuids": [uuid], "rule_ids": [rule_id], "confidence_max": confidence}
    listed = [tag[0] for tag in tags[:MAX_TAG_UUIDS]]
    omitted = len(tags) - len(listed)
    return {
        "tag_uuids": listed,
        **({"tag_uuids_omitted": omitted} if omitted else {}),
        "rule_ids": sorted({tag[3] for tag in tags})[:MAX_RULE_IDS],
        "confidence_max": max(tag[4] for tag in tags),
    }


def _sub_techniques(tags: Sequence[Sequence[Any]]) -> list[str]:
    return sorted({tag[2] for tag in tags if tag[2]})


def envelopes(row: OutboxRow) -> Iterator[Envelope]:
    """Yield the messages of an outbox row.

    These are `ttp.tagged`, one per technique in order, and one per rule that is held back.
    """
    body = orjson.loads(row.body)
    anchor = {key: body[key] for key in ("attacker_uuid", "identity_uuid", "session_id")}
    by_technique: dict[str, list[Sequence[Any]]] = {}
    for tag in body["tags"]:
        by_technique.setdefault(tag[1], []).append(tag)
    ts = to_epoch_seconds(row.created_at)
    seed = row.announcement.bytes
    if body["tags"]:
        yield Envelope(
            topic=TAGGED,
            type="tagged",
            id=row.announcement.hex,
            ts=ts,
            payload={
                **anchor,
                "origin_id": body["origin_id"],
                "decky_id": body["decky_id"],
                "techniques_added": sorted(by_technique),
                "sub_techniques_added": _sub_techniques(body["tags"]),
                **_tag_fields(body["tags"]),
            },
        )
    for technique_id, tags in sorted(by_technique.items()):
        yield Envelope(
            topic=f"{RULE_FIRED}.{technique_id}",
            type="rule.fired",
            id=blake2b(seed + technique_id.encode(), digest_size=16).hexdigest(),
            ts=ts,
            payload={
                **anchor,
                "technique_id": technique_id,
                "sub_technique_ids": _sub_techniques(tags),
                **_tag_fields(tags),
            },
        )
    for rule_id in body.get("silenced", ()):
        yield Envelope(
            topic=RULE_SUPPRESSED,
            type="rule.suppressed",
            id=blake2b(seed + rule_id.encode(), digest_size=16, person=b"suppressed").hexdigest(),
            ts=ts,
            payload={
                **anchor,
                "origin_id": body["origin_id"],
                "rule_id": rule_id,
                "limit_per_minute": body["per_minute"],
            },
        )
