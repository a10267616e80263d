# SPDX-License-Identifier: AGPL-3.0-or-later
"""The email lifter: what mails to a decoy are made to do."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import ClassVar, TypeVar

from decnet_ttp.core.source_kinds import SourceKind
from decnet_ttp.tagger.lifters import (
    email_attachments,
    email_body,
    email_envelope,
    email_headers,
    email_phish,
)
from decnet_ttp.tagger.predicate_lifter import (
    Hit,
    NoParameters,
    Predicate,
    PredicateLifter,
    Test,
    holds,
)
from decnet_ttp.v1 import event_pb2, rule_pb2

P = TypeVar("P")

_MAIL = (SourceKind.EMAIL,)


def _weighed(
    parameters: type[P], find: Callable[[event_pb2.Event, P, tuple[str, ...]], Iterable[Hit]]
) -> Predicate[P]:
    """Return a predicate that holds more or less, for all techniques of its rule alike."""

    def bind(values: P, rule: rule_pb2.Rule, rules_dir: Path | None) -> Test:
        del rules_dir
        techniques = tuple(each.sub_technique_id or each.technique_id for each in rule.emissions)
        return lambda event: find(event, values, techniques)

    return Predicate(frozenset(_MAIL), parameters, bind)


class EmailLifter(PredicateLifter):
    """Lifts mails.

    Attributes:
        reads_messages: It looks into stored mails, where there are some.
    """

    name: ClassVar[str] = "email"
    owns_prefixes: ClassVar = ("email_",)
    reads_messages: ClassVar[bool] = True
    predicates: ClassVar = {
        "email_open_relay": holds(_MAIL, email_envelope.Recipients, email_envelope.open_relay),
        "email_mass_phish": holds(_MAIL, email_envelope.Recipients, email_envelope.mass_phish),
        "email_xmailer_kit": holds(_MAIL, NoParameters, email_envelope.xmailer_kit),
        "email_idn_url": _weighed(email_body.InternationalName, email_body.idn_url),
        "email_sender_masquerade": _weighed(
            email_envelope.Masquerade, email_envelope.sender_masquerade
        ),
        "email_malicious_attachment": holds(
            _MAIL, email_attachments.Harmful, email_attachments.malicious_attachment
        ),
        "email_bec": holds(_MAIL, email_body.Keywords, email_body.business_email_compromise),
        "email_many_recipients": holds(
            _MAIL, email_envelope.Recipients, email_headers.many_recipients
        ),
        "email_authenticated_burst": holds(
            _MAIL, email_envelope.Recipients, email_headers.authenticated_burst
        ),
        "email_scanner_relays": holds(_MAIL, email_headers.Relays, email_headers.scanner_relays),
        "email_forged_date": holds(_MAIL, email_headers.Skew, email_headers.forged_date),
        "email_reply_to_diversion": holds(
            _MAIL, email_headers.Answers, email_headers.reply_to_diversion
        ),
        "email_brand_display_name": holds(_MAIL, NoParameters, email_phish.brand_display_name),
        "email_brand_impersonation": holds(_MAIL, NoParameters, email_phish.brand_impersonation),
        "email_credential_harvest": holds(_MAIL, email_phish.Lures, email_phish.credential_harvest),
        "email_extortion": holds(_MAIL, email_phish.Lures, email_phish.extortion),
        "email_tracking_pixel": holds(_MAIL, NoParameters, email_phish.tracking_pixel),
        "email_disguised_executable": holds(
            _MAIL, email_attachments.Disguise, email_attachments.disguised_executable
        ),
        "email_encoded_payload": holds(_MAIL, email_body.Encoded, email_body.encoded_payload),
    }
