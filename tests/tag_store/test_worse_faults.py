# SPDX-License-Identifier: AGPL-3.0-or-later
"""Two store processes under load, a connection that is cut, a disk that is full."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import pytest

from decnet_ttp.core.errors import DecnetError, ResourceExhaustedError, UnavailableError
from decnet_ttp.runtime.clients import call, open_channel
from decnet_ttp.runtime.config import Settings
from decnet_ttp.tag_store.database import Database
from decnet_ttp.tag_store.recount import recount
from decnet_ttp.tag_store.writer import TagWriter
from decnet_ttp.v1 import tag_store_service_pb2 as pb
from tag_store.samples import PATIENCE_S, StoreClient, announced, draft, group
from tag_store.test_faults import end, outbox_drained, own_postgres, processes

pytestmark = pytest.mark.faults

TAGS_EACH = 10


def messages(start: int, stop: int) -> pb.InsertTagsRequest:
    return pb.InsertTagsRequest(
        groups=[
            group(
                f"m{number}",
                [
                    draft(f"m{number}/c{place}", ("T1105", "T1059.004", "T1082")[place % 3])
                    for place in range(TAGS_EACH)
                ],
                attacker=str(UUID(int=1 + number % 97)),
            )
            for number in range(start, stop)
        ]
    )


async def assert_recount_agrees(database: Database) -> None:
    assert [each.differing for each in await recount(database, repair=False)] == [0] * 7


@pytest.mark.timeout(900)
async def test_two_stores_and_four_writers_store_and_announce_everything_once(
    store_settings: Settings, tmp_path: Path
) -> None:
    """A hundred thousand tags, each sent four times in random batches."""
    count = 100_000 // TAGS_EACH
    chunk = 100
    stores = [
        replace(store_settings, listen=f"unix:{tmp_path}/{name}.sock") for name in ("one", "two")
    ]
    chance = random.Random(11)  # noqa: S311 - a fixed seed, nothing secret

    async def write(settings: Settings) -> int:
        starts = list(range(0, count, chunk))
        chance.shuffle(starts)
        inserted = 0
        async with open_channel(settings.listen, settings) as channel:
            insert = StoreClient(channel).tags.InsertTags
            for start in starts:
                batch = messages(start, start + chunk)
                answer = await call(insert, batch, timeout_s=PATIENCE_S, attempts_s=120)
                inserted += answer.inserted_count
        return inserted

    async with processes(*stores) as running:
        inserted = await asyncio.gather(*(write(each) for each in stores * 2))
        await outbox_drained(store_settings.database_url)
        for settings, process in zip(stores, running, strict=True):
            await end(settings, process)
    assert sum(inserted) == count * TAGS_EACH
    told = [
        payload for subject, payload in await announced(store_settings) if subject == "ttp.tagged"
    ]
    assert sorted(str(payload["origin_id"]) for payload in told) == sorted(
        f"m{number}" for number in range(count)
    )
    database = Database(store_settings.database_url)
    await database.open()
    assert (await database.fetch("SELECT count(*) FROM tags"))[0][0] == count * TAGS_EACH
    await assert_recount_agrees(database)
    await database.close()


class Proxy:
    """Passes bytes to a server until it is told to cut.

    Attributes:
        port: Where it listens.
        left: Bytes it still passes to the server before it cuts; None for any number.
        passed: Bytes it passed to the server.
    """

    def __init__(self, socket: str) -> None:
        self._socket = socket
        self._writers: set[asyncio.StreamWriter] = set()
        self.port = 0
        self.left: int | None = None
        self.passed = 0

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[Proxy]:
        """Serve on a port of loopback."""
        server = await asyncio.start_server(self._pass, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            self.cut()

    def cut(self) -> None:
        """Drop every connection in the middle of whatever it carries."""
        for writer in self._writers:
            writer.transport.abort()

    def _is_enough(self, data: bytes) -> bool:
        self.passed += len(data)
        if self.left is None:
            return False
        self.left -= len(data)
        return self.left < 0

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        onward, back = await asyncio.open_unix_connection(self._socket)
        self._writers |= {writer, back}

        async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            with suppress(OSError):
                while data := await source.read(65_536):
                    if sink is back and self._is_enough(data):
                        self.cut()
                        break
                    sink.write(data)
                    await sink.drain()
            sink.transport.abort()

        await asyncio.gather(pump(reader, back), pump(onward, writer))
        self._writers -= {writer, back}


async def test_a_cut_connection_leaves_nothing_half_written(
    database_url: str, database: Database
) -> None:
    parts = urlsplit(database_url)
    folder = parse_qs(parts.query)["host"][0]
    port = parse_qs(parts.query).get("port", ["5432"])[0]
    async with Proxy(f"{folder}/.s.PGSQL.{port}").serve() as proxy:
        url = f"postgresql://{parts.username}@127.0.0.1:{proxy.port}{parts.path}"
        cut_off = Database(url)
        await cut_off.open()
        writer = TagWriter(cut_off, lambda: None)
        chance = random.Random(5)  # noqa: S311 - a fixed seed, nothing secret
        await writer.write(messages(0, 100).groups, silent=False)
        of_a_write = proxy.passed
        refused = 0
        for start in range(0, 600, 100):
            groups = messages(start, start + 100).groups
            while True:
                # Somewhere between the first statement and the commit, or not at all.
                proxy.left = chance.randrange(of_a_write) if chance.random() < 0.8 else None
                try:
                    await writer.write(groups, silent=False)
                except UnavailableError:
                    refused += 1
                    continue
                break
        proxy.left = None
        await cut_off.close()
    assert refused > 3
    assert (await database.fetch("SELECT count(*) FROM tags"))[0][0] == 600 * TAGS_EACH
    assert (await database.fetch("SELECT count(*) FROM outbox"))[0][0] == 600
    await assert_recount_agrees(database)


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    """A file system of its own; the test is skipped where none can be made."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=777", "tmpfs", str(folder)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("this machine lets nobody mount")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


async def test_a_full_disk_is_told_and_recovered_from(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 160) as disk:
        async with own_postgres(disk, max_wal_size="32MB") as postgres:
            database = Database(postgres.url)
            await database.open()
            writer = TagWriter(database, lambda: None)
            await writer.write(messages(0, 100).groups, silent=True)
            filler = disk / "filler"
            with suppress(OSError), filler.open("wb", buffering=0) as file:
                while True:
                    file.write(b"\0" * 4_096)
            stored = 100
            refusal: DecnetError | None = None
            while refusal is None:
                groups = messages(stored, stored + 100).groups
                try:
                    await writer.write(groups, silent=True)
                    stored += 100
                except (ResourceExhaustedError, UnavailableError) as error:
                    refusal = error
            assert isinstance(refusal, ResourceExhaustedError)
            filler.unlink()
            await writer.write(groups, silent=True)
            stored += 100
            rows = await database.fetch("SELECT count(*) FROM tags")
            assert rows[0][0] == stored * TAGS_EACH
            await assert_recount_agrees(database)
            await database.close()
