# SPDX-License-Identifier: AGPL-3.0-or-later
"""Parameters of the behavioral predicates; each refuses values that would always hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

#: Classes that sensors put a session in.
CLASSES: Final = ("brute_force", "scanning", "beaconing")
#: Tools that sensors guess, or that name themselves.
TOOLS: Final = ("hydra", "nmap", "sqlmap")


def _at_least(name: str, value: float, least: float) -> None:
    if value < least:
        raise ValueError(f"`{name}` is {value:g}; give it at least {least:g}")


@dataclass(frozen=True, slots=True)
class Beacon:
    """Parameters of `behavioral_beaconing`.

    Attributes:
        min_interval_s: Shortest mean distance in seconds; what is faster is a loop.
        max_jitter_pct: Largest deviation as a share of the distance, 0 to 1.
    """

    min_interval_s: float = 10.0
    max_jitter_pct: float = 0.15

    def __post_init__(self) -> None:
        """Refuse distances and jitters that say nothing."""
        _at_least("min_interval_s", self.min_interval_s, 1)
        if not 0 < self.max_jitter_pct <= 1:
            raise ValueError(f"`max_jitter_pct` is {self.max_jitter_pct:g}; give it 0 to 1")


@dataclass(frozen=True, slots=True)
class Note:
    """Parameters of `behavioral_ransom_note`.

    Attributes:
        keywords: Words of which one must stand in the note, in lower case.
    """

    keywords: tuple[str, ...] = ("bitcoin", "btc", "monero", "xmr", "ransom", "decrypt")

    def __post_init__(self) -> None:
        """Refuse words that never or always match."""
        if not self.keywords or not all(word and word == word.lower() for word in self.keywords):
            raise ValueError("`keywords` must be words in lower case; give one at least")


@dataclass(frozen=True, slots=True)
class Outflow:
    """Parameters of `behavioral_exfil_over_web`.

    Attributes:
        min_bytes: Bytes sent out from which it is exfiltration.
        min_requests: Requests from which it may be.
        requests_factor: What the confidence is multiplied by when only the requests tell.
    """

    min_bytes: int = 1_048_576
    min_requests: int = 50
    requests_factor: float = 0.6

    def __post_init__(self) -> None:
        """Refuse thresholds that every session passes."""
        _at_least("min_bytes", self.min_bytes, 1)
        _at_least("min_requests", self.min_requests, 1)
        if not 0 < self.requests_factor <= 1:
            raise ValueError(f"`requests_factor` is {self.requests_factor:g}; give it 0 to 1")


@dataclass(frozen=True, slots=True)
class Reading:
    """Parameters of `behavioral_db_mass_read`.

    Attributes:
        min_rows: Rows from which it is a mass read.
        min_bytes: Bytes from which it is.
    """

    min_rows: int = 10_000
    min_bytes: int = 5_242_880

    def __post_init__(self) -> None:
        """Refuse thresholds that every session passes."""
        _at_least("min_rows", self.min_rows, 1)
        _at_least("min_bytes", self.min_bytes, 1)


@dataclass(frozen=True, slots=True)
class Count:
    """Parameters of `behavioral_llmnr_poisoning`.

    Attributes:
        min_count: Forged answers from which it is poisoning.
    """

    min_count: int = 1

    def __post_init__(self) -> None:
        """Refuse a count that every session passes."""
        _at_least("min_count", self.min_count, 1)


@dataclass(frozen=True, slots=True)
class AttemptClass:
    """Parameters of `behavioral_class`.

    Attributes:
        behavior: A name from `CLASSES`.
        min_attempts: Log-in attempts of one session that show it without a sensor; 0 for none.
    """

    behavior: str
    min_attempts: int = 0

    def __post_init__(self) -> None:
        """Refuse classes that no sensor sends."""
        if self.behavior not in CLASSES:
            raise ValueError(f"unknown `behavior`; allowed: {', '.join(CLASSES)}")
        _at_least("min_attempts", self.min_attempts, 0)


@dataclass(frozen=True, slots=True)
class Tool:
    """Parameters of `behavioral_tool_guess`.

    Attributes:
        tool: A name from `TOOLS`.
    """

    tool: str

    def __post_init__(self) -> None:
        """Refuse tools that nobody guesses."""
        if self.tool not in TOOLS:
            raise ValueError(f"unknown `tool`; allowed: {', '.join(TOOLS)}")
