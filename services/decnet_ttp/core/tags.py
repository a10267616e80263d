# SPDX-License-Identifier: AGPL-3.0-or-later
"""Identity of a tag and the floor of confidence."""

from __future__ import annotations

from hashlib import sha1
from uuid import NAMESPACE_URL, UUID, uuid5

#: Namespace of tag ids, shared with tags that DECNET wrote.
TAG_NAMESPACE = uuid5(NAMESPACE_URL, "decnet:ttp_tag:v1")

#: Tags below this confidence are not stored.
CONFIDENCE_FLOOR = 0.3

_NAMESPACE_BYTES = TAG_NAMESPACE.bytes
_VERSION_CLEAR = ~(0xF000 << 64)
_VERSION_5 = 5 << 76
_VARIANT_CLEAR = ~(0xC000 << 48)
_VARIANT_RFC = 0x8000 << 48


def _escape(field: str) -> str:
    """Keep the separator out of a field; fields without it stay as DECNET wrote them."""
    return field.replace("\\", "\\\\").replace("|", "\\|") if "|" in field else field


def tag_uuid(
    source_kind: str,
    source_id: str,
    rule_id: str,
    rule_version: int,
    technique_id: str,
    sub_technique_id: str | None,
) -> UUID:
    """Return the deterministic id of a tag: RFC 9562 version 5 over six fields joined by `|`.

    Equal to ``uuid.uuid5(TAG_NAMESPACE, name)``, without its detour over text and bytes, since
    one is made for every tag that is written.
    """
    name = (
        f"{_escape(source_kind)}|{_escape(source_id)}|{_escape(rule_id)}|{rule_version}"
        f"|{_escape(technique_id)}|{_escape(sub_technique_id or '')}"
    )
    digest = sha1(_NAMESPACE_BYTES + name.encode(), usedforsecurity=False).digest()
    number = int.from_bytes(digest[:16])
    return UUID(
        int=number & _VERSION_CLEAR & _VARIANT_CLEAR | _VERSION_5 | _VARIANT_RFC,
    )
