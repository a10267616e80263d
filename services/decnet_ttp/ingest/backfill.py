# SPDX-License-Identifier: AGPL-3.0-or-later
"""Backfill: the kept input stream again, with the rules of today, in silence."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC
from typing import TYPE_CHECKING, Any

import nats.errors
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from nats.js.errors import Error as JetStreamError

from decnet_ttp.core.errors import DecnetError, InvalidArgumentError, UnavailableError
from decnet_ttp.ingest.batch import Upstream
from decnet_ttp.ingest.consumer import origin_of
from decnet_ttp.ingest.inputs.catalogue import SUBJECTS, input_for
from decnet_ttp.ingest.pipeline import Outcome, Pipeline
from decnet_ttp.ingest.supersession import Supersession
from decnet_ttp.runtime.bus import Bus, Envelope, EnvelopeError
from decnet_ttp.runtime.streams import EVENTS_STREAM
from decnet_ttp.v1 import ingest_service_pb2 as pb

if TYPE_CHECKING:
    from nats.aio.msg import Msg

#: Subjects of each source.
SOURCES: dict[str, Sequence[str]] = {
    "command": ("attacker.session.ended",),
    "canary": ("canary.*.triggered",),
    "email": ("email.received",),
    "all": SUBJECTS,
}

_BATCH = 500
_MAX_BATCH = 10_000
_FETCH_WAIT_S = 2.0
#: The server forgets the reading place of a run that broke off after this time, in seconds.
_FORGET_S = 60.0
#: How long a stage that is away is waited for, in seconds, at once and in all.
_ATTEMPTS_S = 10.0
_TRIES = 6


@dataclass(slots=True)
class _Run:
    """One run: its bounds, and how far it is."""

    request: pb.RunBackfillRequest
    batch: int
    end: int
    progress: pb.RunBackfillResponse = field(default_factory=pb.RunBackfillResponse)

    @property
    def looks_only(self) -> bool:
        """Whether superseded tags are looked for and left as they are."""
        return self.request.superseded and not self.request.retire


class Backfill:
    """Tags history again.

    Args:
        bus: Connection to NATS.
        pipeline: What messages go through, as those that are new.
        supersession: Judges stored tags by what their events give now.
    """

    def __init__(self, bus: Bus, pipeline: Pipeline, supersession: Supersession) -> None:
        self._bus = bus
        self._pipeline = pipeline
        self._supersession = supersession

    async def run(self, request: pb.RunBackfillRequest) -> AsyncIterator[pb.RunBackfillResponse]:
        """Read the history of a source, and yield the progress after each batch.

        It ends with what was on the bus when it began; what came in since is tagged as ever.

        Raises:
            InvalidArgumentError: A field cannot be.
            UnavailableError: The bus or a stage stayed away; last_sequence is where to go on.
        """
        batch = _check(request)
        if request.superseded:
            await self._supersession.find(request)
        try:
            state = (await self._bus.js.stream_info(EVENTS_STREAM)).state
            info = await self._bus.js.add_consumer(EVENTS_STREAM, _reading(request))
            feed = await self._bus.js.pull_subscribe_bind(info.name, stream=EVENTS_STREAM)
        except (nats.errors.Error, JetStreamError, TimeoutError, OSError) as error:
            raise UnavailableError("the bus is away; try again") from error
        run = _Run(request, batch, state.last_seq)
        run.progress.total_count = info.num_pending or 0
        run.progress.last_sequence = request.after_sequence
        try:
            async for progress in self._read(run, feed):
                yield progress
        finally:
            if self._bus.nc.is_connected:
                await feed.unsubscribe()

    async def _read(self, run: _Run, feed: Any) -> AsyncIterator[pb.RunBackfillResponse]:
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        left = run.progress.total_count
        while left > 0:
            try:
                messages: list[Msg] = await feed.fetch(min(run.batch, left), timeout=_FETCH_WAIT_S)
            except TimeoutError:
                # Retention has taken what was counted, or the end was counted too high.
                if await self._nothing_left(feed):
                    break
                continue
            except (nats.errors.Error, JetStreamError, OSError) as error:
                raise UnavailableError("the bus went away; go on after last_sequence") from error
            left -= len(messages)
            await self._handle(run, messages)
            yield run.progress
            del run.progress.superseded[:]
            if run.request.max_rate > 0:
                due_s = began_s + run.progress.read_count / run.request.max_rate
                await asyncio.sleep(max(0.0, due_s - loop.time()))
        if run.request.superseded:
            await self._supersession.finish(run.request)
        run.progress.done = True
        run.progress.last_sequence = max(run.progress.last_sequence, run.end)
        yield run.progress

    async def _nothing_left(self, feed: Any) -> bool:
        try:
            info = await feed.consumer_info()
        except (nats.errors.Error, JetStreamError, TimeoutError, OSError) as error:
            raise UnavailableError("the bus went away; go on after last_sequence") from error
        return not info.num_pending

    async def _handle(self, run: _Run, messages: Sequence[Msg]) -> None:
        progress = run.progress
        upstreams: dict[str, Upstream] = {}
        for message in messages:
            upstream = _read(message)
            if upstream is None:
                progress.skipped_count += 1
            else:
                upstreams[upstream.origin_id] = upstream
        if upstreams:
            await self._process(run, list(upstreams.values()))
        progress.read_count += len(messages)
        progress.last_sequence = messages[-1].metadata.sequence.stream

    async def _process(self, run: _Run, upstreams: Sequence[Upstream]) -> None:
        try:
            outcome = await self._tagged(run, upstreams)
        except UnavailableError:
            raise
        except DecnetError:
            # One message that is refused costs only itself, as when it came in.
            if len(upstreams) == 1:
                run.progress.skipped_count += 1
                return
            middle = len(upstreams) // 2
            await self._process(run, upstreams[:middle])
            await self._process(run, upstreams[middle:])
            return
        progress = run.progress
        if outcome.seen is not None:
            await self._supersession.judge(run.request, outcome.seen, progress)
        progress.skipped_count += len(outcome.unanchored)
        progress.event_count += outcome.tagged_events
        progress.inserted_count += outcome.inserted
        progress.known_count += outcome.known

    async def _tagged(self, run: _Run, upstreams: Sequence[Upstream]) -> Outcome:
        """Return what a batch gave once every tagger has seen it."""
        inserted = 0
        for _ in range(_TRIES):
            outcome = await self._pipeline.process(
                upstreams,
                attempts_s=_ATTEMPTS_S,
                silent=True,
                # Looking for what is superseded stores nothing by itself.
                dry_run=run.request.dry_run or run.looks_only,
                keep_seen=run.request.superseded,
            )
            if not outcome.delayed:
                outcome.known -= inserted
                outcome.inserted += inserted
                return outcome
            inserted += outcome.inserted
            await asyncio.sleep(1.0)
        raise UnavailableError("a tagger is away; go on after last_sequence")


def _check(request: pb.RunBackfillRequest) -> int:
    if not request.HasField("start_time"):
        raise InvalidArgumentError("start_time is absent; say from when", field="start_time")
    if request.source not in SOURCES:
        raise InvalidArgumentError(f"source is none of {', '.join(SOURCES)}", field="source")
    if not 0 <= request.batch_size <= _MAX_BATCH:
        raise InvalidArgumentError(
            f"batch_size is {request.batch_size}; use 1 to {_MAX_BATCH}", field="batch_size"
        )
    if request.after_sequence < 0:
        raise InvalidArgumentError("after_sequence is negative", field="after_sequence")
    if not request.max_rate >= 0:
        raise InvalidArgumentError("max_rate is negative; use 0 for no bound", field="max_rate")
    if request.retire and not request.superseded:
        raise InvalidArgumentError("retire needs superseded; set both", field="retire")
    return request.batch_size or _BATCH


def _reading(request: pb.RunBackfillRequest) -> ConsumerConfig:
    config = ConsumerConfig(
        ack_policy=AckPolicy.NONE,
        filter_subjects=list(SOURCES[request.source]),
        inactive_threshold=_FORGET_S,
        mem_storage=True,
    )
    if request.after_sequence:
        return config.evolve(
            deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
            opt_start_seq=request.after_sequence + 1,
        )
    return config.evolve(
        deliver_policy=DeliverPolicy.BY_START_TIME,
        opt_start_time=request.start_time.ToDatetime(tzinfo=UTC),
    )


def _read(message: Msg) -> Upstream | None:
    """Return a message as it was read when it came in; None for what became a dead letter."""
    try:
        envelope = Envelope.decode(message.data, subject=message.subject)
    except EnvelopeError:
        return None
    source = input_for(envelope.topic)
    if source is None:
        return None
    upstream = Upstream(
        origin_id=origin_of(envelope, f"{EVENTS_STREAM}:{message.metadata.sequence.stream}"),
        topic=envelope.topic,
        payload=envelope.payload,
        size_bytes=len(message.data),
        kind=envelope.type,
        source=source,
        sent_s=envelope.ts,
    )
    return upstream if source.read_anchor(upstream) else None
