# SPDX-License-Identifier: AGPL-3.0-or-later
"""Predicates on mails that pretend: borrowed names, harvested credentials, extortion, tracking."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from decnet_ttp.matching.pattern_set import compile_pattern
from decnet_ttp.tagger.domains import aligned, host_of, is_address, organization
from decnet_ttp.tagger.lifters.email_brands import (
    entitled,
    in_display_name,
    in_subject_and_body,
    leads_elsewhere,
)
from decnet_ttp.tagger.lifters.email_envelope import from_domain, sent_openly
from decnet_ttp.tagger.lifters.email_evidence import evidence_of
from decnet_ttp.tagger.lifters.email_text import (
    body_of,
    found_words,
    plain,
    raw_body_of,
    subject_of,
)
from decnet_ttp.tagger.predicate_lifter import NoParameters
from decnet_ttp.v1 import event_pb2, tag_pb2

_SHOWN_HOST: Final = re.compile(
    r"\s*(?:https?://)?((?:[a-z0-9-]{1,63}\.){1,4}[a-z]{2,24})(?:/\S*)?\s*\Z"
)
#: Addresses of Bitcoin (legacy and bech32) and Monero, whole.
_WALLET: Final = compile_pattern(
    r"(?:^|[^0-9A-Za-z])(?:[13][1-9A-HJ-NP-Za-km-z]{25,34}|bc1[02-9ac-hj-np-z]{11,71}"
    r"|4[0-9AB][1-9A-HJ-NP-Za-km-z]{93})(?:$|[^0-9A-Za-z])"
)


def brand_display_name(event: event_pb2.Event, parameters: NoParameters) -> tag_pb2.Evidence | None:
    """The sender calls itself by the name of somebody whose domain it does not use."""
    del parameters
    if not from_domain(event) or event.email.mailing_list:
        return None
    for brand in in_display_name(event):
        if not entitled(event, brand):
            return evidence_of(event, ("From",), signals=(f"brand:{brand.names[0]}",))
    return None


def brand_impersonation(
    event: event_pb2.Event, parameters: NoParameters
) -> tag_pb2.Evidence | None:
    """Subject and body speak for somebody else, and links lead to neither."""
    del parameters
    if not from_domain(event) or event.email.mailing_list:
        return None
    for brand in in_subject_and_body(event, body_of(event)):
        host = "" if entitled(event, brand) else leads_elsewhere(event, brand)
        if host:
            signals = (f"brand:{brand.names[0]}",)
            return evidence_of(event, ("From", "Subject"), url_host=host, signals=signals)
    return None


@dataclass(frozen=True, slots=True)
class Lures:
    """Phrases that make a reader act.

    Attributes:
        phrases: In plain lower case; one in body or subject is enough.
        min_phrases: How many it takes.
    """

    phrases: tuple[str, ...]
    min_phrases: int = 1

    def __post_init__(self) -> None:
        """Refuse phrases that no text has in its plain form."""
        if not self.phrases or any(not each or plain(each) != each for each in self.phrases):
            raise ValueError("write `phrases` in lower case, at least one")
        if not 1 <= self.min_phrases <= len(self.phrases):
            raise ValueError("`min_phrases` must be between 1 and the number of phrases")


def _deceptive_links(event: event_pb2.Event) -> Iterator[tuple[str, str]]:
    """Yield host and reason of links that do not lead where they seem to."""
    for link in event.mail_content.links:
        host = host_of(link.url)
        if not host:
            continue
        shown = _SHOWN_HOST.match(link.text.lower())
        if shown and not aligned(shown[1], host):
            yield host, "link_text_mismatch"
        elif is_address(host):
            yield host, "link_to_address"


def credential_harvest(event: event_pb2.Event, parameters: Lures) -> tag_pb2.Evidence | None:
    """The mail asks to log in or to confirm, behind a link that is not its sender's.

    Besides, the link hides where it leads, or nothing vouches for the sender.
    """
    sender = from_domain(event)
    if event.email.mailing_list:
        return None
    body = body_of(event)
    found = found_words(parameters.phrases, f"{subject_of(event)} | {body}")
    if len(found) < parameters.min_phrases:
        return None
    host, signal = next(_deceptive_links(event), ("", ""))
    if not host:
        if event.email.spf_pass and event.email.dkim_signed:
            return None
        hosts = (host_of(link.url) for link in event.mail_content.links)
        foreign = (each for each in hosts if each and sender and not aligned(each, sender))
        host, signal = next(foreign, ""), "link_to_third_party"
    if not host:
        return None
    return evidence_of(event, ("body",), url_host=host, signals=(signal,), body_keywords=found[:4])


def extortion(event: event_pb2.Event, parameters: Lures) -> tag_pb2.Evidence | None:
    """The mail threatens its reader and names a wallet."""
    raw = raw_body_of(event)
    if not _WALLET.search(raw.encode()):
        return None
    found = found_words(parameters.phrases, body_of(event))
    if len(found) < parameters.min_phrases:
        return None
    return evidence_of(event, ("body",), signals=("wallet",), body_keywords=found[:4])


def tracking_pixel(event: event_pb2.Event, parameters: NoParameters) -> tag_pb2.Evidence | None:
    """An image that nobody sees tells a third party, by a mark of its own, that a mail was read.

    Senders who can be answered, or whom one can leave, count their readers in the open.
    """
    del parameters
    sender = from_domain(event)
    if event.email.mailing_list or not sender or sent_openly(event):
        return None
    for url in event.mail_content.hidden_image_urls:
        host = host_of(url)
        marked = "?" in url or re.search(
            r"[0-9A-Za-z_=-]{16,}", url.partition("//")[2].partition("/")[2]
        )
        if host and marked and organization(host) != organization(sender):
            return evidence_of(event, ("body",), url_host=host)
    return None
