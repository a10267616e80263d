# SPDX-License-Identifier: AGPL-3.0-or-later
"""Evidence of a mail: hashes, names of headers, domains, counts, and words of our own rules.

Nothing else of a mail passes through here, whatever a producer puts into its fields.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from decnet_ttp.tagger.domains import domain_part
from decnet_ttp.tagger.fields import MAX_NAME
from decnet_ttp.v1 import event_pb2, tag_pb2

#: Domains and hashes that are shown at most.
MAX_ITEMS: Final = 64

_SHA256: Final = re.compile(r"[0-9a-fA-F]{64}")


def evidence_of(
    event: event_pb2.Event,
    headers: Iterable[str] = (),
    *,
    kit: str = "",
    trigger: str = "",
    url_host: str = "",
    signals: Iterable[str] = (),
    subject_keywords: Iterable[str] = (),
    body_keywords: Iterable[str] = (),
    encoded_bytes: int = 0,
) -> tag_pb2.Evidence:
    """Return the evidence of a mail.

    Args:
        event: The mail.
        headers: Names of the headers that mattered.
        kit: Kit of our own catalogue.
        trigger: What set the rule off, by a name of our own.
        url_host: Host of the link that mattered.
        signals: What else mattered, by names of our own.
        subject_keywords: Words of the rule that the subject has.
        body_keywords: Words of the rule that the body has.
        encoded_bytes: Size of encoded content.
    """
    mail, evidence = event.email, tag_pb2.Evidence()
    shown = evidence.email
    if _SHA256.fullmatch(mail.body_sha256):
        shown.body_sha256 = mail.body_sha256.lower()
    shown.matched_header_names.extend(sorted(set(headers)))
    domains = {domain for text in mail.rcpt_domains if (domain := domain_part(text))}
    shown.rcpt_domains.extend(sorted(domains)[:MAX_ITEMS])
    hashes = {each.lower() for each in mail.attachment_sha256s if _SHA256.fullmatch(each)}
    shown.attachment_sha256s.extend(sorted(hashes)[:MAX_ITEMS])
    shown.rcpt_count = max(mail.rcpt_count, 0)
    shown.matched_kit = kit[:MAX_NAME]
    shown.matched_trigger = trigger[:MAX_NAME]
    shown.matched_url_host = url_host[:MAX_NAME]
    shown.matched_signals.extend(signals)
    shown.matched_subject_keywords.extend(subject_keywords)
    shown.matched_body_keywords.extend(body_keywords)
    shown.encoded_bytes = encoded_bytes
    return evidence
