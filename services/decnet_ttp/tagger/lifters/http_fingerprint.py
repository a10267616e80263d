# SPDX-License-Identifier: AGPL-3.0-or-later
"""The fingerprint lifter: TLS, SSH and HTTP stacks against those of known frameworks and tools."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import ClassVar, Final

import yaml

from decnet_ttp.core.source_kinds import SourceKind
from decnet_ttp.tagger.fields import MAX_NAME, extra_text
from decnet_ttp.tagger.lifter import PASSING_FIELDS
from decnet_ttp.tagger.parameters import read_parameters
from decnet_ttp.tagger.predicate_lifter import NoParameters, PredicateLifter, holds
from decnet_ttp.v1 import event_pb2, tag_pb2

_FINGERPRINT = (SourceKind.HTTP_FINGERPRINT,)
_EITHER = (SourceKind.HTTP_FINGERPRINT, SourceKind.SESSION)

#: Types of fingerprints that the catalogue may hold.
TYPES: Final = ("jarm", "ja3", "hassh", "http2_settings")
#: Classes of what shows a fingerprint.
CLASSES: Final = ("c2", "tool", "scanner", "automation")

#: First part of JA4H of clients without cookie, referrer and preferred language: GE for GET, then
#: the version, n for no cookie, n for no referrer, how many headers (which some sensors leave out),
#: and 0000 for no language.
_JA4H_BARE: Final = re.compile(r"[a-z]{2}(?:10|11|20|30)nn(?:\d\d)?0000\Z")
#: First part of JA4 over QUIC: q, version, i for an address in place of a server name.
_JA4_QUIC_ADDRESS: Final = re.compile(r"q(?:13|12|00)i\d{4}[a-z0-9]{2}\Z")


@dataclass(frozen=True, slots=True)
class Known:
    """An entry of the catalogue.

    Attributes:
        type: Type of the fingerprint, from `TYPES`.
        hash: The fingerprint as it is written.
        name: What shows it.
        class_: From `CLASSES`.
        reference: Who published it.
        shared: Whether innocent software shows it too.
    """

    type: str
    hash: str
    name: str
    class_: str
    reference: str
    shared: bool = False

    def __post_init__(self) -> None:
        """Refuse entries that no rule could reach."""
        if self.type not in TYPES or self.class_ not in CLASSES:
            raise ValueError(f"{self.hash}: unknown type or class")


@dataclass(frozen=True, slots=True)
class CatalogueChoice:
    """Parameters of predicates that look a fingerprint up.

    Attributes:
        catalogues: Types of fingerprints that are looked up, from `TYPES`.
        include_shared: Whether fingerprints count that innocent software shows too.
    """

    catalogues: tuple[str, ...]
    include_shared: bool = False

    def __post_init__(self) -> None:
        """Refuse types that the catalogue does not have."""
        if not self.catalogues or not set(self.catalogues) <= set(TYPES):
            raise ValueError(f"unknown name in `catalogues`; allowed: {', '.join(TYPES)}")


@cache
def catalogue() -> Mapping[tuple[str, str], Known]:
    """Return what is known, by type and fingerprint."""
    text = files("decnet_ttp.tagger").joinpath("data/network_fingerprints.yaml").read_text("utf-8")
    found = {}
    for entry in yaml.safe_load(text)["fingerprints"]:
        known = read_parameters(Known, {_renamed(key): value for key, value in entry.items()})
        found[known.type, normal(known.type, known.hash)] = known
    return found


def _renamed(key: str) -> str:
    return "class_" if key == "class" else key


def normal(fingerprint_type: str, text: str) -> str:
    """Return a fingerprint as it is compared.

    SETTINGS are written with commas or semicolons, and often with the other three parts of
    Akamai's form behind them.
    """
    text = text[: 2 * MAX_NAME].strip().lower()
    if fingerprint_type == "http2_settings":
        return text.partition("|")[0].replace(",", ";").strip(";")
    return text


def _shown(event: event_pb2.Event, catalogues: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Yield type and text of the fingerprints that an event has."""
    if event.source_kind == SourceKind.SESSION:
        for name in catalogues:
            if name in {"jarm", "hassh"}:
                yield name, getattr(event.session, name)
            else:
                yield name, extra_text(event, name)
        return
    payload = event.http_fingerprint
    if payload.fingerprint_type in catalogues:
        yield payload.fingerprint_type, payload.hash


