# SPDX-License-Identifier: AGPL-3.0-or-later
"""Predicates on what a mail says and where it leads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from decnet_ttp.core.mime import base64_bytes
from decnet_ttp.tagger.domains import host_of, idn_shape
from decnet_ttp.tagger.lifters.email_evidence import evidence_of
from decnet_ttp.tagger.lifters.email_text import (
    body_of,
    found_words,
    plain,
    raw_body_of,
    subject_of,
)
from decnet_ttp.tagger.predicate_lifter import Hit
from decnet_ttp.v1 import event_pb2, tag_pb2

#: Links that are looked at.
_MAX_URLS: Final = 1_000


def urls_of(event: event_pb2.Event) -> Iterator[str]:
    """Yield the links of a mail, as its producer and its stored message tell them."""
    yield from event.email.urls[:_MAX_URLS]
    for link in event.mail_content.links:
        yield link.url


@dataclass(frozen=True, slots=True)
class InternationalName:
    """How much a name has to deceive.

    Attributes:
        plain_factor: What confidence is multiplied by for a name that is foreign, but cannot be
            taken for a Latin one; 0 leaves it out.
    """

    plain_factor: float = 0.5

    def __post_init__(self) -> None:
        """Refuse what is no factor."""
        if not 0 <= self.plain_factor <= 1:
            raise ValueError("`plain_factor` must be between 0 and 1")


def idn_url(
    event: event_pb2.Event, parameters: InternationalName, techniques: Iterable[str]
) -> Iterable[Hit]:
    """A link leads to an internationalised name; one that looks Latin counts in full."""
    foreign = ""
    for url in urls_of(event):
        if url.isascii() and "xn--" not in url.lower():
            continue
        host = host_of(url)
        shape = idn_shape(host)
        if shape is None:
            # A name in something that is no web link tells as much, and may not be shown.
            if host or "xn--" not in url.lower():
                continue
        elif shape.deceptive:
            return (Hit(evidence_of(event, ("body",), url_host=host)),)
        foreign = foreign or host or "?"
    if not foreign or not parameters.plain_factor:
        return ()
    evidence = evidence_of(event, ("body",), url_host=foreign.strip("?"))
    return (Hit(evidence, dict.fromkeys(techniques, parameters.plain_factor)),)


@dataclass(frozen=True, slots=True)
class Keywords:
    """Words or phrases of which subject and body must have one each.

    Attributes:
        subject_keywords: In the subject.
        body_keywords: In the body.
    """

    subject_keywords: tuple[str, ...]
    body_keywords: tuple[str, ...]

    def __post_init__(self) -> None:
        """Refuse words that no text has in its plain form."""
        for name in ("subject_keywords", "body_keywords"):
            words = getattr(self, name)
            if not words or any(not word or plain(word) != word for word in words):
                raise ValueError(f"write `{name}` in lower case, at least one")


def business_email_compromise(
    event: event_pb2.Event, parameters: Keywords
) -> tag_pb2.Evidence | None:
    """The subject presses for money and the body for an act, as from a superior or a supplier."""
    subject = found_words(parameters.subject_keywords, subject_of(event))
    if not subject or event.email.mailing_list:
        return None
    body = found_words(parameters.body_keywords, body_of(event))
    if not body:
        return None
    return evidence_of(event, ("Subject",), subject_keywords=subject[:1], body_keywords=body[:1])


@dataclass(frozen=True, slots=True)
class Encoded:
    """How much encoded content it takes.

    Attributes:
        min_bytes: At least so many bytes, decoded.
    """

    min_bytes: int = 4096

    def __post_init__(self) -> None:
        """Refuse what every mail has."""
        if self.min_bytes <= 0:
            raise ValueError("`min_bytes` must be above 0")


@lru_cache(maxsize=4)
def _encoded(text: str) -> int:
    return base64_bytes(text)


def encoded_payload(event: event_pb2.Event, parameters: Encoded) -> tag_pb2.Evidence | None:
    """The text of a mail carries a file in base64; the sensor's count needs no body."""
    size = event.email.body_base64_bytes
    if not event.email.HasField("body_base64_bytes"):
        size = _encoded(raw_body_of(event))
    return evidence_of(event, encoded_bytes=size) if size >= parameters.min_bytes else None
