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
_VERSION_CLEAR = ~(0xF000 << 64)
_VERSION_5 = 5 << 76
_VARIANT_CLEAR = ~(0xC000 << 48)
_VARIANT_RFC = 0x8000 << 48


def _escape(field: str) -> str:
    return field.replace("\\", "\\\\").replace("|", "\\|")


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
    texts = (source_kind, source_id, rule_id, str(rule_version), technique_id)
    name = "|".join((*texts, sub_technique_id or ""))
    if name.count("|") != _SEPARATORS:
        name = "|".join(map(_escape, (*texts, sub_technique_id or "")))
    digest = sha1(_NAMESPACE_BYTES + name.encode(), usedforsecurity=False).digest()
    number = int.from_bytes(digest[:16])
    return UUID(
        int=number & _VERSION_CLEAR & _VARIANT_CLEAR | _VERSION_5 | _VARIANT_RFC,
    )
