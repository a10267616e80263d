# SPDX-License-Identifier: AGPL-3.0-or-later
"""Reading the headers of a hostile mail: decoded where that can be done, and always bounded."""

import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from email.errors import MessageError
from email.header import decode_header, make_header
from email.utils import getaddresses, parseaddr, parsedate_to_datetime
from itertools import islice
from typing import Final

from decnet_ttp.core.mime import Mail

MAX_HEADER: Final = 4 * 1024
MAX_HEADERS: Final = 100

#: Headers that only lists and declared bulk senders set (RFC 2369, RFC 2919, and older habits).
_LIST_HEADERS: Final = frozenset(
    {"list-id", "list-post", "list-unsubscribe", "list-help", "x-mailing-list", "x-beenthere"}
)
_BULK: Final = frozenset({"bulk", "list", "junk"})

_DOMAIN: Final = re.compile(r"[^\s@<>()\[\],;:\"\\]{1,253}")


def header(mail: Mail, name: str) -> str:
    """The first header of that name as text, "" when there is none."""
    return next(headers(mail, name), "")


def headers(mail: Mail, name: str) -> Iterator[str]:
    """All headers of that name, top to bottom, each unfolded, decoded and cut to a bound."""
    for raw in raw_headers(mail, name, MAX_HEADER):
        text = raw
        # What cannot be decoded is looked at as it stands.
        with suppress(MessageError, ValueError, LookupError):
            text = str(make_header(decode_header(raw)))
        yield " ".join(text.encode("utf-8", "replace").decode().split())


def raw_headers(mail: Mail, name: str, limit: int) -> Iterator[str]:
    """Yield all headers of that name as they stand, each cut to a bound."""
    wanted = name.lower()
    raws = (raw for key, raw in mail.raw_items() if key.lower() == wanted)
    for raw in islice(raws, MAX_HEADERS):
        # Bytes beyond ASCII are against the rules, and mostly UTF-8.
        yield str(raw)[:limit].encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def domain_of(address: str) -> str:
    """The domain of an address, lower case; "" when it has none."""
    _, at, domain = address.rpartition("@")
    match = _DOMAIN.match(domain.strip()) if at else None
    return match[0].rstrip(".").lower() if match else ""


def first_domain(mail: Mail, name: str) -> str:
    """The domain of the first address in a header, "" when there is none."""
    for _, address in getaddresses([header(mail, name)]):
        if domain := domain_of(address):
            return domain
    return ""


def display_name(mail: Mail) -> str:
    """The name beside the address in the From header, "" when there is none."""
    return parseaddr(header(mail, "From"))[0]


def is_bulk(mail: Mail) -> bool:
    """Whether a mail says that a list or a bulk sender sent it."""
    names = {name.lower() for name, _ in islice(mail.raw_items(), 10 * MAX_HEADERS)}
    return bool(names & _LIST_HEADERS) or header(mail, "Precedence").lower() in _BULK


def date_lag_s(mail: Mail) -> float | None:
    """Seconds from the mail's own date to its receipt; None where either is missing.

    The receipt is what the topmost `Received` says, which the receiving server wrote.
    """
    received = _moment(header(mail, "Received").rpartition(";")[2])
    dated = _moment(header(mail, "Date"))
    return None if received is None or dated is None else (received - dated).total_seconds()


def _moment(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text.strip())
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
