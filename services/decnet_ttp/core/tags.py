# SPDX-License-Identifier: AGPL-3.0-or-later
"""Identity of a tag and the floor of confidence."""

from __future__ import annotations

from hashlib import sha1
from uuid import NAMESPACE_URL, UUID, uuid5

#: Namespace of tag ids, shared with tags that DECNET wrote.
TAG_NAMESPACE = uuid5(NAMESPACE_URL, "decnet:ttp_tag:v1")

#: Tags below this confidence are not stored.
CONFIDENCE_FLOOR = 0.3

_SEPARATORS = 5
_NAMESPACE_BYTES = TAG_NAMESPACE.bytes
#: Version 5 and the variant of RFC 9562, set over whatever the digest has in their places.
_CLEAR = ~(0xF000 << 64 | 0xC000 << 48)
_SET = 5 << 76 | 0x8000 << 48


def _escape(field: str) -> str:
    return field.replace("\\", "\\\\").replace("|", "\\|")


def tag_bytes(
    source_kind: str,
    source_id: str,
    rule_id: str,
    rule_version: int,
    technique_id: str,
    sub_technique_id: str | None,
) -> bytes:
    """Return the 16 bytes of `tag_uuid`, since a UUID costs more to make than they do."""
    sub = sub_technique_id or ""
    name = f"{source_kind}|{source_id}|{rule_id}|{rule_version}|{technique_id}|{sub}"
    if name.count("|") != _SEPARATORS:
        texts = (source_kind, source_id, rule_id, str(rule_version), technique_id, sub)
        name = "|".join(map(_escape, texts))
    digest = sha1(_NAMESPACE_BYTES + name.encode(), usedforsecurity=False).digest()
    return (int.from_bytes(digest[:16]) & _CLEAR | _SET).to_bytes(16)


def tag_uuid(
    source_kind: str,
    source_id: str,
    rule_id: str,
    rule_version: int,
    technique_id: str,
    sub_technique_id: str | None,
) -> UUID:
    """Return the deterministic id of a tag: RFC 9562 version 5 over six fields joined by `|`.

    A name without `|` in a field is the one DECNET wrote. A field with `|` makes every field of its
    name escaped, which no other name can equal: it has more than five separators.

    Equal to ``uuid.uuid5(TAG_NAMESPACE, name)``, without its detour over text and bytes, since
    one is made for every tag that is written.
    """
    return UUID(
        bytes=tag_bytes(
            source_kind, source_id, rule_id, rule_version, technique_id, sub_technique_id
        )
    )