def _evidence(event: event_pb2.Event, name: str) -> tag_pb2.Evidence:
    payload, evidence = event.http_fingerprint, tag_pb2.Evidence()
    shown = evidence.http_fingerprint
    shown.fingerprint_type = payload.fingerprint_type[:MAX_NAME]
    shown.hash = payload.hash[:MAX_NAME]
    shown.protocol = payload.protocol[:MAX_NAME]
    shown.matched_framework = name
    return evidence


def _in_class(
    wanted: str, event: event_pb2.Event, choice: CatalogueChoice
) -> tag_pb2.Evidence | None:
    for fingerprint_type, text in _shown(event, choice.catalogues):
        known = catalogue().get((fingerprint_type, normal(fingerprint_type, text)))
        if known is None or known.class_ != wanted:
            continue
        if known.shared and not choice.include_shared:
            continue
        if event.source_kind != SourceKind.SESSION:
            return _evidence(event, known.name)
        evidence = tag_pb2.Evidence()
        evidence.session.service = event.session.service[:MAX_NAME]
        evidence.session.matched_tokens.append(f"{fingerprint_type}:{text.strip()[:MAX_NAME]}")
        evidence.session.matched_tokens.append(known.name)
        return evidence
    return None


def c2_fingerprint(event: event_pb2.Event, choice: CatalogueChoice) -> tag_pb2.Evidence | None:
    """The stack is that of a command-and-control framework or an implant."""
    return _in_class("c2", event, choice)


def tool_fingerprint(event: event_pb2.Event, choice: CatalogueChoice) -> tag_pb2.Evidence | None:
    """The stack is that of offensive tooling or of a library it is made with."""
    return _in_class("tool", event, choice)


def scanner_fingerprint(event: event_pb2.Event, choice: CatalogueChoice) -> tag_pb2.Evidence | None:
    """The stack is that of a program that scans networks."""
    return _in_class("scanner", event, choice)


def ja4h_bare(event: event_pb2.Event, parameters: NoParameters) -> tag_pb2.Evidence | None:
    """The request had neither cookie nor referrer nor language: a program, not a person."""
    del parameters
    payload = event.http_fingerprint
    if payload.fingerprint_type != "ja4h":
        return None
    first = payload.hash[:MAX_NAME].strip().lower().partition("_")[0]
    return _evidence(event, "bare HTTP client") if _JA4H_BARE.match(first) else None


def http_settings(event: event_pb2.Event, parameters: NoParameters) -> tag_pb2.Evidence | None:
    """The SETTINGS are those that a library sends, not a browser."""
    del parameters
    return _in_class("automation", event, CatalogueChoice(("http2_settings",)))


def ja4_quic_address(event: event_pb2.Event, parameters: NoParameters) -> tag_pb2.Evidence | None:
    """A QUIC client that names no server: it goes through addresses."""
    del parameters
    payload = event.http_fingerprint
    if payload.fingerprint_type != "ja4_quic":
        return None
    first = payload.hash[:MAX_NAME].strip().lower().partition("_")[0]
    found = _JA4_QUIC_ADDRESS.match(first)
    return _evidence(event, "QUIC without server name") if found else None


class HttpFingerprintLifter(PredicateLifter):
    """Lifts fingerprints of network stacks."""

    name: ClassVar[str] = "http_fingerprint"
    unread: ClassVar = PASSING_FIELDS
    owns_prefixes: ClassVar = ("c2_", "http_")
    predicates: ClassVar = {
        "c2_fingerprint": holds(_EITHER, CatalogueChoice, c2_fingerprint),
        "http_tool_fingerprint": holds(_EITHER, CatalogueChoice, tool_fingerprint),
        "http_scanner_fingerprint": holds(_EITHER, CatalogueChoice, scanner_fingerprint),
        "http_ja4h_bare_client": holds(_FINGERPRINT, NoParameters, ja4h_bare),
        "http_settings_of_library": holds(_FINGERPRINT, NoParameters, http_settings),
        "http_ja4_quic_by_address": holds(_FINGERPRINT, NoParameters, ja4_quic_address),
    }
