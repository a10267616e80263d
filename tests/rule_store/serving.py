# SPDX-License-Identifier: AGPL-3.0-or-later
"""A rule-store served in this process over a real socket, and clients that watch it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc

from decnet_ttp.rule_store.database import Database
from decnet_ttp.rule_store.database_follower import DatabaseDefinitions, DatabaseFollower
from decnet_ttp.rule_store.definition_writer import DefinitionWriter
from decnet_ttp.rule_store.directory import RuleDirectory
from decnet_ttp.rule_store.postgres_states import PostgresStates
from decnet_ttp.rule_store.revisions import RevisionLog
from decnet_ttp.rule_store.rule_book import RuleBook
from decnet_ttp.rule_store.servicer import RuleStoreServicer
from decnet_ttp.rule_store.state_plane import StatePlane
from decnet_ttp.rule_store.vocabulary import Vocabulary
from decnet_ttp.rule_store.watcher import follow_directory
from decnet_ttp.runtime.boundary import ErrorInterceptor
from decnet_ttp.v1 import rule_store_service_pb2 as pb
from decnet_ttp.v1 import rule_store_service_pb2_grpc as pb_grpc

#: Costs nothing when all is well; machines that run tests are slow at times.
DEADLINE_S = 60.0


async def until(condition: Callable[[], bool], deadline_s: float = DEADLINE_S) -> None:
    """Return once a condition holds; fail when it does not in time."""
    async with asyncio.timeout(deadline_s):
        while not condition():
            await asyncio.sleep(0.005)


@dataclass
class Store:
    """A store that follows a folder.

    Attributes:
        folder: The folder with its rule files.
        book: Its rules.
        log: Its history.
        stub: A client.
    """

    folder: Path
    book: RuleBook
    log: RevisionLog
    stub: pb_grpc.RuleStoreServiceStub
    channel: grpc.aio.Channel


@asynccontextmanager
async def serving(
    folder: Path,
    vocabulary: Vocabulary,
    *,
    log: RevisionLog | None = None,
    open_plane: Callable[[RuleBook], Awaitable[StatePlane]] | None = None,
    database: Database | None = None,
) -> AsyncIterator[Store]:
    """Serve a folder until the block ends.

    With a database the definitions go through it: a writer brings the folder there, and what is
    served follows it, as in another process.
    """
    log = log or RevisionLog()
    book = RuleBook(log)
    plane = await open_plane(book) if open_plane else None
    server = grpc.aio.server(interceptors=[ErrorInterceptor()])
    pb_grpc.add_RuleStoreServiceServicer_to_server(RuleStoreServicer(book, plane), server)
    address = f"unix:{folder.parent}/rs.sock"
    server.add_insecure_port(address)
    await server.start()
    stop = asyncio.Event()
    work: list[Coroutine[Any, Any, None]] = []
    take = book.apply
    if database is not None:
        writer = DefinitionWriter(database, store=True, announce=False)
        states = plane or StatePlane(book, PostgresStates(database))
        follower = DatabaseFollower(
            database, states, DatabaseDefinitions(book.apply), on_change=lambda: None
        )
        work += [writer.run(stop), follower.run(stop)]
        take = writer.take
    work.append(follow_directory(RuleDirectory(folder, vocabulary), take, stop))
    if plane is not None:
        work.append(plane.revert_on_time(stop))
    tasks = [asyncio.create_task(each) for each in work]
    options = [("grpc.default_authority", "localhost")]
    try:
        async with grpc.aio.insecure_channel(address, options=options) as channel:
            await until(lambda: book.loaded)
            yield Store(folder, book, log, pb_grpc.RuleStoreServiceStub(channel), channel)
    finally:
        stop.set()
        log.close()
        await asyncio.gather(*tasks)
        await server.stop(1)


@dataclass
class Watch:
    """A client of the change stream that notes what it receives."""

    messages: list[pb.WatchRulesResponse] = field(default_factory=list)
    error: grpc.aio.AioRpcError | None = None

    @property
    def changes(self) -> list[pb.RuleChange]:
        """All changes after the snapshot."""
        return [c for m in self.messages if not m.snapshot for c in m.changes]


@asynccontextmanager
async def watching(store: Store, after_revision: int = 0, epoch: str = "") -> AsyncIterator[Watch]:
    """Watch from a place on, beginning with the first message."""
    watch = Watch()

    async def read() -> None:
        request = pb.WatchRulesRequest(after_revision=after_revision, epoch=epoch)
        try:
            async for message in store.stub.WatchRules(request):
                watch.messages.append(message)
        except grpc.aio.AioRpcError as error:
            watch.error = error

    task = asyncio.create_task(read())
    try:
        await until(lambda: bool(watch.messages) or watch.error is not None)
        yield watch
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
