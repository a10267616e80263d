# SPDX-License-Identifier: AGPL-3.0-or-later
"""Fields of requests that are ids or bounded text, read once and refused by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from decnet_ttp.core.errors import InvalidArgumentError
from decnet_ttp.runtime.paging import decode_token

#: Longest id or name that is stored, in characters; an index entry must fit into a page.
MAX_TEXT = 512


def parse_uuid(text: str, field: str) -> UUID:
    """Return a UUID.

    Raises:
        InvalidArgumentError: It is none; the text itself is not repeated.
    """
    try:
        return UUID(text)
    except ValueError as error:
        raise InvalidArgumentError(
            f"{field} is no UUID; use 32 hexadecimal digits, with or without dashes", field=field
        ) from error


def check_text(text: str, field: str, *, required: bool = False) -> str:
    """Return text that can be stored.

    Raises:
        InvalidArgumentError: It is too long, holds a NUL, or is empty though required.
    """
    if required and not text:
        raise InvalidArgumentError(f"{field} is empty; it is required", field=field)
    if len(text) > MAX_TEXT:
        raise InvalidArgumentError(
            f"{field} has {len(text)} characters; at most {MAX_TEXT} are kept", field=field
        )
    if "\0" in text:
        raise InvalidArgumentError(
            f"{field} holds a NUL character, which cannot be stored; remove it", field=field
        )
    return text


def page_key(token: str, arguments: bytes, kinds: Sequence[type]) -> list[Any] | None:
    """Return the sort key a page starts after, its parts of the kinds they were made of.

    Args:
        token: The request's page_token.
        arguments: What request_arguments returned.
        kinds: Type of each part.

    Raises:
        InvalidArgumentError: The token is not one of ours for this request.
    """
    key = decode_token(token, arguments)
    if key is None:
        return None
    if len(key) != len(kinds) or any(
        type(part) is not kind for part, kind in zip(key, kinds, strict=True)
    ):
        raise InvalidArgumentError(
            "page_token was not made by this service; send the next_page_token of the page before",
            field="page_token",
        )
    return key
