# SPDX-License-Identifier: AGPL-3.0-or-later
"""Names of hosts: whose they are, and whether they are made to look like another's.

Public suffixes come from the list that publicsuffixlist carries, look-alike characters from the
Unicode tables that confusable-homoglyphs carries, and punycode is read by idna. No network is used.
"""

from __future__ import annotations

import unicodedata
from functools import cache, lru_cache
from importlib import import_module
from ipaddress import ip_address
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

import idna
from publicsuffixlist import PublicSuffixList

_MAX_HOST: Final = 253
_ACE: Final = "xn--"


@cache
def _suffixes() -> PublicSuffixList:
    return PublicSuffixList()


@cache
def _confusables() -> Any:
    # Its tables take 15 MB; most processes that load this module never see a name they are for.
    return import_module("confusable_homoglyphs.confusables")


def domain_part(text: str) -> str:
    """Return the domain of an address or a domain, lower case; empty for what is none."""
    name = text[-2 * _MAX_HOST :].rpartition("@")[2].strip(" <>.\"'").lower()
    return "" if len(name) > _MAX_HOST or not name or not _is_plain(name) else name


def _is_plain(name: str) -> bool:
    return all(char.isalnum() or char in ".-_" for char in name)


@lru_cache(maxsize=4096)
def organization(domain: str) -> str:
    """Return the registrable domain that a name belongs to, itself where that cannot be told.

    Args:
        domain: A host or domain, lower case.
    """
    if is_address(domain):
        return domain
    found = _suffixes().privatesuffix(domain, accept_unknown=True) if domain else None
    return found or domain


def aligned(one: str, other: str) -> bool:
    """Whether two domains belong to one organisation (relaxed alignment, RFC 7489 3.1)."""
    return organization(one) == organization(other)


def host_of(url: str) -> str:
    """Return the host of a link, lower case; empty for one without or that is no web link."""
    try:
        parts = urlsplit(url[:4096].strip())
        host = parts.hostname or ""
    except ValueError:
        return ""
    if parts.scheme.lower() not in {"http", "https"} or len(host) > _MAX_HOST:
        return ""
    return host.rstrip(".").lower()


def is_address(host: str) -> bool:
    """Whether a host is an IP address instead of a name."""
    try:
        ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


class Shape(NamedTuple):
    """How an internationalised name looks.

    Attributes:
        text: The name in letters; as it stands where it cannot be read.
        deceptive: Whether it can be taken for a name in plain Latin letters.
    """

    text: str
    deceptive: bool


@lru_cache(maxsize=4096)
def idn_shape(host: str) -> Shape | None:
    """Return how an internationalised host looks; None for one in plain ASCII.

    Deceptive is a label that mixes scripts, or one of another script under an ASCII top domain
    whose every letter looks like a Latin one. Latin with accents is a spelling, no disguise.

    Args:
        host: A host, lower case, in letters or in punycode.
    """
    labels = host.split(".")
    shown = [_letters(label) for label in labels]
    if shown == labels and host.isascii() and not any(each.startswith(_ACE) for each in labels):
        return None
    foreign = [label for label in shown if not label.isascii()]
    whole = shown[-1].isascii()
    return Shape(".".join(shown), any(_deceives(label, whole=whole) for label in foreign))


def _letters(label: str) -> str:
    if not label.startswith(_ACE):
        return label
    try:
        return str(idna.decode(label))
    except (idna.IDNAError, UnicodeError):
        pass
    try:
        # Look-alikes are mostly names that registries refuse; browsers show some all the same.
        return label.removeprefix(_ACE).encode().decode("punycode")
    except UnicodeError:
        return label


def _deceives(label: str, *, whole: bool) -> bool:
    letters = "".join(char for char in label if char.isalpha())[:_MAX_HOST]
    if _confusables().is_mixed_script(letters):
        return True
    return whole and not _is_accented_latin(letters) and skeleton(letters).isascii()


def _is_accented_latin(letters: str) -> bool:
    plain = unicodedata.normalize("NFKD", letters)
    return all(char.isascii() or unicodedata.combining(char) for char in plain)


def skeleton(text: str) -> str:
    """Return text with each look-alike of a Latin letter in its place, in lower case.

    Args:
        text: A short text, such as a display name.
    """
    plain = unicodedata.normalize("NFKC", text).casefold()
    if plain.isascii():
        return plain
    return "".join(map(_latin, plain))


@lru_cache(maxsize=4096)
def _latin(char: str) -> str:
    if char.isascii():
        return char
    if unicodedata.category(char) == "Cf":
        return ""
    base = unicodedata.normalize("NFKD", char)[0]
    if base.isascii():
        return base
    found = _confusables().is_confusable(char, preferred_aliases=["latin"])
    if not found:
        return char
    like = (each["c"] for each in found[0]["homoglyphs"] if each["c"].isascii())
    return next(like, char).lower()
