# SPDX-License-Identifier: AGPL-3.0-or-later
"""Events by call: the same taggers and the same store as for events from the bus."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence

from decnet_ttp.core.addresses import canonical_ip
from decnet_ttp.core.errors import InvalidArgumentError
from decnet_ttp.ingest.batch import Upstream, sink_of
from decnet_ttp.ingest.directory import Directory
from decnet_ttp.ingest.directory_update import DirectoryUpdate
from decnet_ttp.ingest.dispatch import Dispatcher
from decnet_ttp.ingest.storing import insert_requests
from decnet_ttp.ingest.submitted import group_payload, tell_group
from decnet_ttp.runtime.clients import call
from decnet_ttp.v1 import event_pb2, ingest_service_pb2, tag_store_service_pb2_grpc

#: Events of one call (the bound of SubmitEvents).
MAX_EVENTS = 10_000
#: Batches worked on at once, over all callers: what bounds the memory that they take here.
BATCHES_AT_ONCE = 4
_ATTEMPTS_S = 10.0
_INSERT_TIMEOUT_S = 60.0


class Submission:
    """Has submitted events anchored, tagged and stored, and the directory told of them.

    A few batches are worked on at once, the others wait for their turn. A stream's next batch is
    not read before the one at hand is stored, so a slow stage slows its callers and fills nothing.

    Args:
        directory: Resolves addresses.
        dispatcher: The taggers.
        tag_store: The tag-store.
    """

    def __init__(
        self,
        *,
        directory: Directory,
        dispatcher: Dispatcher,
        tag_store: tag_store_service_pb2_grpc.TagStoreServiceStub,
    ) -> None:
        self._directory = directory
        self._dispatcher = dispatcher
        self._tag_store = tag_store
        self._turns = asyncio.Semaphore(BATCHES_AT_ONCE)

    async def submit(
        self, request: ingest_service_pb2.SubmitEventsRequest
    ) -> ingest_service_pb2.SubmitEventsResponse:
        """Take the groups; each gets a result, and one that cannot be used costs only itself.

        Raises:
            InvalidArgumentError: There are too many events, or an origin is named twice.
            DecnetError: A stage behind stayed away or refused.
        """
        _check(request)
        async with self._turns:
            return await self._submit(request)

    async def _submit(
        self, request: ingest_service_pb2.SubmitEventsRequest
    ) -> ingest_service_pb2.SubmitEventsResponse:
        upstreams = [_upstream(group) for group in request.groups]
        await self._directory.resolve(upstreams, attempts_s=_ATTEMPTS_S)
        errors: dict[str, str] = {}
        told: list[tuple[Upstream, event_pb2.EventGroup]] = []
        requests = self._dispatcher.requests()
        sink = sink_of(requests)
        for group, upstream in zip(request.groups, upstreams, strict=True):
            problem = _problem(group, upstream)
            if problem:
                errors[group.origin_id] = problem
                continue
            told.append((upstream, group))
            for item in requests:
                item.begin(upstream)
            for event in group.events:
                for copy in sink(event.source_kind):
                    copy.CopyFrom(event)
        tagged = await self._dispatcher.tag(
            requests,
            lambda: {item.origin_id for item in upstreams} - errors.keys(),
            attempts_s=_ATTEMPTS_S,
        )
        for origin in tagged.delayed:
            errors.setdefault(origin, "a tagger is away; what is missing is added by a retry")
        inserted: Counter[str] = Counter()
        known: Counter[str] = Counter()
        for insert in insert_requests(tagged.groups, count_origins=True):
            answer = await call(
                self._tag_store.InsertTags,
                insert,
                timeout_s=_INSERT_TIMEOUT_S,
                attempts_s=_ATTEMPTS_S,
            )
            for counts in answer.origins:
                inserted[counts.origin_id] += counts.inserted_count
                known[counts.origin_id] += counts.known_count
        await self._tell(told, errors)
        response = ingest_service_pb2.SubmitEventsResponse()
        for group in request.groups:
            response.results.add(
                origin_id=group.origin_id,
                inserted_count=inserted[group.origin_id],
                known_count=known[group.origin_id],
                error=errors.get(group.origin_id, ""),
            )
        return response

    async def _tell(
        self,
        told: Sequence[tuple[Upstream, event_pb2.EventGroup]],
        errors: dict[str, str],
    ) -> None:
        """Tell the directory what the groups say; one that it refuses costs only itself."""
        try:
            await self._update(told)
        except InvalidArgumentError:
            for pair in told:
                try:
                    await self._update([pair])
                except InvalidArgumentError as error:
                    errors.setdefault(pair[0].origin_id, f"the directory refuses it: {error}")

    async def _update(self, told: Iterable[tuple[Upstream, event_pb2.EventGroup]]) -> None:
        update = DirectoryUpdate()
        for upstream, group in told:
            tell_group(upstream, group, update)
        await self._directory.update(update, attempts_s=_ATTEMPTS_S)


def _check(request: ingest_service_pb2.SubmitEventsRequest) -> None:
    count = sum(len(group.events) for group in request.groups)
    if count > MAX_EVENTS:
        raise InvalidArgumentError(
            f"{count} events; send at most {MAX_EVENTS} in one call", field="groups"
        )
    seen = set()
    for index, group in enumerate(request.groups):
        if not group.origin_id or group.origin_id in seen:
            raise InvalidArgumentError(
                "origin_id is empty or named twice; give each group its own",
                field=f"groups[{index}].origin_id",
            )
        seen.add(group.origin_id)


def _upstream(group: event_pb2.EventGroup) -> Upstream:
    address = group.attacker_ip or next(
        (event.attacker_ip for event in group.events if event.attacker_ip), ""
    )
    return Upstream(
        origin_id=group.origin_id,
        topic="",
        payload=group_payload(group),
        size_bytes=group.ByteSize(),
        ip=canonical_ip(address) or "",
        attacker_uuid=group.anchor.attacker_uuid,
        identity_uuid=group.anchor.identity_uuid,
        names_attacker=bool(group.anchor.attacker_uuid),
        names_identity=bool(group.anchor.identity_uuid),
    )


def _problem(group: event_pb2.EventGroup, upstream: Upstream) -> str:
    if not (upstream.attacker_uuid or upstream.identity_uuid):
        return "no anchor: name an attacker, an identity, or an address the directory knows"
    for index, event in enumerate(group.events):
        if not event.source_kind or not event.source_id:
            return f"events[{index}] has no source_kind or source_id"
    return ""
