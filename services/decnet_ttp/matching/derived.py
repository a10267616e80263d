# SPDX-License-Identifier: AGPL-3.0-or-later
"""Fields that rules may read but no producer sends: text with the usual disguises taken off.

Each is present whenever the field it comes from is, so that a rule needs to read only the derived
one. All run in linear time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple
from urllib.parse import unquote

from decnet_ttp.core.source_kinds import SourceKind
from decnet_ttp.matching.shell import command_lines

#: How often percent-encoding is taken off; attackers encode twice to pass one decoder.
_DECODINGS: Final = 2

#: Characters whose escapes are all taken off.
_CLOSE_CHARS: Final = 64 * 1024

_COMMON_ESCAPES: Final = tuple(
    (escape, character)
    for character in "%./\\${}:<>;|&' "
    for escape in {f"%{ord(character):02x}", f"%{ord(character):02X}"}
)

_NUMERIC_ENTITY: Final = re.compile(r"%u00([0-9A-Fa-f]{2})")
_OVERLONG_SLASH: Final = re.compile(r"(?i)%(?:c0%af|e0%80%af|c1%9c|25c0%25af)")
_OVERLONG_DOT: Final = re.compile(r"(?i)%(?:c0%ae|e0%80%ae|25c0%25ae)")


class DerivedField(NamedTuple):
    """A derived field.

    Attributes:
        origin: The typed field it is made from.
        derive: Makes its text from the origin's.
        doc: What it is, for writers of rules.
    """

    origin: str
    derive: Callable[[str], str]
    doc: str


def percent_decode(text: str) -> str:
    """Return text with percent-encoding taken off twice at most, overlong UTF-8 included.

    Beyond the first characters only the escapes that attacks need are taken off, so that padding
    hides nothing and costs little.
    """
    if "%" not in text:
        return text
    rest = text[_CLOSE_CHARS:]
    text = _OVERLONG_DOT.sub(".", _OVERLONG_SLASH.sub("/", text[:_CLOSE_CHARS]))
    for _ in range(_DECODINGS):
        decoded = unquote(_NUMERIC_ENTITY.sub(r"%\1", text))
        if decoded == text:
            break
        text = decoded
    for _ in range(_DECODINGS if "%" in rest else 0):
        for escape, character in _COMMON_ESCAPES:
            rest = rest.replace(escape, character)
    return text + rest


def _form_decode(text: str) -> str:
    return percent_decode(text.replace("+", " "))


#: Derived fields by source kind and name.
DERIVED_FIELDS: Final[Mapping[str, Mapping[str, DerivedField]]] = MappingProxyType(
    {
        SourceKind.COMMAND: {
            "command_lines": DerivedField(
                "command_text",
                command_lines,
                "the simple commands of command_text, one a line, without quotes, separators and "
                "words that only run another command",
            ),
        },
        SourceKind.HTTP_REQUEST: {
            "raw_url_decoded": DerivedField(
                "raw_url", percent_decode, "raw_url with percent-encoding taken off, twice at most"
            ),
            "body_decoded": DerivedField(
                "body",
                _form_decode,
                "body with percent-encoding taken off, twice at most, and + as a blank",
            ),
        },
    }
)
