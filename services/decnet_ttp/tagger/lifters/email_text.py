# SPDX-License-Identifier: AGPL-3.0-or-later
"""The words of a mail as a reader takes them in: case, forms and hidden characters undone."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from decnet_ttp.tagger.fields import extra_text
from decnet_ttp.tagger.mail_content import MAX_BODY
from decnet_ttp.v1 import event_pb2

_HIDDEN: Final = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u202a-\u202e"
    "\u2060-\u2064\u206a-\u206f\ufe00-\ufe0f\ufeff]"
)
_BLANK: Final = re.compile(r"\s+")
MAX_SUBJECT: Final = 1_000


@lru_cache(maxsize=4)
def plain(text: str) -> str:
    """Return text in lower case with compatibility forms, hidden characters and blanks undone."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", _HIDDEN.sub("", text))
    return _BLANK.sub(" ", text.lower()).strip()


def subject_of(event: event_pb2.Event) -> str:
    """Return the subject, plain."""
    return plain(event.email.subject[:MAX_SUBJECT])


def raw_body_of(event: event_pb2.Event) -> str:
    """Return the text of a mail as it stands: what was read of it, else what a producer sent."""
    return event.mail_content.body_text or extra_text(event, "body_text")[:MAX_BODY]


def body_of(event: event_pb2.Event) -> str:
    """Return the text of a mail, plain; empty while nobody could read it."""
    return plain(raw_body_of(event))


def _has(text: str, word: str) -> bool:
    """Return whether a text has a word whole: no letter or digit beside it."""
    # Not a pattern for each: the automata of many patterns over long texts take much memory.
    at = text.find(word)
    while at >= 0:
        end = at + len(word)
        if not text[at - 1 : at].isalnum() and not text[end : end + 1].isalnum():
            return True
        at = text.find(word, at + 1)
    return False


def found_words(words: Iterable[str], text: str) -> list[str]:
    """Return those of some words or phrases, in plain form, that a plain text has whole."""
    return [word for word in words if _has(text, word)]


def any_word(words: Iterable[str], text: str) -> bool:
    """Return whether a plain text has one of some words or phrases whole."""
    return any(_has(text, word) for word in words)
