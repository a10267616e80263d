# SPDX-License-Identifier: AGPL-3.0-or-later
"""What came in over the bus, read again: messages of the input stream from a moment up to now."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from datetime import datetime
from typing import TYPE_CHECKING, Final

import click
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from decnet_ttp.cli.tail import Tail
from decnet_ttp.ingest.inputs.catalogue import input_for
from decnet_ttp.runtime.bus import Envelope, EnvelopeError
from decnet_ttp.runtime.streams import EVENTS_STREAM

if TYPE_CHECKING:
    from decnet_ttp.runtime.bus import Bus

_EVERYTHING: Final = ">"

# The server removes a consumer that nobody asks by then.
_INACTIVE_S: Final = 5.0


async def history(bus: Bus, *, since: datetime) -> AsyncGenerator[Envelope, None]:
    """Yield the messages since a moment, in order, and end with the last of now.

    What is no envelope, or not for ingest, is passed over. Nothing is acknowledged, so no service
    notices.

    Raises:
        nats.js.errors.NotFoundError: There is no stream of events.
        nats.errors.Error: NATS is away.
    """
    left = await _pending(bus, since)
    if not left:
        return
    tail = Tail(bus, stream=EVENTS_STREAM, subject=_EVERYTHING, report=_report)
    await tail.open(since)
    async with aclosing(aiter(tail)) as messages:
        async for message in messages:
            left -= 1
            if input_for(message.subject) is not None:
                with suppress(EnvelopeError):
                    yield Envelope.decode(message.data, subject=message.subject)
            if left <= 0 or not message.metadata.num_pending:
                return


async def _pending(bus: Bus, since: datetime) -> int:
    """Return how many messages there are now."""
    config = ConsumerConfig(
        filter_subject=_EVERYTHING,
        ack_policy=AckPolicy.NONE,
        deliver_policy=DeliverPolicy.BY_START_TIME,
        opt_start_time=since,
        inactive_threshold=_INACTIVE_S,
        mem_storage=True,
        num_replicas=1,
    )
    info = await bus.js.add_consumer(EVENTS_STREAM, config)
    await bus.js.delete_consumer(EVENTS_STREAM, info.name)
    return info.num_pending or 0


def _report(text: str) -> None:
    click.echo(text, err=True)
