# SPDX-License-Identifier: AGPL-3.0-or-later
"""One message in the hands of ingest, wherever it waited before."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from decnet_ttp.runtime.streams import EVENTS_STREAM

if TYPE_CHECKING:
    from nats.aio.msg import Msg

#: Headers that a message keeps while it waits or lies among the dead letters.
ORIGIN_SUBJECT = "Decnet-Origin-Subject"
ORIGIN_SEQUENCE = "Decnet-Origin-Sequence"
FIRST_ATTEMPT = "Decnet-First-Attempt"
ATTEMPTS = "Decnet-Attempts"
#: How often it has waited.
WAITS = "Decnet-Waits"


class HeaderError(ValueError):
    """A message that waited has not the headers it was given."""


@dataclass(slots=True)
class Delivery:
    """A message as it was delivered, and what happened to it before.

    Attributes:
        message: The message.
        subject: Subject it first came on.
        sequence: Its place in the input stream.
        first_attempt: When ingest first had it.
        earlier_attempts: Deliveries before it waited the last time.
        waits: How often it has waited.
    """

    message: Msg
    subject: str
    sequence: int
    first_attempt: datetime
    earlier_attempts: int = 0
    waits: int = 0

    @classmethod
    def fresh(cls, message: Msg) -> Delivery:
        """Read a message of the input stream, whose headers anybody may have set."""
        metadata = message.metadata
        return cls(
            message, message.subject, metadata.sequence.stream, metadata.timestamp.astimezone(UTC)
        )

    @classmethod
    def returned(cls, message: Msg) -> Delivery:
        """Read a message that comes back from waiting, with headers of our own.

        Raises:
            HeaderError: One is missing or malformed.
        """
        headers = message.headers or {}
        try:
            return cls(
                message,
                headers[ORIGIN_SUBJECT],
                int(headers[ORIGIN_SEQUENCE]),
                datetime.fromisoformat(headers[FIRST_ATTEMPT]).astimezone(UTC),
                int(headers.get(ATTEMPTS, "0")),
                int(headers.get(WAITS, "0")),
            )
        except (KeyError, ValueError) as error:
            raise HeaderError("a header of the wait is missing or malformed") from error

    @property
    def attempts(self) -> int:
        """Deliveries so far."""
        return self.earlier_attempts + int(self.message.metadata.num_delivered)

    @property
    def place(self) -> str:
        """Where it stands in the input stream."""
        return f"{EVENTS_STREAM}:{self.sequence}"

    @property
    def round(self) -> str:
        """What tells this delivery from those before and after a wait."""
        metadata = self.message.metadata
        return f"{metadata.stream}:{metadata.sequence.stream}"

    def headers(self) -> dict[str, str]:
        """Return what has to be known when it comes back."""
        return {
            ORIGIN_SUBJECT: self.subject,
            ORIGIN_SEQUENCE: str(self.sequence),
            FIRST_ATTEMPT: self.first_attempt.isoformat(),
            ATTEMPTS: str(self.attempts),
        }
