# SPDX-License-Identifier: AGPL-3.0-or-later
"""Predicates on who sends a mail, to how many, and with what: envelope and headers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final

import yaml

from decnet_ttp.matching.pattern_set import compile_pattern
from decnet_ttp.tagger.domains import aligned, domain_part
from decnet_ttp.tagger.fields import MAX_NAME, extra_flag, extra_text
from decnet_ttp.tagger.lifters.email_evidence import evidence_of
from decnet_ttp.tagger.lifters.email_text import any_word, body_of
from decnet_ttp.tagger.predicate_lifter import Hit, NoParameters
from decnet_ttp.v1 import event_pb2, tag_pb2

#: Signals of a masquerade, and the header that each is read from.
SIGNALS: Final = {
    "from_returnpath_mismatch": "Return-Path",
    "from_mailfrom_mismatch": "From",
    "dkim_fail": "DKIM-Signature",
    "spf_fail": "Authentication-Results",
}


#: How a reader is told to leave a list.
_OPT_OUT: Final = (
    "unsubscribe", "opt out", "opt-out", "be removed from", "stop receiving", "no longer wish to",
    "abmelden", "abbestellen", "désabonner", "désinscrire", "darse de baja", "cancelar inscrição",
)  # fmt: skip


def from_domain(event: event_pb2.Event) -> str:
    """Return the domain of the From header."""
    return domain_part(event.email.from_domain or extra_text(event, "from"))


def mail_from_domain(event: event_pb2.Event) -> str:
    """Return the domain of the SMTP sender."""
    return domain_part(event.email.mail_from_domain or extra_text(event, "mail_from"))


def differ(one: str, other: str) -> bool:
    """Whether two domains are both there and belong to different organisations."""
    return bool(one and other) and not aligned(one, other)


@dataclass(frozen=True, slots=True)
class Recipients:
    """How many recipients it takes.

    Attributes:
        min_rcpt: At least so many.
    """

    min_rcpt: int

    def __post_init__(self) -> None:
        """Refuse what every mail has."""
        if self.min_rcpt < 2:  # noqa: PLR2004 - one recipient is no crowd
            raise ValueError("`min_rcpt` must be 2 or more")


def open_relay(event: event_pb2.Event, parameters: Recipients) -> tag_pb2.Evidence | None:
    """Many recipients, and the envelope's sender is of another organisation than the header's."""
    if event.email.rcpt_count < parameters.min_rcpt:
        return None
    if not differ(from_domain(event), mail_from_domain(event)):
        return None
    return evidence_of(event, ("From", "Mail-From"))


def mass_phish(event: event_pb2.Event, parameters: Recipients) -> tag_pb2.Evidence | None:
    """Many recipients of one body; without a real similarity hash nobody knows that it is one."""
    simhash = event.email.body_simhash[:MAX_NAME].strip().removeprefix("0x")
    if event.email.rcpt_count < parameters.min_rcpt or not simhash.strip("0"):
        return None
    return evidence_of(event)


@cache
def _kits() -> Sequence[tuple[str, Any]]:
    text = files("decnet_ttp.tagger").joinpath("data/mail_kits.yaml").read_text("utf-8")
    return [
        (entry["name"], compile_pattern(f"(?i){entry['pattern']}"))
        for entry in yaml.safe_load(text)["kits"]
    ]


def xmailer_kit(event: event_pb2.Event, parameters: NoParameters) -> tag_pb2.Evidence | None:
    """The mail names a program that is made for phishing, or the sensor knows it for one."""
    del parameters
    mailer = event.email.x_mailer[: 2 * MAX_NAME].encode()
    if not mailer.strip():
        return None
    kit = next((name for name, pattern in _kits() if pattern.search(mailer)), "")
    if not kit and (extra_text(event, "matched_kit") or extra_flag(event, "xmailer_kit_match")):
        kit = "named by the sensor"
    return evidence_of(event, ("X-Mailer",), kit=kit) if kit else None


@dataclass(frozen=True, slots=True)
class Masquerade:
    """What counts as a masquerade.

    Attributes:
        signals: From `SIGNALS`.
        unchecked_factor: What confidence is multiplied by where nobody checked SPF or DKIM.
    """

    signals: tuple[str, ...] = tuple(SIGNALS)
    unchecked_factor: float = 0.8

    def __post_init__(self) -> None:
        """Refuse what is not there."""
        if not self.signals or not set(self.signals) <= set(SIGNALS):
            raise ValueError(f"unknown name in `signals`; allowed: {', '.join(SIGNALS)}")
        if not 0 < self.unchecked_factor <= 1:
            raise ValueError("`unchecked_factor` must be above 0 and at most 1")


def _signals(event: event_pb2.Event) -> Iterator[str]:
    mail, sender = event.email, from_domain(event)
    if differ(sender, domain_part(mail.return_path_domain)):
        yield "from_returnpath_mismatch"
    if differ(sender, mail_from_domain(event)):
        yield "from_mailfrom_mismatch"
    if mail.HasField("dkim_signed") and not mail.dkim_signed:
        yield "dkim_fail"
    if mail.HasField("spf_pass") and not mail.spf_pass:
        yield "spf_fail"


def sent_openly(event: event_pb2.Event) -> bool:
    """Whether a service seems to have sent a mail openly: answers arrive, or one can leave."""
    answers = domain_part(event.email.reply_to_domain)
    known = (from_domain(event), mail_from_domain(event))
    if answers and any(name and aligned(answers, name) for name in known):
        return True
    return any_word(_OPT_OUT, body_of(event))


def sender_masquerade(
    event: event_pb2.Event, parameters: Masquerade, techniques: Iterable[str]
) -> Iterable[Hit]:
    """Nothing that authenticates the mail speaks for the sender that its reader sees.

    That follows the idea of DMARC (RFC 7489): a verified signature, or SPF for the domain of the
    From header, makes it the sender's. An unsigned mail is none by that alone, nor is one through
    a list, which sends in its own name. Where nobody checked anything, a mail is given the benefit
    of the doubt that looks as if a service sent it for its sender.
    """
    mail = event.email
    found = [each for each in _signals(event) if each in parameters.signals]
    mismatch = [each for each in found if each.startswith("from_")]
    if mail.mailing_list or (mail.HasField("dkim_signed") and mail.dkim_signed):
        return ()
    if "spf_fail" in found or (mismatch and mail.HasField("spf_pass")):
        factor = 1.0
    elif mismatch and not sent_openly(event):
        factor = parameters.unchecked_factor
    else:
        return ()
    headers = {SIGNALS[each] for each in found} | ({"From"} if mismatch else set())
    evidence = evidence_of(event, headers, signals=found)
    return (Hit(evidence, dict.fromkeys(techniques, factor)),)
