# SPDX-License-Identifier: AGPL-3.0-or-later
"""Pages: bounded sizes, and opaque tokens that belong to one request."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from typing import Any

import orjson
from google.protobuf.message import Message

from decnet_ttp.core.errors import InvalidArgumentError

DEFAULT_PAGE_SIZE = 100
MAX_PAGE_SIZE = 1000

_DIGEST_BYTES = 8


def page_limit(
    page_size: int, default: int = DEFAULT_PAGE_SIZE, maximum: int = MAX_PAGE_SIZE
) -> int:
    """Return how many rows a page has: 0 means the default, too many is read as the maximum.

    Raises:
        InvalidArgumentError: The size is negative.
    """
    if page_size < 0:
        raise InvalidArgumentError(
            f"page_size is {page_size}; use 0 (default) or more", field="page_size"
        )
    return min(page_size or default, maximum)


def request_arguments(request: Message) -> bytes:
    """Return what a token is bound to: the request without its page size and token."""
    copy = type(request)()
    copy.CopyFrom(request)
    copy.ClearField("page_size")
    copy.ClearField("page_token")
    return copy.SerializeToString(deterministic=True)


def _digest(arguments: bytes) -> bytes:
    return hashlib.blake2b(arguments, digest_size=_DIGEST_BYTES).digest()


def encode_token(key: Sequence[Any], arguments: bytes) -> str:
    """Return the token of the page after `key`.

    Args:
        key: Sort key of the last row, of JSON values.
        arguments: What request_arguments returned.
    """
    return base64.urlsafe_b64encode(_digest(arguments) + orjson.dumps(list(key))).decode()


def decode_token(token: str, arguments: bytes) -> list[Any] | None:
    """Return the sort key a page starts after, or None for the first page.

    Raises:
        InvalidArgumentError: The token is garbled or belongs to another request.
    """
    if not token:
        return None
    try:
        raw = base64.b64decode(token, altchars=b"-_", validate=True)
        key = orjson.loads(raw[_DIGEST_BYTES:])
    except ValueError as error:  # neither base64 of ASCII, nor JSON within
        raise _refusal() from error
    if raw[:_DIGEST_BYTES] != _digest(arguments) or not isinstance(key, list):
        raise _refusal()
    return key


def _refusal() -> InvalidArgumentError:
    return InvalidArgumentError(
        "page_token does not belong to this request; send the next_page_token of the page before "
        "with the same arguments",
        field="page_token",
    )
