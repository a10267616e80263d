# SPDX-License-Identifier: AGPL-3.0-or-later
"""Fields that rules may read but no producer sends: text with the usual disguises taken off.

Each is present whenever the field it comes from is, and equal to it when there was no disguise, so
that a rule needs to read only the derived one. All run in linear time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple
from urllib.parse import unquote

from decnet_ttp.core.source_kinds import SourceKind

#: How often percent-encoding is taken off; attackers encode twice to pass one decoder.
_DECODINGS: Final = 2

_NUMERIC_ENTITY: Final = re.compile(r"%u00([0-9A-Fa-f]{2})")
_OVERLONG_SLASH: Final = re.compile(r"(?i)%(?:c0%af|e0%80%af|c1%9c|25c0%25af)")
_OVERLONG_DOT: Final = re.compile(r"(?i)%(?:c0%ae|e0%80%ae|25c0%25ae)")

_DISGUISE: Final = re.compile(r"""['"\\]|\$\{?IFS|\$@|\$\*""")
# A blank written as a variable, with the positional parameter that often ends it.
_IFS: Final = re.compile(r"\$\{IFS[^}\n]{0,16}\}|\$IFS(?:\$\d)?")
# Expand to nothing in an interactive shell: w$@get.
_EMPTY_EXPANSION: Final = re.compile(r"(\w)\$[@*](?=\w)")
_EMPTY_QUOTES: Final = re.compile(r"""(\w)(?:''|"")+(?=\w)""")
_ESCAPED_LETTER: Final = re.compile(r"\\([A-Za-z])")
_LINE_CONTINUATION: Final = re.compile(r"\\\r?\n[ \t]*")
# One quoted letter or run within a word: w'g'et, "w"get. Words as a whole are left quoted, since
# quotes around an argument keep its separators from being read as the shell's.
_QUOTED_IN_WORD: Final = re.compile(r"""(\w)(['"])(\w{1,32})\2|(['"])(\w{1,32})\4(?=\w)""")


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


def normalize_command(text: str) -> str:
    r"""Return a command line as a shell would join its words.

    Takes off empty quotes and backslashes within words (``w''get``, ``\w\get``), quotes around a
    part of a word (``w'g'et``), ``$IFS`` for a blank, expansions to nothing (``w$@get``) and line
    continuations. Nothing is evaluated. Escapes within arguments (``\n`` of a format) lose their
    backslash too.
    """
    if _DISGUISE.search(text) is None:
        return text
    text = _LINE_CONTINUATION.sub(" ", text)
    if "IFS" in text:
        text = _IFS.sub(" ", text)
    text = _EMPTY_EXPANSION.sub(r"\1", text)
    text = _EMPTY_QUOTES.sub(r"\1", text)
    text = _QUOTED_IN_WORD.sub(r"\1\3\5", text)
    return _ESCAPED_LETTER.sub(r"\1", text)


def percent_decode(text: str) -> str:
    """Return text with percent-encoding taken off twice at most, overlong UTF-8 included."""
    if "%" not in text:
        return text
    text = _OVERLONG_DOT.sub(".", _OVERLONG_SLASH.sub("/", text))
    for _ in range(_DECODINGS):
        decoded = unquote(_NUMERIC_ENTITY.sub(r"%\1", text))
        if decoded == text:
            break
        text = decoded
    return text


def _form_decode(text: str) -> str:
    return percent_decode(text.replace("+", " "))


#: Derived fields by source kind and name.
DERIVED_FIELDS: Final[Mapping[str, Mapping[str, DerivedField]]] = MappingProxyType(
    {
        SourceKind.COMMAND: {
            "command_normalized": DerivedField(
                "command_text",
                normalize_command,
                "command_text without quotes and backslashes inside words, $IFS as a blank, "
                "line continuations joined",
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
