# SPDX-License-Identifier: AGPL-3.0-or-later
"""Observations that cannot be used, kept on the dead-letter stream with the reason."""

from __future__ import annotations

from datetime import UTC, datetime

from nats.js import JetStreamContext
from nats.js.api import Header

from decnet_ttp.attribution.observations import to_datetime
from decnet_ttp.runtime.streams import EVENTS_STREAM

_TIMEOUT_S = 10.0


async def bury(
    js: JetStreamContext,
    body: bytes,
    *,
    subject: str,
    sequence: int,
    published: int,
    attempts: int,
    reason: str,
    detail: str,
) -> None:
    """Store a dead letter; the caller acknowledges the message afterwards.

    Its deduplication id is its place in the input stream, so that a crash between the two leaves
    one letter.

    Raises:
        nats.errors.Error: It was not stored.
    """
    await js.publish(
        f"dlq.ttp.{reason.lower()}",
        body,
        headers={
            Header.MSG_ID: f"{EVENTS_STREAM}:{sequence}",
            "Decnet-Reason": reason.upper(),
            "Decnet-Detail": detail,
            "Decnet-Origin-Subject": subject,
            "Decnet-Origin-Sequence": str(sequence),
            "Decnet-First-Attempt": to_datetime(published).isoformat(),
            "Decnet-Last-Attempt": datetime.now(UTC).isoformat(),
            "Decnet-Attempts": str(attempts),
        },
        timeout=_TIMEOUT_S,
    )
