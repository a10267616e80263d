# SPDX-License-Identifier: AGPL-3.0-or-later
"""Which messages a stream holds already, for what may have been published before a crash."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy, Header

#: How far the clocks of PostgreSQL and NATS may be apart, in seconds.
CLOCK_MARGIN_S = 60.0

_FETCH = 1_000
_FETCH_TIMEOUT_S = 5.0
_INACTIVE_S = 30.0


async def published_ids(
    js: JetStreamContext, *, stream: str, subject: str, since_s: float
) -> frozenset[str]:
    """Return the Nats-Msg-Id of every message that was published of late; only headers travel.

    Args:
        js: JetStream.
        stream: Name of the stream.
        subject: Filter of subjects.
        since_s: How far back to look, in seconds before now.

    Raises:
        nats.errors.Error: NATS is away.
        TimeoutError: NATS did not answer in time.
    """
    start = datetime.now(UTC) - timedelta(seconds=since_s + CLOCK_MARGIN_S)
    subscription = await js.pull_subscribe(
        subject,
        stream=stream,
        config=ConsumerConfig(
            deliver_policy=DeliverPolicy.BY_START_TIME,
            opt_start_time=start.isoformat().replace("+00:00", "Z"),  # type: ignore[arg-type]  # sent as it is
            ack_policy=AckPolicy.NONE,
            headers_only=True,
            inactive_threshold=_INACTIVE_S,
            mem_storage=True,
        ),
    )
    found: set[str] = set()
    try:
        left = (await subscription.consumer_info()).num_pending or 0
        while left > 0:
            messages = await subscription.fetch(min(left, _FETCH), timeout=_FETCH_TIMEOUT_S)
            idents = ((message.headers or {}).get(Header.MSG_ID) for message in messages)
            found.update(ident for ident in idents if ident)
            left -= len(messages)
    finally:
        await subscription.unsubscribe()
    return frozenset(found)
