# SPDX-License-Identifier: AGPL-3.0-or-later
"""IngestService: events by call, and the state of ingest."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc

from decnet_ttp.ingest.backfill import Backfill
from decnet_ttp.ingest.consumer import Counters
from decnet_ttp.ingest.dead_letter_box import DeadLetterBox
from decnet_ttp.ingest.dispatch import Dispatcher
from decnet_ttp.ingest.lag import read_lag
from decnet_ttp.ingest.submission import Submission
from decnet_ttp.runtime.bus import Bus
from decnet_ttp.v1 import ingest_service_pb2, ingest_service_pb2_grpc

Context = grpc.aio.ServicerContext[Any, Any]


class IngestServicer(ingest_service_pb2_grpc.IngestServiceServicer):
    """Answers IngestService; a method that is not here is not offered by this release.

    Args:
        bus: Connection to NATS.
        durable: Name of the consumer whose lag is told.
        counters: What this process did.
        dispatcher: The taggers.
        submission: Takes events by call.
        letters: The dead letters.
        backfill: Tags history again.
    """

    def __init__(
        self,
        *,
        bus: Bus,
        durable: str,
        counters: Counters,
        dispatcher: Dispatcher,
        submission: Submission,
        letters: DeadLetterBox,
        backfill: Backfill,
    ) -> None:
        self._bus = bus
        self._durable = durable
        self._counters = counters
        self._dispatcher = dispatcher
        self._submission = submission
        self._letters = letters
        self._backfill = backfill

    async def SubmitEvents(
        self, request: ingest_service_pb2.SubmitEventsRequest, context: Context
    ) -> ingest_service_pb2.SubmitEventsResponse:
        """Take a batch of events as if it had come from the bus."""
        return await self._submission.submit(request)

    async def SubmitEventStream(
        self,
        requests: AsyncIterator[ingest_service_pb2.SubmitEventStreamRequest],
        context: Context,
    ) -> AsyncIterator[ingest_service_pb2.SubmitEventStreamResponse]:
        """Take batches one after the other, and answer each when it is stored."""
        async for request in requests:
            batch = ingest_service_pb2.SubmitEventsRequest(groups=request.groups)
            answer = await self._submission.submit(batch)
            yield ingest_service_pb2.SubmitEventStreamResponse(results=answer.results)

    async def ListDeadLetters(
        self, request: ingest_service_pb2.ListDeadLettersRequest, context: Context
    ) -> ingest_service_pb2.ListDeadLettersResponse:
        """List dead letters, newest first."""
        return await self._letters.page(request)

    async def GetDeadLetter(
        self, request: ingest_service_pb2.GetDeadLetterRequest, context: Context
    ) -> ingest_service_pb2.GetDeadLetterResponse:
        """Return one dead letter with its bytes."""
        letter = await self._letters.get(request.sequence)
        return ingest_service_pb2.GetDeadLetterResponse(dead_letter=letter)

    async def ReplayDeadLetters(
        self, request: ingest_service_pb2.ReplayDeadLettersRequest, context: Context
    ) -> ingest_service_pb2.ReplayDeadLettersResponse:
        """Send dead letters through ingest again."""
        count = await self._letters.replay(request)
        return ingest_service_pb2.ReplayDeadLettersResponse(replayed_count=count)

    async def DropDeadLetters(
        self, request: ingest_service_pb2.DropDeadLettersRequest, context: Context
    ) -> ingest_service_pb2.DropDeadLettersResponse:
        """Remove dead letters for good."""
        count = await self._letters.drop(request.sequences)
        return ingest_service_pb2.DropDeadLettersResponse(dropped_count=count)

    async def RunBackfill(
        self, request: ingest_service_pb2.RunBackfillRequest, context: Context
    ) -> AsyncIterator[ingest_service_pb2.RunBackfillResponse]:
        """Tag history again, and stream the progress."""
        async for progress in self._backfill.run(request):
            yield progress

    async def GetIngestStatus(
        self, request: ingest_service_pb2.GetIngestStatusRequest, context: Context
    ) -> ingest_service_pb2.GetIngestStatusResponse:
        """Tell lag, counters and taggers."""
        lag = await read_lag(self._bus, self._durable)
        counters = self._counters
        answer = ingest_service_pb2.GetIngestStatusResponse(
            pending_count=lag.pending,
            unacknowledged_count=lag.unacknowledged,
            handled_count=counters.handled,
            dead_letter_count=counters.dead_letters,
            parked_count=lag.parked,
        )
        if lag.oldest is not None:
            answer.oldest_pending_time.FromDatetime(lag.oldest)
        if counters.last_handled_s:
            answer.last_handled_time.FromMilliseconds(int(counters.last_handled_s * 1_000))
        for tagger in self._dispatcher.taggers:
            answer.taggers.add(
                target=tagger.target,
                reachable=tagger.reachable,
                source_kinds=sorted(tagger.kinds or ()),
            )
        return answer
