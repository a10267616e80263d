# SPDX-License-Identifier: AGPL-3.0-or-later
"""The way of a batch: anchors, taggers, tag-store. One call per stage, never one per event."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from decnet_ttp.ingest.batch import TaggerRequests, Upstream, sink_of
from decnet_ttp.ingest.directory import Directory
from decnet_ttp.ingest.directory_update import DirectoryUpdate
from decnet_ttp.ingest.dispatch import Dispatcher
from decnet_ttp.ingest.fields import texts, uuid_text
from decnet_ttp.ingest.inputs.identities import (
    IDENTITY_FORMED,
    IDENTITY_MERGED,
    IDENTITY_UNMERGED,
    OBSERVATION_LINKED,
)
from decnet_ttp.ingest.inputs.sessions import SESSION_ENDED
from decnet_ttp.ingest.intel_records import IntelRecords
from decnet_ttp.ingest.storing import insert_requests
from decnet_ttp.runtime.clients import call
from decnet_ttp.runtime.tracing import span
from decnet_ttp.v1 import tag_pb2, tag_store_service_pb2_grpc

_INSERT_TIMEOUT_S = 60.0


#: Messages after which attackers may belong to another identity than before.
_CHANGES = (IDENTITY_FORMED, OBSERVATION_LINKED, IDENTITY_MERGED, IDENTITY_UNMERGED)


@dataclass(slots=True)
class Seen:
    """What the taggers saw of a batch, and said.

    Attributes:
        events: Events by kind and id.
        groups: Tags.
        unsure: Events of which a tagger could not tell everything.
    """

    events: set[tuple[str, str]]
    groups: Sequence[tag_pb2.TagGroup]
    unsure: set[tuple[str, str]]


@dataclass(slots=True)
class Outcome:
    """What became of a batch.

    Attributes:
        unanchored: Messages nobody could be found for.
        delayed: Messages whose tags are stored in part; they must be delivered again.
        unread: Mails whose tags are stored but for those of rules on bodies, which nobody could
            read yet.
        inserted: Tags that were new.
        known: Tags that were stored before.
        failures: Events or rules that failed within a tagger.
        wrong_fields: Fields of producers that had the wrong type.
        tagged_events: Events that got a tag; counted only where nothing is announced.
        seen: What the taggers saw and said; kept only where it was asked for.
    """

    unanchored: set[str] = field(default_factory=set)
    delayed: set[str] = field(default_factory=set)
    unread: set[str] = field(default_factory=set)
    inserted: int = 0
    known: int = 0
    failures: int = 0
    wrong_fields: int = 0
    tagged_events: int = 0
    seen: Seen | None = None


class Pipeline:
    """Takes messages that were read to stored tags.

    Args:
        directory: Resolves addresses.
        dispatcher: The taggers.
        tag_store: The tag-store.
        intel: What is known of attackers, added to their sessions.
    """

    def __init__(
        self,
        *,
        directory: Directory,
        dispatcher: Dispatcher,
        tag_store: tag_store_service_pb2_grpc.TagStoreServiceStub,
        intel: IntelRecords | None = None,
    ) -> None:
        self._directory = directory
        self._dispatcher = dispatcher
        self._tag_store = tag_store
        self._intel = intel

    async def process(
        self,
        upstreams: Sequence[Upstream],
        *,
        attempts_s: float,
        tagger_attempts_s: float | None = None,
        silent: bool = False,
        dry_run: bool = False,
        keep_seen: bool = False,
    ) -> Outcome:
        """Have a batch tagged and stored.

        Args:
            upstreams: Messages with different origin ids.
            attempts_s: How long each stage is waited for when it is away, in seconds.
            tagger_attempts_s: How long a tagger is; what the others found is stored only then.
            silent: Whether new tags are stored without announcement.
            dry_run: Whether nothing is stored.
            keep_seen: Whether the outcome tells what the taggers saw and said.

        Raises:
            UnavailableError: The directory or the tag-store stayed away.
            DecnetError: A stage refused the batch.
        """
        outcome = Outcome()
        self._forget_changed(upstreams)
        members = [member for upstream in upstreams for member in upstream.members]
        with span("ttp.worker.anchor", messages=len(upstreams)):
            await self._directory.resolve([*upstreams, *members], attempts_s=attempts_s)
        requests = self._dispatcher.requests()
        self._fan_out(upstreams, requests, outcome)
        anchored = {item.origin_id for item in upstreams} - outcome.unanchored
        with span("ttp.worker.dispatch", taggers=len(requests), messages=len(anchored)):
            tagged = await self._dispatcher.tag(
                requests,
                lambda: anchored,
                attempts_s=attempts_s if tagger_attempts_s is None else tagger_attempts_s,
            )
        outcome.delayed = tagged.delayed
        outcome.unread = tagged.unread
        outcome.failures = tagged.failures
        if silent or dry_run:
            outcome.tagged_events = len(
                {(tag.source_kind, tag.source_id) for group in tagged.groups for tag in group.tags}
            )
        if keep_seen:
            outcome.seen = Seen(_events(requests), tagged.groups, tagged.unsure)
        if dry_run:
            return outcome
        del requests
        for request in insert_requests(tagged.groups, silent=silent):
            answer = await call(
                self._tag_store.InsertTags,
                request,
                timeout_s=_INSERT_TIMEOUT_S,
                attempts_s=attempts_s,
            )
            outcome.inserted += answer.inserted_count
            outcome.known += answer.known_count
        with span("ttp.worker.directory", messages=len(anchored)):
            await self._tell(upstreams, outcome, attempts_s)
        if self._intel is not None:
            await self._intel.keep(upstreams, outcome.unanchored)
        return outcome

    def _forget_changed(self, upstreams: Sequence[Upstream]) -> None:
        for upstream in upstreams:
            if upstream.source in _CHANGES:
                self._directory.forget(_named(upstream))

    async def _tell(
        self, upstreams: Sequence[Upstream], outcome: Outcome, attempts_s: float
    ) -> None:
        """Tell the directory what the messages say, and forget what it answered before that."""
        update = DirectoryUpdate()
        for upstream in upstreams:
            if upstream.origin_id not in outcome.unanchored:
                (upstream.source or SESSION_ENDED).tell(upstream, update)
        await self._directory.update(update, attempts_s=attempts_s)
        self._forget_changed(upstreams)

    def _fan_out(
        self, upstreams: Sequence[Upstream], requests: Sequence[TaggerRequests], outcome: Outcome
    ) -> None:
        """Write the events of all messages whose anchors are known into the requests."""
        sink = sink_of(requests)
        for upstream in upstreams:
            source = upstream.source or SESSION_ENDED
            parts = source.parts(upstream)
            if not parts:
                outcome.unanchored.add(upstream.origin_id)
                continue
            for part in parts:
                for item in requests:
                    item.begin(part)
                outcome.wrong_fields += source.write(part, sink)
            if self._intel is not None and source is SESSION_ENDED:
                self._intel.write(upstream, sink)


def _events(requests: Sequence[TaggerRequests]) -> set[tuple[str, str]]:
    return {
        (event.source_kind, event.source_id)
        for item in requests
        for request in item.requests
        for group in request.groups
        for event in group.events
    }


def _named(upstream: Upstream) -> set[str]:
    """Return the attackers and identities that a message about an identity names."""
    payload = upstream.payload
    names = ("identity_uuid", "winner_uuid", "loser_uuid", "observation_uuid", "attacker_uuid")
    named = [payload.get(name) for name in names]
    for name in ("observation_uuids", "attacker_uuids"):
        named += texts(payload.get(name))
    return {found for item in named if (found := uuid_text(item))}
