# SPDX-License-Identifier: AGPL-3.0-or-later
"""Fields of producers' payloads, read so that nothing hostile gets further."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any
from uuid import UUID

#: Longest identifier that is kept whole, in bytes of UTF-8 (the bound of the tag-store).
MAX_ID = 512


def text(value: Any) -> str:
    """Return a text without NUL, which PostgreSQL cannot hold; empty for anything else."""
    return value.replace("\0", "") if isinstance(value, str) else ""


def first_text(payload: Mapping[str, Any], *names: str) -> str:
    """Return the first of some fields that holds text."""
    for name in names:
        if found := text(payload.get(name)):
            return found
    return ""


def texts(value: Any) -> list[str]:
    """Return the texts of a list, or a single text as a list."""
    if isinstance(value, str):
        value = [value]
    return [found for item in value if (found := text(item))] if isinstance(value, list) else []


def uuid_text(value: Any) -> str:
    """Return a UUID in its usual form; empty for anything else."""
    if not isinstance(value, str) or not value:
        return ""
    try:
        return str(UUID(value))
    except ValueError:
        return ""


def identifier(value: Any) -> str:
    """Return an identifier that can be kept, empty when it is none."""
    if isinstance(value, str) and value:
        usable = "\0" not in value and len(value.encode()) <= MAX_ID
        return value if usable else ""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return ""


def first_identifier(payload: Mapping[str, Any], *names: str) -> str:
    """Return the first of some fields that holds an identifier."""
    for name in names:
        if found := identifier(payload.get(name)):
            return found
    return ""


def joined_id(base: str, suffix: str) -> str:
    """Return an identifier made of two parts; a base too long for that stands as its digest."""
    whole = f"{base}{suffix}"
    if len(whole) * 4 <= MAX_ID or len(whole.encode()) <= MAX_ID:
        return whole
    return f"{hashlib.sha256(base.encode()).hexdigest()}{suffix}"
