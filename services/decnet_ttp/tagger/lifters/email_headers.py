# SPDX-License-Identifier: AGPL-3.0-or-later
"""Predicates on how a mail was sent: crowds, relays, times, and where answers go."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final

from decnet_ttp.tagger.domains import domain_part
from decnet_ttp.tagger.fields import extra_flag, extra_number, extra_text
from decnet_ttp.tagger.lifters.email_envelope import Recipients, differ, from_domain
from decnet_ttp.tagger.lifters.email_evidence import evidence_of
from decnet_ttp.v1 import event_pb2, tag_pb2

#: What sensors say of a mail that was handed in after a log-in.
_LOGGED_IN: Final = ("authenticated", "auth_success", "smtp_authenticated")


def many_recipients(event: event_pb2.Event, parameters: Recipients) -> tag_pb2.Evidence | None:
    """A crowd gets the mail, and no list sends it."""
    if event.email.mailing_list or event.email.rcpt_count < parameters.min_rcpt:
        return None
    return evidence_of(event)


def authenticated_burst(event: event_pb2.Event, parameters: Recipients) -> tag_pb2.Evidence | None:
    """A crowd gets the mail, and whoever sends it had logged in."""
    logged_in = any(extra_flag(event, name) for name in _LOGGED_IN)
    if not logged_in and not extra_text(event, "auth_user"):
        return None
    if event.email.rcpt_count < parameters.min_rcpt:
        return None
    return evidence_of(event, signals=("authenticated",))


@dataclass(frozen=True, slots=True)
class Relays:
    """How many suspicious stations a mail has to have passed.

    Attributes:
        min_relays: At least so many.
    """

    min_relays: int = 2

    def __post_init__(self) -> None:
        """Refuse what every mail has."""
        if self.min_relays < 1:
            raise ValueError("`min_relays` must be 1 or more")


def scanner_relays(event: event_pb2.Event, parameters: Relays) -> tag_pb2.Evidence | None:
    """The sensor found stations of networks that scan among the `Received` headers."""
    count = extra_number(event, "received_scanner_count")
    if count is None or not count >= parameters.min_relays:
        return None
    return evidence_of(event, ("Received",))


@dataclass(frozen=True, slots=True)
class Skew:
    """How far a date has to be off.

    Attributes:
        ahead_s: Seconds into the future.
        behind_s: Seconds into the past.
    """

    ahead_s: float = 86_400.0
    behind_s: float = 366 * 86_400.0

    def __post_init__(self) -> None:
        """Refuse what slow mail and wrong clocks do."""
        if self.ahead_s < 3_600.0 or self.behind_s < 86_400.0:  # noqa: PLR2004 - an hour, a day
            raise ValueError("`ahead_s` must be an hour or more, `behind_s` a day")


def forged_date(event: event_pb2.Event, parameters: Skew) -> tag_pb2.Evidence | None:
    """The mail is dated after its receipt, or long before it."""
    if not event.email.HasField("date_lag_s"):
        return None
    lag_s = event.email.date_lag_s
    if -lag_s >= parameters.ahead_s:
        return evidence_of(event, ("Date", "Received"), signals=("dated_ahead",))
    if lag_s >= parameters.behind_s:
        return evidence_of(event, ("Date", "Received"), signals=("dated_behind",))
    return None


@cache
def _free_mail() -> frozenset[str]:
    text = files("decnet_ttp.tagger").joinpath("data/free_mail_domains.txt").read_text("utf-8")
    return frozenset(line for line in text.splitlines() if line and not line.startswith("#"))


@dataclass(frozen=True, slots=True)
class Answers:
    """Where answers may not go.

    Attributes:
        free_mail_only: Whether only mailboxes count that anybody can have.
    """

    free_mail_only: bool = True


def reply_to_diversion(event: event_pb2.Event, parameters: Answers) -> tag_pb2.Evidence | None:
    """Answers go to another organisation than the mail seems to come from."""
    answers, sender = domain_part(event.email.reply_to_domain), from_domain(event)
    if event.email.mailing_list or not differ(answers, sender):
        return None
    if parameters.free_mail_only and (answers not in _free_mail() or sender in _free_mail()):
        return None
    return evidence_of(event, ("From", "Reply-To"))
