# SPDX-License-Identifier: AGPL-3.0-or-later
"""Which announcements stand in the stream already, for rows older than the duplicate window."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy, Header

from decnet_ttp.runtime.bus import TTP_STREAM

#: How far the clocks of PostgreSQL and NATS may be apart, in seconds.
_CLOCK_MARGIN_S = 60.0
_FETCH = 1_000
_FETCH_TIMEOUT_S = 5.0


async def published_ids(js: JetStreamContext, *, since_s: float) -> frozenset[str]:
    """Return the Nats-Msg-Id of every message that was published of late; only headers travel.

    Args:
        js: JetStream.
        since_s: How far back to look, in seconds before now.

    Raises:
        nats.errors.Error, TimeoutError: NATS did not answer.
    """
    start = datetime.now(UTC) - timedelta(seconds=since_s + _CLOCK_MARGIN_S)
    found: set[str] = set()
    subscription = await js.pull_subscribe(
        "ttp.>",
        stream=TTP_STREAM,
        config=ConsumerConfig(
            deliver_policy=DeliverPolicy.BY_START_TIME,
            opt_start_time=start.isoformat().replace("+00:00", "Z"),  # type: ignore[arg-type]  # sent as it is
            ack_policy=AckPolicy.NONE,
            headers_only=True,
            inactive_threshold=30.0,
            mem_storage=True,
        ),
    )
    try:
        left = (await subscription.consumer_info()).num_pending or 0
        while left > 0:
            messages = await subscription.fetch(min(left, _FETCH), timeout=_FETCH_TIMEOUT_S)
            for message in messages:
                ident = (message.headers or {}).get(Header.MSG_ID)
                if ident:
                    found.add(ident)
            left -= len(messages)
    finally:
        await subscription.unsubscribe()
    return frozenset(found)
