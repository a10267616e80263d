# SPDX-License-Identifier: AGPL-3.0-or-later
"""What the headers of a mail tell: domains, verdicts, times; never a whole address."""

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from ipaddress import ip_address
from itertools import islice
from typing import Final

from decnet_ttp.core.mail_header import domain_of, first_domain, header, headers, raw_headers
from decnet_ttp.core.mime import Mail
from decnet_ttp.sources.addresses import canonical_address
from decnet_ttp.sources.moments import time_text

MAX_ADDRESSES: Final = 1024 * 1024
MAX_RECIPIENTS: Final = 10_000
MAX_SUBJECT: Final = 1_000

_ADDRESS: Final = re.compile(r"[^\s@<>,;:\"()]{1,64}@[^\s@<>,;:\"()]{1,253}")
_LOCAL_PART: Final = re.compile(r"[^\s@<>\"'(),;:]{1,64}@(?=[^\s@])")
_AN_ADDRESS: Final = re.compile(r"[\[(\s=](?:IPv6:)?([0-9A-Fa-f:.]{2,45})(?=[\])\s;,]|$)")
_CLIENT: Final = re.compile(r"client-ip=\[?([0-9A-Fa-f:.]{2,45})")
_SENDER_IS: Final = re.compile(r"sender IP is\s+\[?([0-9A-Fa-f:.]{2,45})")
_ENVELOPE: Final = re.compile(r"(?:smtp\.mailfrom|envelope-from)=\"?<?([^\s;>\"]{1,320})")
_VERDICT: Final = re.compile(r"\b(spf|dkim)\s*=\s*([a-z]{2,12})", re.IGNORECASE)
_FAILED: Final = frozenset({"fail", "softfail", "permerror", "hardfail"})


def recipients(mail: Mail) -> tuple[int, list[str]]:
    """How many different recipients the mail names, and their domains."""
    found: set[str] = set()
    for name in ("To", "Cc", "Bcc", "X-Envelope-To", "Delivered-To", "X-Original-To"):
        if name.startswith(("X-", "D")) and found:
            break  # Those tell the envelope, which counts where the mail itself names nobody.
        for text in raw_headers(mail, name, MAX_ADDRESSES):
            for address in islice(_ADDRESS.finditer(text), MAX_RECIPIENTS):
                if len(found) < MAX_RECIPIENTS:
                    found.add(address[0].lower())
    return len(found), sorted({domain for item in found if (domain := domain_of(item))})


def envelope_domain(mail: Mail) -> str:
    """The domain of the SMTP sender, as the receiving server noted it."""
    for name in ("Received-SPF", "Authentication-Results"):
        match = _ENVELOPE.search(header(mail, name))
        if match:
            return domain_of(match[1]) or match[1].strip("<>").lower()
    for name in ("X-Envelope-From", "X-Original-From", "Return-Path"):
        if domain := first_domain(mail, name):
            return domain
    return ""


def subject(mail: Mail) -> str:
    """The subject, with addresses cut down to their domains."""
    return _LOCAL_PART.sub("@", header(mail, "Subject")[:MAX_SUBJECT])


def verdicts(mail: Mail) -> tuple[bool | None, bool | None]:
    """Whether a DKIM signature verified and SPF passed; None where nobody checked.

    Only the receiving server's own headers, the topmost ones, count. A mail without a signature is
    not signed, whoever checked.
    """
    said: dict[str, str] = {}
    for name in ("Authentication-Results", "ARC-Authentication-Results"):
        for method, result in _VERDICT.findall(header(mail, name)):
            said.setdefault(method.lower(), result.lower())
    received_spf = header(mail, "Received-SPF").partition(" ")[0].lower()
    if received_spf:
        said.setdefault("spf", received_spf)
    dkim: bool | None = None
    if "DKIM-Signature" not in mail:
        dkim = False
    elif "dkim" in said:
        dkim = said["dkim"] == "pass"
    spf = said.get("spf")
    passed = True if spf == "pass" else False if spf in _FAILED else None
    return dkim, passed


def sender_address(mail: Mail) -> str | None:
    """The address that handed the mail to the receiving server, None when no header tells.

    From the SPF check's client address, else the topmost `Received` that names a public one.
    """
    candidates = [
        match[1]
        for name, pattern in (("Received-SPF", _CLIENT), ("Authentication-Results", _SENDER_IS))
        for text in headers(mail, name)
        if (match := pattern.search(text))
    ]
    for text in headers(mail, "Received"):
        sender = text.partition(" by ")[0]
        candidates += _AN_ADDRESS.findall(sender)
    for candidate in candidates:
        address = canonical_address(candidate)
        if address is not None and ip_address(address).is_global:
            return address
    return None


def received_at(mail: Mail) -> str | None:
    """When the receiving server took the mail, else when its sender dates it."""
    dates = [text.rpartition(";")[2] for text in headers(mail, "Received")][:1]
    for text in (*dates, header(mail, "Date")):
        try:
            moment = parsedate_to_datetime(text.strip())
        except (ValueError, TypeError, IndexError, OverflowError):
            continue
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
        if found := time_text(moment):
            return found
    return None


def stamp(ts: str | None) -> str:
    """A time to the second, the beginning of 1970 when it is unknown."""
    moment = datetime.fromisoformat(ts) if ts else datetime.fromtimestamp(0, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
