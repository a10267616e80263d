# SPDX-License-Identifier: AGPL-3.0-or-later
"""IngestService: events by call, and the state of ingest."""

from __future__ import annotations

from typing import Any

import grpc
import nats.errors

from decnet_ttp.core.errors import UnavailableError
from decnet_ttp.ingest.consumer import Consumer
from decnet_ttp.ingest.dispatch import Dispatcher
from decnet_ttp.ingest.submission import Submission
from decnet_ttp.runtime.bus import EVENTS_STREAM, Bus
from decnet_ttp.v1 import ingest_service_pb2, ingest_service_pb2_grpc

Context = grpc.aio.ServicerContext[Any, Any]


class IngestServicer(ingest_service_pb2_grpc.IngestServiceServicer):
    """Answers IngestService; a method that is not here is not offered by this release.

    Args:
        bus: Connection to NATS.
        durable: Name of the consumer whose lag is told.
        consumer: The consuming loop.
        dispatcher: The taggers.
        submission: Takes events by call.
    """

    def __init__(
        self,
        *,
        bus: Bus,
        durable: str,
        consumer: Consumer,
        dispatcher: Dispatcher,
        submission: Submission,
    ) -> None:
        self._bus = bus
        self._durable = durable
        self._consumer = consumer
        self._dispatcher = dispatcher
        self._submission = submission

    async def SubmitEvents(
        self, request: ingest_service_pb2.SubmitEventsRequest, context: Context
    ) -> ingest_service_pb2.SubmitEventsResponse:
        """Take a batch of events as if it had come from the bus."""
        return await self._submission.submit(request)

    async def GetIngestStatus(
        self, request: ingest_service_pb2.GetIngestStatusRequest, context: Context
    ) -> ingest_service_pb2.GetIngestStatusResponse:
        """Tell lag, counters and taggers."""
        try:
            info = await self._bus.js.consumer_info(EVENTS_STREAM, self._durable)
        except (nats.errors.Error, TimeoutError) as error:
            raise UnavailableError("the bus is away; try again") from error
        counters = self._consumer.counters
        answer = ingest_service_pb2.GetIngestStatusResponse(
            pending_count=info.num_pending or 0,
            unacknowledged_count=info.num_ack_pending or 0,
            handled_count=counters.handled,
            dead_letter_count=counters.dead_letters,
        )
        if counters.last_handled_s:
            answer.last_handled_time.FromMilliseconds(int(counters.last_handled_s * 1_000))
        for tagger in self._dispatcher.taggers:
            answer.taggers.add(
                target=tagger.target,
                reachable=tagger.reachable,
                source_kinds=sorted(tagger.kinds or ()),
            )
        return answer
