# SPDX-License-Identifier: AGPL-3.0-or-later
"""What dies comes back, and nothing is lost or doubled: the service as a real process."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

import asyncpg
import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from decnet_ttp.embedded.nats import NatsServer
from decnet_ttp.embedded.postgres import PostgresServer
from decnet_ttp.runtime.clients import call, open_channel
from decnet_ttp.runtime.config import Settings
from decnet_ttp.tag_store.app import open_store
from decnet_ttp.v1 import tag_store_service_pb2
from tag_store.samples import PATIENCE_S, StoreClient, announced, draft, group

pytestmark = pytest.mark.faults

MESSAGES = 600
TAGS_EACH = 3


def request(start: int, stop: int) -> tag_store_service_pb2.InsertTagsRequest:
    return tag_store_service_pb2.InsertTagsRequest(
        groups=[
            group(
                f"m{number}",
                [draft(f"m{number}/c{place}") for place in range(TAGS_EACH)],
                attacker=str(UUID(int=1 + number % 9)),
            )
            for number in range(start, stop)
        ]
    )


async def start_process(settings: Settings) -> asyncio.subprocess.Process:
    """Start the service."""
    return await asyncio.create_subprocess_exec(
        str(Path(sys.executable).with_name("decnet-ttp")),
        "serve",
        "tag-store",
        env={
            **os.environ,
            "DECNET_TTP_DATABASE_URL": settings.database_url,
            "DECNET_TTP_NATS_URL": settings.nats_url,
            "DECNET_TTP_LISTEN": settings.listen,
            "DECNET_TTP_LOG_LEVEL": "error",
        },
    )


@asynccontextmanager
async def processes(*each: Settings) -> AsyncIterator[list[asyncio.subprocess.Process]]:
    """Run the service once for each of some settings; whichever is left at the end is killed."""
    running = [await start_process(settings) for settings in each]
    try:
        yield running
    finally:
        for process in running:
            if process.returncode is None:
                process.kill()
                await process.wait()


async def end(settings: Settings, process: asyncio.subprocess.Process) -> None:
    """Ask the service to end, which it must in good order.

    One that was started a moment ago does not know yet what to do when it is asked.
    """
    async with open_channel(settings.listen, settings) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        await call(
            health.Check, health_pb2.HealthCheckRequest(), timeout_s=PATIENCE_S, attempts_s=120
        )
    process.terminate()
    assert await process.wait() == 0


async def count(database_url: str, sql: str) -> int:
    connection = await asyncpg.connect(database_url)
    try:
        return int(await connection.fetchval(sql) or 0)
    finally:
        await connection.close()


async def outbox_drained(database_url: str) -> None:
    """Return once everything is announced."""
    deadline = time.monotonic() + 240
    while await count(database_url, "SELECT count(*) FROM tags.outbox"):
        assert time.monotonic() < deadline, "the outbox does not drain"
        await asyncio.sleep(0.05)


async def assert_everything_once(settings: Settings) -> None:
    await outbox_drained(settings.database_url)
    url = settings.database_url
    assert await count(url, "SELECT count(*) FROM tags.tags") == MESSAGES * TAGS_EACH
    for table in ("rollup_attacker", "rollup_fleet", "rollup_fleet_day"):
        assert await count(url, f"SELECT sum(count) FROM tags.{table}") == MESSAGES * TAGS_EACH  # noqa: S608 - a name of this test
    messages = await announced(settings)
    origins = [body["origin_id"] for subject, body in messages if subject == "ttp.tagged"]
    assert sorted(origins) == sorted(f"m{number}" for number in range(MESSAGES))
    assert sum(subject.startswith("ttp.rule.fired.") for subject, _ in messages) == MESSAGES


async def test_service_killed_in_the_middle_of_writing(store_settings: Settings) -> None:
    async with (
        processes(store_settings) as running,
        open_channel(store_settings.listen, store_settings) as channel,
    ):
        client = StoreClient(channel)

        async def write(start: int) -> None:
            batch = request(start, start + 20)
            await call(client.tags.InsertTags, batch, timeout_s=PATIENCE_S, attempts_s=120)

        for number, start in enumerate(range(0, MESSAGES, 100)):
            writing = [asyncio.ensure_future(write(at)) for at in range(start, start + 100, 20)]
            if number in {1, 3, 4}:
                # Some are answered, some under way: the moment differs each time.
                await asyncio.wait(writing, return_when=asyncio.FIRST_COMPLETED)
                running[0].kill()
                await running[0].wait()
                running[0] = await start_process(store_settings)
            await asyncio.gather(*writing)
        await assert_everything_once(store_settings)
        await end(store_settings, running[0])


@asynccontextmanager
async def own_postgres(folder: Path, **settings: str) -> AsyncIterator[PostgresServer]:
    """A PostgreSQL that a test may stop."""
    server = PostgresServer(folder / "postgres", settings={"fsync": "off", **settings})
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


async def test_database_that_restarts_is_unavailable_and_then_as_before(
    nats_url: str, tmp_path: Path
) -> None:
    async with own_postgres(tmp_path) as postgres:
        settings = Settings(
            database_url=postgres.url,
            nats_url=nats_url,
            listen=f"unix:{tmp_path}/store.sock",
            grace_s=5.0,
        )
        async with (
            open_store(settings) as store,
            open_channel(settings.listen, settings) as channel,
        ):
            serving = asyncio.ensure_future(store.serve())
            await store.database.wait_opened()
            client = StoreClient(channel)
            await call(
                client.tags.InsertTags, request(0, 100), timeout_s=PATIENCE_S, attempts_s=PATIENCE_S
            )
            await postgres.stop()
            assert not await store.database.ready()
            with pytest.raises(grpc.aio.AioRpcError) as refusal:
                await client.tags.InsertTags(request(100, 200))
            assert refusal.value.code() is grpc.StatusCode.UNAVAILABLE
            assert refusal.value.details() == (
                "the database does not answer; send the request again shortly"
            )
            await postgres.start()
            await call(
                client.tags.InsertTags,
                request(0, MESSAGES),
                timeout_s=PATIENCE_S,
                attempts_s=PATIENCE_S,
            )
            await assert_everything_once(settings)
            assert await store.database.ready()
            store.server.request_stop()
            await serving


async def test_tags_are_stored_while_nats_is_away_and_announced_when_it_is_back(
    database_url: str, tmp_path: Path
) -> None:
    nats = NatsServer(tmp_path / "nats")
    settings = Settings(
        database_url=database_url,
        nats_url=await nats.start(),
        listen=f"unix:{tmp_path}/store.sock",
        grace_s=5.0,
    )
    await nats.stop()
    async with (
        open_store(settings) as store,
        open_channel(settings.listen, settings) as channel,
    ):
        serving = asyncio.ensure_future(store.serve())
        await store.database.wait_opened()
        client = StoreClient(channel)
        half = MESSAGES // 2
        await call(
            client.tags.InsertTags, request(0, half), timeout_s=PATIENCE_S, attempts_s=PATIENCE_S
        )
        assert await store.database.ready()
        await nats.start()
        await outbox_drained(database_url)
        await nats.stop()
        await call(
            client.tags.InsertTags,
            request(half, MESSAGES),
            timeout_s=PATIENCE_S,
            attempts_s=PATIENCE_S,
        )
        await nats.start()
        await assert_everything_once(settings)
        store.server.request_stop()
        await serving
        await nats.stop()


async def test_service_starts_before_its_servers_and_ends_on_request(tmp_path: Path) -> None:
    settings = Settings(
        database_url="postgresql://nobody@127.0.0.1:1/none",
        nats_url="nats://127.0.0.1:1",
        listen=f"unix:{tmp_path}/store.sock",
    )
    async with (
        processes(settings) as (process,),
        open_channel(settings.listen, settings) as channel,
    ):
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await StoreClient(channel).tags.InsertTags(
                request(0, 1), timeout=PATIENCE_S, wait_for_ready=True
            )
        assert refusal.value.code() is grpc.StatusCode.UNAVAILABLE
        process.terminate()
        assert await asyncio.wait_for(process.wait(), PATIENCE_S) == 0
