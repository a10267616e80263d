# SPDX-License-Identifier: AGPL-3.0-or-later
"""Dead letters: what could not be tagged, kept with its original bytes and the reason."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum

from nats.js.api import Header

from decnet_ttp.ingest.delivery import Delivery
from decnet_ttp.runtime.bus import Bus

#: Headers of a dead letter beside those of the delivery.
REASON = "Decnet-Reason"
DETAIL = "Decnet-Detail"
LAST_ATTEMPT = "Decnet-Last-Attempt"
#: Original size in bytes, where the letter holds the beginning only.
CUT_FROM = "Decnet-Cut-From"

_PUBLISH_TIMEOUT_S = 10.0
#: What the headers of a letter take at most, in bytes.
_HEADROOM = 16 * 1024


class Reason(StrEnum):
    """Why a message became a dead letter."""

    UNDECODABLE = "UNDECODABLE"
    NO_ANCHOR = "NO_ANCHOR"
    NEVER_APPEARED = "NEVER_APPEARED"
    REFUSED = "REFUSED"
    RETRIES_USED_UP = "RETRIES_USED_UP"
    OVERSIZE = "OVERSIZE"


async def bury(bus: Bus, delivery: Delivery, reason: Reason, detail: str) -> None:
    """Store a message as a dead letter; the caller acknowledges it afterwards.

    The deduplication id is the delivery's place in its stream, so that a crash between the two
    leaves one letter, and a letter that was replayed and failed again is kept again. A message so
    large that it leaves no room for the headers is cut; all of it stays in the input stream.

    Raises:
        nats.errors.Error: The letter was not stored.
    """
    headers = {
        **delivery.headers(),
        Header.MSG_ID: delivery.round,
        REASON: reason.value,
        DETAIL: detail.replace("\n", " ").replace("\r", " ")[:500],
        LAST_ATTEMPT: datetime.now(UTC).isoformat(),
    }
    content = delivery.message.data
    room = bus.nc.max_payload - _HEADROOM
    if len(content) > room:
        headers[CUT_FROM] = str(len(content))
        content = content[:room]
    await bus.js.publish(
        f"dlq.ttp.{reason.value.lower()}",
        content,
        headers=headers,
        timeout=_PUBLISH_TIMEOUT_S,
    )
