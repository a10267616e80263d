# SPDX-License-Identifier: AGPL-3.0-or-later
"""JSON that was written around bytes that are no text."""

import json
import re
from typing import Any, Final

_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_DEPTH: Final = 8


def repair(line: bytes) -> object:
    """A second try at a line that strict JSON refuses because of bytes that are no text.

    Honeypots write lone surrogates for bytes that are no UTF-8, and shippers copy raw bytes; both
    become U+FFFD so that the rest of the line is not lost. What is nested deeply becomes null.

    Raises:
        ValueError: the line is no JSON at all.
    """
    text = line.decode("utf-8", "replace")
    if "\ufffd" not in text and b"\\ud" not in line and b"\\uD" not in line:
        raise ValueError("not JSON")
    try:
        value = json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    return _clean(value, _DEPTH)


def _clean(value: Any, depth: int) -> Any:
    if isinstance(value, str):
        return _SURROGATE.sub("\ufffd", value)
    if isinstance(value, dict):
        if depth:
            return {_clean(key, 0): _clean(item, depth - 1) for key, item in value.items()}
        return None
    if isinstance(value, list):
        return [_clean(item, depth - 1) for item in value] if depth else None
    return value
