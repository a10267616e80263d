# SPDX-License-Identifier: AGPL-3.0-or-later
"""The way of a batch: anchors, taggers, tag-store. One call per stage, never one per event."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from decnet_ttp.ingest.batch import Upstream, sink_of
from decnet_ttp.ingest.directory import Directory
from decnet_ttp.ingest.dispatch import Dispatcher
from decnet_ttp.ingest.fan_out import write_session
from decnet_ttp.runtime.clients import call
from decnet_ttp.v1 import tag_pb2, tag_store_service_pb2, tag_store_service_pb2_grpc

_INSERT_TIMEOUT_S = 60.0

#: Bounds of one InsertTags request. All tags of one message stay in one request, whatever its
#: size: what is announced is what one transaction made new.
MAX_TAGS = 20_000
MAX_REQUEST_BYTES = 16 * 1024 * 1024


@dataclass(slots=True)
class Outcome:
    """What became of a batch.

    Attributes:
        unanchored: Messages nobody could be found for.
        delayed: Messages whose tags are stored in part; they must be delivered again.
        inserted: Tags that were new.
        known: Tags that were stored before.
        failures: Events or rules that failed within a tagger.
        wrong_fields: Fields of producers that had the wrong type.
    """

    unanchored: set[str] = field(default_factory=set)
    delayed: set[str] = field(default_factory=set)
    inserted: int = 0
    known: int = 0
    failures: int = 0
    wrong_fields: int = 0


class Pipeline:
    """Takes messages that were read to stored tags.

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

    async def process(self, upstreams: Sequence[Upstream], *, attempts_s: float) -> Outcome:
        """Have a batch tagged and stored.

        Args:
            upstreams: Messages with different origin ids.
            attempts_s: How long each stage is waited for when it is away, in seconds.

        Raises:
            UnavailableError: The directory or the tag-store stayed away.
            DecnetError: A stage refused the batch.
        """
        outcome = Outcome()
        await self._directory.resolve(upstreams, attempts_s=attempts_s)
        requests = self._dispatcher.requests()
        sink = sink_of(requests)
        anchored: list[str] = []
        for upstream in upstreams:
            if not (upstream.attacker_uuid or upstream.identity_uuid):
                outcome.unanchored.add(upstream.origin_id)
                continue
            anchored.append(upstream.origin_id)
            for item in requests:
                item.begin(upstream)
            outcome.wrong_fields += write_session(upstream.payload, upstream.origin_id, sink)
        tagged = await self._dispatcher.tag(requests, lambda: set(anchored), attempts_s=attempts_s)
        outcome.delayed = tagged.delayed
        outcome.failures = tagged.failures
        for request in insert_requests(tagged.groups):
            answer = await call(
                self._tag_store.InsertTags,
                request,
                timeout_s=_INSERT_TIMEOUT_S,
                attempts_s=attempts_s,
            )
            outcome.inserted += answer.inserted_count
            outcome.known += answer.known_count
        return outcome


def insert_requests(
    groups: Iterable[tag_pb2.TagGroup],
) -> list[tag_store_service_pb2.InsertTagsRequest]:
    """Return the requests that store some groups, each message whole within one of them."""
    by_origin: dict[str, list[tag_pb2.TagGroup]] = {}
    for group in groups:
        by_origin.setdefault(group.origin_id, []).append(group)
    requests: list[tag_store_service_pb2.InsertTagsRequest] = []
    tags = size = 0
    for members in by_origin.values():
        count = sum(len(member.tags) for member in members)
        if not count:
            continue
        weight = sum(member.ByteSize() for member in members)
        if not requests or tags + count > MAX_TAGS or size + weight > MAX_REQUEST_BYTES:
            requests.append(tag_store_service_pb2.InsertTagsRequest())
            tags = size = 0
        tags += count
        size += weight
        first, *others = members
        into = requests[-1].groups.add()
        into.CopyFrom(first)
        for other in others:
            into.tags.extend(other.tags)
    return requests
