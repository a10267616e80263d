# SPDX-License-Identifier: AGPL-3.0-or-later
"""Which tagger gets a mail: stored messages may lie on the host of the sensor alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar


@dataclass(frozen=True, slots=True)
class MailReach:
    """How a tagger stands to mails.

    Attributes:
        lifters: Those of its lifters that read mails. Taggers with the same are alternatives.
        deckies: Decoys whose stored mails it can read.
        away: Whether it did not answer lately.
    """

    lifters: frozenset[str] = frozenset()
    deckies: frozenset[str] = frozenset()
    away: bool = False

    def rank(self, decky: str) -> tuple[bool, bool]:
        """Return how well it suits a mail to a decoy; less is better."""
        return self.away, decky not in self.deckies


class Taker(Protocol):
    """Whoever may get a mail."""

    @property
    def mail(self) -> MailReach:
        """How it stands to mails."""


T = TypeVar("T", bound=Taker)


def best_of_each(takers: Sequence[T], decky: str) -> list[T]:
    """Return the best of each group of alternatives for a mail to a decoy."""
    best: dict[frozenset[str], T] = {}
    for item in takers:
        other = best.get(item.mail.lifters)
        if other is None or item.mail.rank(decky) < other.mail.rank(decky):
            best[item.mail.lifters] = item
    return list(best.values())
