# SPDX-License-Identifier: AGPL-3.0-or-later
"""Events by call go the way of events from the bus."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import pytest_asyncio

from decnet_ttp.core.errors import InvalidArgumentError
from decnet_ttp.ingest.directory import Directory
from decnet_ttp.ingest.dispatch import Dispatcher
from decnet_ttp.ingest.submission import BATCHES_AT_ONCE, MAX_EVENTS, Submission
from decnet_ttp.runtime.clients import open_channel
from decnet_ttp.runtime.config import Settings
from decnet_ttp.v1 import (
    directory_service_pb2_grpc,
    ingest_service_pb2,
    tag_store_service_pb2_grpc,
)
from ingest.backends import Store, Tagger, serving, until


@pytest_asyncio.fixture
async def parts(tmp_path: Path) -> AsyncIterator[tuple[Submission, Tagger, Store]]:
    """A submission with real gRPC neighbours."""
    tagger, store = Tagger(), Store()
    async with AsyncExitStack() as stack:
        settings = Settings(
            taggers=(await stack.enter_async_context(serving(tmp_path / "t.sock", tagger)),),
            tag_store=await stack.enter_async_context(serving(tmp_path / "s.sock", store)),
        )
        channel = await stack.enter_async_context(open_channel(settings.tag_store, settings))
        dispatcher = await stack.enter_async_context(Dispatcher(settings))
        await asyncio.gather(*(dispatcher.describe(item) for item in dispatcher.taggers))
        directory = Directory(
            directory_service_pb2_grpc.DirectoryServiceStub(channel),
            create_missing=True,
            clock=time.monotonic,
        )
        stub = tag_store_service_pb2_grpc.TagStoreServiceStub(channel)
        yield Submission(directory=directory, dispatcher=dispatcher, tag_store=stub), tagger, store


def batch(*origins: str, ip: str = "203.0.113.9") -> ingest_service_pb2.SubmitEventsRequest:
    request = ingest_service_pb2.SubmitEventsRequest()
    for origin in origins:
        group = request.groups.add(origin_id=origin)
        event = group.events.add(source_kind="command", source_id=f"{origin}#cmd0", attacker_ip=ip)
        event.command.command_text = "id"
    return request


async def test_batch_is_anchored_tagged_and_stored_once(
    parts: tuple[Submission, Tagger, Store],
) -> None:
    submission, tagger, store = parts
    response = await submission.submit(batch("a", "b"))
    assert [(item.origin_id, item.error) for item in response.results] == [("a", ""), ("b", "")]
    assert sum(item.inserted_count for item in response.results) == 2
    assert sorted(store.tags) == ["a#cmd0", "b#cmd0"]
    assert tagger.calls == [2]
    again = await submission.submit(batch("a", "b"))
    assert sum(item.inserted_count for item in again.results) == 0
    assert sum(item.known_count for item in again.results) == 2
    assert store.announced == ["a", "b"]


async def test_group_without_anchor_costs_only_itself(
    parts: tuple[Submission, Tagger, Store],
) -> None:
    submission, _, store = parts
    request = batch("good")
    request.groups.extend(batch("bad", ip="nowhere").groups)
    results = (await submission.submit(request)).results
    assert [bool(item.error) for item in results] == [False, True]
    assert list(store.tags) == ["good#cmd0"]


async def test_the_directory_is_told_of_sessions_and_facts(
    parts: tuple[Submission, Tagger, Store],
) -> None:
    """And what it refuses costs only the group that says it."""
    submission, _, store = parts
    request = batch("a", "b", "c")
    for group in request.groups:
        group.session_id = f"session-{group.origin_id}"
    request.groups[1].events[0].attacker_ip = "nowhere"
    request.groups[0].events.add(source_kind="session", source_id="a").session.hassh = "0a" * 16
    store.refused_session = "session-c"
    results = (await submission.submit(request)).results
    assert [bool(item.error) for item in results] == [False, True, True]
    assert sorted(store.tags) == ["a#cmd0", "c#cmd0"]
    (update,) = store.updates
    assert [(each.session_id, each.command_count) for each in update.sessions] == [("session-a", 1)]
    assert [fact.value for fact in update.facts] == ["0a" * 16]


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (batch("a", "a"), "groups[1].origin_id"),
        (batch(""), "groups[0].origin_id"),
        (batch(*map(str, range(MAX_EVENTS + 1))), "groups"),
    ],
)
async def test_request_beyond_the_contract_is_refused_whole(
    parts: tuple[Submission, Tagger, Store],
    request_: ingest_service_pb2.SubmitEventsRequest,
    field: str,
) -> None:
    submission, _, store = parts
    with pytest.raises(InvalidArgumentError) as caught:
        await submission.submit(request_)
    assert caught.value.field == field
    assert store.tags == {}


async def test_answer_counts_each_group_by_itself(parts: tuple[Submission, Tagger, Store]) -> None:
    submission, _, _ = parts
    await submission.submit(batch("known"))
    request = batch("fresh", "known")
    request.groups[0].events.add().CopyFrom(request.groups[0].events[0])
    request.groups[0].events[1].source_id = "fresh#cmd1"
    answer = await submission.submit(request)
    assert [
        (result.origin_id, result.inserted_count, result.known_count) for result in answer.results
    ] == [("fresh", 2, 0), ("known", 0, 1)]


async def test_few_batches_are_worked_on_at_once(parts: tuple[Submission, Tagger, Store]) -> None:
    submission, _, store = parts
    store.open.clear()
    calls = [asyncio.create_task(submission.submit(batch(f"o{number}"))) for number in range(20)]
    await until(lambda: store.waiting == BATCHES_AT_ONCE)
    store.open.set()
    answers = await asyncio.gather(*calls)
    assert [answer.results[0].inserted_count for answer in answers] == [1] * 20
    assert store.most_waiting == BATCHES_AT_ONCE
