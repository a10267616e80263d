# SPDX-License-Identifier: AGPL-3.0-or-later
"""Names that phishing borrows: where a mail uses one, and whether it is entitled to."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any, Final

import yaml

from decnet_ttp.matching.pattern_set import compile_pattern
from decnet_ttp.tagger.domains import host_of, organization, skeleton
from decnet_ttp.tagger.lifters.email_envelope import from_domain
from decnet_ttp.tagger.lifters.email_text import any_word, plain, subject_of
from decnet_ttp.tagger.parameters import read_parameters
from decnet_ttp.v1 import event_pb2

#: Words that make a name an office of its bearer.
_SERVICE: Final = (
    "account", "accounts", "alert", "alerts", "billing", "customer", "customers", "customer care",
    "customer service", "delivery", "helpdesk", "id", "notice", "notification", "notifications",
    "payment", "payments", "prime", "rewards", "security", "service", "services", "support", "team",
    "verification", "konto", "kundenservice", "sicherheit", "compte", "securite", "soporte",
    "servicio", "cuenta", "conta", "suporte", "seguranca",
)  # fmt: skip
#: What of a reader's is at its bearer: "your … account".
_YOURS: Final = (
    r"(?:your|ihre?n?|votre|tu|su|sua|seu) (?:\S+ ){0,2}%s (?:\S+ ){0,2}"
    r"(?:account|id|wallet|card|password|subscription|membership|profile|package|parcel|shipment|"
    r"delivery|order|payment|konto|paket|passwort|compte|colis|cuenta|conta|cartao|paquete)(?:$|\W)"
    r"|(?:^|\W)%s (?:security|support|customer|account|billing|verification|service)(?:$|\W)"
    r"|dear (?:valued )?%s (?:user|customer|member|client)"
)
_MAX_NAME: Final = 200


@dataclass(frozen=True, slots=True)
class Brand:
    """A name that is borrowed.

    Attributes:
        names: As a reader knows it, plain.
        label: First part of its registrable domains.
        domains: Further domains.
        common: Whether the name is an everyday word as well.
    """

    names: tuple[str, ...]
    label: str
    domains: tuple[str, ...]
    common: bool = False

    def owns(self, domain: str) -> bool:
        """Whether a domain is its own."""
        home = organization(domain)
        return home.partition(".")[0] == self.label or home in self.domains


@cache
def brands() -> tuple[Brand, ...]:
    """Return the names that are known."""
    text = files("decnet_ttp.tagger").joinpath("data/mail_brands.yaml").read_text("utf-8")
    return tuple(read_parameters(Brand, entry) for entry in yaml.safe_load(text)["brands"])


@lru_cache(maxsize=256)
def _addressed(brand: Brand) -> Any:
    names = f"(?:{'|'.join(map(re.escape, brand.names))})"
    return compile_pattern(_YOURS.replace("%s", names))


def in_display_name(event: event_pb2.Event) -> Iterator[Brand]:
    """Yield the brands that a mail's sender calls itself by."""
    shown = plain(skeleton(event.mail_content.display_name[:_MAX_NAME]))
    # An address as a name tells only what the address tells.
    if not shown or "@" in shown:
        return
    for brand in brands():
        if not any_word(brand.names, shown):
            continue
        if not brand.common or shown in brand.names or any_word(_SERVICE, shown):
            yield brand


def in_subject_and_body(event: event_pb2.Event, body: str) -> Iterator[Brand]:
    """Yield the brands that the subject names and that the body speaks for."""
    subject = plain(skeleton(subject_of(event)))
    data = body.encode()
    for brand in brands():
        if any_word(brand.names, subject) and _addressed(brand).search(data):
            yield brand


def entitled(event: event_pb2.Event, brand: Brand) -> bool:
    """Whether a mail comes from a brand's own domain, so far as its header says."""
    return brand.owns(from_domain(event))


def leads_elsewhere(event: event_pb2.Event, brand: Brand) -> str:
    """Return the host of the first link that leads away from a brand, empty when none does."""
    for link in event.mail_content.links:
        host = host_of(link.url)
        if host and not brand.owns(host):
            return host
    for url in event.email.urls[:100]:
        host = host_of(url)
        if host and not brand.owns(host):
            return host
    return ""
