# SPDX-License-Identifier: AGPL-3.0-or-later
"""The taggers as ingest sees them: who takes which kind, and one call per tagger and chunk."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from typing import Self

from decnet_ttp.core.errors import DeadlineExceededError, DecnetError, UnavailableError
from decnet_ttp.core.source_kinds import SourceKind
from decnet_ttp.ingest.batch import TaggerRequests
from decnet_ttp.ingest.breaker import Breaker
from decnet_ttp.ingest.mail_reach import MailReach
from decnet_ttp.runtime.clients import call, open_channel
from decnet_ttp.runtime.config import Settings
from decnet_ttp.runtime.pacing import unless_stopped
from decnet_ttp.v1 import tag_pb2, tagger_service_pb2, tagger_service_pb2_grpc

_DESCRIBE_TIMEOUT_S = 5.0
_TAG_TIMEOUT_S = 60.0
#: Seconds between two questions to a tagger what it takes: while it is unknown, while it is away,
#: after it told of a change, and where it does not tell.
_DESCRIBE_UNKNOWN_S = 0.1
_DESCRIBE_AWAY_S = 0.5
_DESCRIBE_CHANGED_S = 0.05
_DESCRIBE_KNOWN_S = 5.0
#: Calls one tagger answers for us at once: what bounds the memory of an enormous session there.
_CALLS_AT_ONCE = 4
#: Messages that come back at once when a tagger is back.
_MOST_RETURNING = 2_000
#: Kinds of failure that are logged one by one; later ones are only counted.
_LOGGED_KINDS = 1_000

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Tagger:
    """One configured tagger.

    Attributes:
        target: gRPC target.
        stub: Its stub.
        kinds: Kinds of events it takes; None until it has been asked.
        digest: Its own name for what it takes; empty where it gives none.
        mail: How it stands to mails.
        reachable: Whether its last call succeeded.
        breaker: Leaves it alone while it keeps failing.
        turns: Bounds the calls it answers at once.
    """

    target: str
    stub: tagger_service_pb2_grpc.TaggerServiceStub
    breaker: Breaker
    turns: asyncio.Semaphore
    kinds: frozenset[str] | None = None
    digest: str = ""
    mail: MailReach = field(default_factory=MailReach)
    reachable: bool = False


@dataclass(slots=True)
class Tagged:
    """What a batch gave.

    Attributes:
        groups: Tags by message.
        delayed: Messages whose tags are not complete, because a tagger is away.
        unread: Mails whose stored message nobody could read yet.
        failures: Events or rules that failed within a tagger.
        unsure: Events, by kind and id, of which a tagger could not tell everything.
    """

    groups: list[tag_pb2.TagGroup] = field(default_factory=list)
    delayed: set[str] = field(default_factory=set)
    unread: set[str] = field(default_factory=set)
    failures: int = 0
    unsure: set[tuple[str, str]] = field(default_factory=set)


class Dispatcher:
    """Sends the events of a batch to all taggers at once.

    Args:
        settings: Targets of the taggers.
        clock: Monotonic seconds.
    """

    def __init__(self, settings: Settings, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._stack = AsyncExitStack()
        self._seen_failures: set[tuple[str, str, str]] = set()
        self._unclaimed: set[str] = set()
        self._came_into_reach: set[str] = set()
        self.taggers: list[Tagger] = []

    async def __aenter__(self) -> Self:
        """Open a channel to every tagger."""
        for target in self._settings.taggers:
            channel = await self._stack.enter_async_context(open_channel(target, self._settings))
            self.taggers.append(
                Tagger(
                    target,
                    tagger_service_pb2_grpc.TaggerServiceStub(channel),
                    Breaker(self._clock),
                    asyncio.Semaphore(_CALLS_AT_ONCE),
                )
            )
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Close the channels."""
        await self._stack.aclose()

    @property
    def ready(self) -> bool:
        """Whether every tagger has told what it takes."""
        return all(tagger.kinds is not None for tagger in self.taggers)

    def room(self) -> int:
        """Return how many messages that waited for a tagger may come back now.

        One at a time tries a tagger that answers again but is still left alone.
        """
        if not all(tagger.reachable and tagger.kinds is not None for tagger in self.taggers):
            return 0
        return 1 if any(tagger.breaker.open for tagger in self.taggers) else _MOST_RETURNING

    async def follow(self, stop: asyncio.Event) -> None:
        """Keep asking each tagger what it takes, until the stop."""
        async with asyncio.TaskGroup() as group:
            for tagger in self.taggers:
                group.create_task(self._follow(tagger, stop))

    async def _follow(self, tagger: Tagger, stop: asyncio.Event) -> None:
        while not stop.is_set():
            away = tagger.breaker.open or not tagger.reachable
            # A tagger that works says itself when it takes something else.
            await unless_stopped(
                stop, self.describe(tagger, wait_s=0.0 if away else _DESCRIBE_KNOWN_S)
            )
            if tagger.kinds is None:
                wait_s = _DESCRIBE_UNKNOWN_S
            elif tagger.breaker.open or not tagger.reachable:
                wait_s = _DESCRIBE_AWAY_S
            else:
                wait_s = _DESCRIBE_CHANGED_S if tagger.digest else _DESCRIBE_KNOWN_S
            try:
                await asyncio.wait_for(stop.wait(), wait_s)
            except TimeoutError:
                continue

    async def describe(self, tagger: Tagger, *, wait_s: float = 0.0) -> None:
        """Ask a tagger what it takes; one that is away keeps what it said before.

        Args:
            tagger: The tagger.
            wait_s: How long it may wait for a change before it answers, in seconds.
        """
        request = tagger_service_pb2.DescribeTaggerRequest()
        if wait_s:
            request.known_kinds_digest = tagger.digest
            request.wait_duration.FromNanoseconds(int(wait_s * 1e9))
        try:
            answer = await call(
                tagger.stub.DescribeTagger, request, timeout_s=_DESCRIBE_TIMEOUT_S + wait_s
            )
        except DecnetError:
            tagger.reachable = False
            return
        self._note_reach(tagger, answer)
        tagger.reachable = True
        if tagger.breaker.open:
            tagger.breaker.hint()
        tagger.digest = answer.kinds_digest
        kinds = frozenset(kind for lifter in answer.lifters for kind in lifter.source_kinds)
        if kinds != tagger.kinds:
            _log.info(
                "tagger described", extra={"target": tagger.target, "source_kinds": sorted(kinds)}
            )
            tagger.kinds = kinds
            self._warn_of_unclaimed()

    def _note_reach(
        self, tagger: Tagger, answer: tagger_service_pb2.DescribeTaggerResponse
    ) -> None:
        """Note whose stored mails a tagger can read, and whose it could not before."""
        deckies = frozenset(answer.artifact_deckies)
        self._came_into_reach |= deckies - tagger.mail.deckies if tagger.reachable else deckies
        lifters = [each.name for each in answer.lifters if SourceKind.EMAIL in each.source_kinds]
        tagger.mail = MailReach(frozenset(lifters), deckies)

    def came_into_reach(self) -> set[str]:
        """Return the decoys whose stored mails can be read since this was asked last."""
        found, self._came_into_reach = self._came_into_reach, set()
        return found

    def _warn_of_unclaimed(self) -> None:
        if not self.ready:
            return
        claimed = {kind for tagger in self.taggers for kind in tagger.kinds or ()}
        for kind in SourceKind:
            if kind not in claimed and kind not in self._unclaimed:
                self._unclaimed.add(kind)
                _log.warning("no tagger takes this kind", extra={"source_kind": str(kind)})

    def requests(self) -> list[TaggerRequests]:
        """Return empty requests, one set per tagger, in the order of `taggers`."""
        return [
            TaggerRequests(
                tagger.kinds or frozenset(),
                tagger.mail if tagger.reachable else replace(tagger.mail, away=True),
            )
            for tagger in self.taggers
        ]

    async def tag(
        self,
        requests: Sequence[TaggerRequests],
        origins: Callable[[], set[str]],
        *,
        attempts_s: float,
    ) -> Tagged:
        """Have a batch tagged.

        Args:
            requests: What `requests()` returned, filled in.
            origins: All messages of the batch; asked for only when a tagger is unknown.
            attempts_s: How long a tagger that is away is waited for, in seconds.

        Raises:
            DecnetError: A tagger refused a request as a whole.
        """
        tagged = Tagged()
        calls = []
        for tagger, own in zip(self.taggers, requests, strict=True):
            if tagger.kinds is None:
                # What it would take is not known, so no message of the batch is complete.
                tagged.delayed |= origins()
            calls += [self._tag(tagger, request, tagged, attempts_s) for request in own.requests]
        await asyncio.gather(*calls)
        return tagged

    async def _tag(
        self,
        tagger: Tagger,
        request: tagger_service_pb2.TagEventsRequest,
        tagged: Tagged,
        attempts_s: float,
    ) -> None:
        async with tagger.turns:
            answer = await self._answer(tagger, request, attempts_s)
        if answer is None:
            tagged.delayed.update(group.origin_id for group in request.groups)
            return
        tagged.groups.extend(answer.groups)
        tagged.unread.update(each.origin_id for each in answer.unread_messages if each.retryable)
        tagged.failures += len(answer.failures)
        tagged.unsure.update((each.source_kind, each.source_id) for each in answer.failures)
        tagged.unsure.update((SourceKind.EMAIL, each.source_id) for each in answer.unread_messages)
        for failure in answer.failures:
            self._log_failure(failure)

    async def _answer(
        self, tagger: Tagger, request: tagger_service_pb2.TagEventsRequest, attempts_s: float
    ) -> tagger_service_pb2.TagEventsResponse | None:
        """Return what a tagger answers, None while it is away."""
        if not tagger.breaker.allows():
            return None
        try:
            answer: tagger_service_pb2.TagEventsResponse = await call(
                tagger.stub.TagEvents,
                request,
                timeout_s=_TAG_TIMEOUT_S,
                attempts_s=0.0 if tagger.breaker.open else attempts_s,
            )
        except (UnavailableError, DeadlineExceededError) as error:
            if tagger.reachable:
                _log.warning("tagger away", extra={"target": tagger.target, "reason": error.reason})
            tagger.reachable = False
            tagger.breaker.failed()
            return None
        tagger.reachable = True
        tagger.breaker.succeeded()
        return answer

    def _log_failure(self, failure: tagger_service_pb2.TagFailure) -> None:
        key = (failure.lifter, failure.rule_id, failure.reason)
        if key in self._seen_failures or len(self._seen_failures) >= _LOGGED_KINDS:
            return
        self._seen_failures.add(key)
        _log.warning(
            "event could not be tagged",
            extra={
                "lifter": failure.lifter,
                "rule_id": failure.rule_id,
                "reason": failure.reason,
                "source_kind": failure.source_kind,
            },
        )
