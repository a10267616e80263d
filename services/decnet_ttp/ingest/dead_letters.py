# SPDX-License-Identifier: AGPL-3.0-or-later
"""Dead letters: what could not be tagged, kept with its original bytes and the reason."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum

from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import Header

#: Headers of a dead letter.
REASON = "Decnet-Reason"
DETAIL = "Decnet-Detail"
ORIGIN_SUBJECT = "Decnet-Origin-Subject"
ORIGIN_SEQUENCE = "Decnet-Origin-Sequence"
FIRST_ATTEMPT = "Decnet-First-Attempt"
LAST_ATTEMPT = "Decnet-Last-Attempt"
ATTEMPTS = "Decnet-Attempts"

_PUBLISH_TIMEOUT_S = 10.0


class Reason(StrEnum):
    """Why a message became a dead letter."""

    UNDECODABLE = "UNDECODABLE"
    NO_ANCHOR = "NO_ANCHOR"
    REFUSED = "REFUSED"
    RETRIES_USED_UP = "RETRIES_USED_UP"


async def bury(js: JetStreamContext, message: Msg, reason: Reason, detail: str) -> None:
    """Store a message as a dead letter; the caller acknowledges it afterwards.

    The deduplication id is the message's place in its stream, so that a crash between the two
    leaves one letter.

    Raises:
        nats.errors.Error: The letter was not stored.
    """
    metadata = message.metadata
    now = datetime.now(UTC).isoformat()
    headers = {
        Header.MSG_ID: f"{metadata.stream}:{metadata.sequence.stream}",
        REASON: reason.value,
        DETAIL: detail.replace("\n", " ").replace("\r", " ")[:500],
        ORIGIN_SUBJECT: message.subject,
        ORIGIN_SEQUENCE: str(metadata.sequence.stream),
        FIRST_ATTEMPT: metadata.timestamp.astimezone(UTC).isoformat(),
        LAST_ATTEMPT: now,
        ATTEMPTS: str(metadata.num_delivered),
    }
    await js.publish(
        f"dlq.ttp.{reason.value.lower()}",
        message.data,
        headers=headers,
        timeout=_PUBLISH_TIMEOUT_S,
    )
