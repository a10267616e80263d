# SPDX-License-Identifier: AGPL-3.0-or-later
"""Several rule-stores over one database, and a database that goes and comes back."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest

from decnet_ttp.rule_store.database import Database
from decnet_ttp.rule_store.database_follower import DatabaseDefinitions, DatabaseFollower
from decnet_ttp.rule_store.definition_writer import DefinitionWriter
from decnet_ttp.rule_store.directory import RuleDirectory
from decnet_ttp.rule_store.postgres_states import PostgresStates
from decnet_ttp.rule_store.revisions import RevisionLog
from decnet_ttp.rule_store.rule_book import RuleBook
from decnet_ttp.rule_store.state_plane import StatePlane
from decnet_ttp.rule_store.state_store import StateStoreAwayError
from decnet_ttp.rule_store.vocabulary import Vocabulary
from decnet_ttp.rule_store.watcher import follow_directory
from decnet_ttp.v1 import rule_pb2
from rule_store.serving import until


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = Database(database_url)
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture
def folder(sound_rules: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="rs-") as parent:
        shutil.copytree(sound_rules / "ttp", Path(parent) / "ttp")
        yield Path(parent) / "ttp"


@dataclass
class Reader:
    """A replica that follows the database."""

    book: RuleBook
    log: RevisionLog
    states: StatePlane


@asynccontextmanager
async def reading(database: Database) -> AsyncIterator[Reader]:
    log = RevisionLog()
    book = RuleBook(log, with_states=True)
    states = StatePlane(book, PostgresStates(database))
    definitions = DatabaseDefinitions(book.apply)
    follower = DatabaseFollower(database, states, definitions, on_change=lambda: None)
    stop = asyncio.Event()
    tasks = [
        asyncio.create_task(each) for each in (follower.run(stop), states.revert_on_time(stop))
    ]
    try:
        yield Reader(book, log, states)
    finally:
        stop.set()
        await asyncio.gather(*tasks)


@asynccontextmanager
async def writing(
    database: Database, folder: Path, vocabulary: Vocabulary
) -> AsyncIterator[DefinitionWriter]:
    writer = DefinitionWriter(database, store=True, announce=False)
    stop = asyncio.Event()
    directory = RuleDirectory(folder, vocabulary)
    tasks = [
        asyncio.create_task(each)
        for each in (writer.run(stop), follow_directory(directory, writer.take, stop))
    ]
    try:
        yield writer
    finally:
        stop.set()
        await asyncio.gather(*tasks)


def _edit(folder: Path, version: int) -> None:
    path = folder / "R0001.yaml"
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    edited = [
        f"rule_version: {version}\n" if line.startswith("rule_version:") else line for line in lines
    ]
    scratch = path.with_name("scratch.tmp")
    scratch.write_text("".join(edited), encoding="utf-8")
    scratch.rename(path)


def _has(reader: Reader, version: int) -> Callable[[], bool]:
    return lambda: reader.book.loaded and reader.book.rule("R0001").rule_version == version


async def _cut_all(database_url: str) -> int:
    """End every other connection to the database and see it gone; returns how many there were."""
    admin = await asyncpg.connect(database_url)
    try:
        rows = await admin.fetch(
            "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        return len(rows)
    finally:
        await admin.close()


async def test_nothing_is_served_before_a_writer_filled_the_database(
    database: Database, folder: Path, vocabulary: Vocabulary
) -> None:
    async with reading(database) as reader:
        await until(lambda: reader.book._states_known)
        assert not reader.book.loaded
        async with writing(database, folder, vocabulary):
            await until(lambda: reader.book.loaded)
        assert reader.book.rule_ids == ["R0001", "R0002", "R0003"]


async def test_every_reader_follows_edits_deletions_and_errors(
    database: Database, folder: Path, vocabulary: Vocabulary
) -> None:
    async with (
        writing(database, folder, vocabulary),
        reading(database) as one,
        reading(database) as two,
    ):
        readers = (one, two)
        for reader in readers:
            await until(_has(reader, 3))
        _edit(folder, 4)
        (folder / "R0002.yml").unlink()
        (folder / "R0003.yaml").write_text("rule_id: R0003\n", encoding="utf-8")
        (folder / "R0008.yaml").write_text("rule_id: R0008\n", encoding="utf-8")
        for reader in readers:
            await until(_has(reader, 4))
            await until(lambda r=reader: r.book.rule_ids == ["R0001", "R0003"])  # type: ignore[misc] # bound now
            await until(lambda r=reader: bool(r.book.rule("R0003").load_error))  # type: ignore[misc] # bound now
            await until(lambda r=reader: bool(r.book.problems))  # type: ignore[misc] # bound now
        assert one.book.problems == two.book.problems
        assert one.book.problems[0].location.endswith("R0008.yaml:1:1")


async def test_a_reader_that_starts_late_has_the_same_rules(
    database: Database, folder: Path, vocabulary: Vocabulary
) -> None:
    async with writing(database, folder, vocabulary), reading(database) as early:
        await until(_has(early, 3))
        _edit(folder, 4)
        await until(_has(early, 4))
    async with reading(database) as late:
        await until(_has(late, 4))
        assert [late.book.rule(i) for i in late.book.rule_ids] == [
            early.book.rule(i) for i in early.book.rule_ids
        ]
        assert late.log.revision == 3


async def test_a_state_set_at_one_replica_is_in_force_at_the_other(
    database: Database, folder: Path, vocabulary: Vocabulary
) -> None:
    async with (
        writing(database, folder, vocabulary),
        reading(database) as one,
        reading(database) as two,
    ):
        await until(_has(one, 3))
        await until(_has(two, 3))
        state = rule_pb2.RuleState(mode=rule_pb2.RULE_MODE_DISABLED, reason="noise")
        await one.states.set("R0001", state)
        await until(lambda: two.book.rule("R0001").state.mode == rule_pb2.RULE_MODE_DISABLED)
        await two.states.clear("R0001", None, set_by="ann", reason="")
        await until(lambda: one.book.rule("R0001").state.mode == rule_pb2.RULE_MODE_ENABLED)


async def test_of_two_writers_the_second_stands_by_and_takes_over(
    database: Database, folder: Path, vocabulary: Vocabulary
) -> None:
    other = folder.with_name("other")
    shutil.copytree(folder, other)
    async with reading(database) as reader:
        async with writing(database, folder, vocabulary) as _:
            await until(_has(reader, 3))
            async with writing(database, other, vocabulary):
                _edit(other, 7)
                _edit(folder, 4)
                await until(_has(reader, 4))
                _edit(folder, 5)
                await until(_has(reader, 5))
        async with writing(database, other, vocabulary):
            await until(_has(reader, 7))


@pytest.mark.faults
async def test_lost_connections_are_made_again_and_what_was_missed_is_made_up_for(
    database: Database, database_url: str, folder: Path, vocabulary: Vocabulary
) -> None:
    async with writing(database, folder, vocabulary), reading(database) as reader:
        await until(_has(reader, 3))
        cut = 0
        for version in range(4, 10):
            _edit(folder, version)
            cut += await _cut_all(database_url)
            await until(_has(reader, version))
        assert cut >= 6
        state = rule_pb2.RuleState(mode=rule_pb2.RULE_MODE_DISABLED)
        await reader.states.set("R0001", state)
        assert reader.book.rule("R0001").state.mode == rule_pb2.RULE_MODE_DISABLED


async def test_a_reader_whose_word_is_lost_polls(
    database: Database, folder: Path, vocabulary: Vocabulary, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As behind a pooler that drops LISTEN: the writer's notifications reach nobody."""
    monkeypatch.setattr("decnet_ttp.rule_store.database_follower.CHANNEL", "nobody_speaks_here")
    async with writing(database, folder, vocabulary), reading(database) as reader:
        await until(_has(reader, 3))
        _edit(folder, 4)
        await until(_has(reader, 4))


async def test_an_emptied_folder_at_the_start_of_a_writer_keeps_the_rules(
    database: Database, folder: Path, vocabulary: Vocabulary, caplog: pytest.LogCaptureFixture
) -> None:
    """A volume that is not mounted looks like this."""
    async with reading(database) as reader:
        async with writing(database, folder, vocabulary):
            await until(_has(reader, 3))
        shutil.rmtree(folder)
        await asyncio.to_thread(folder.mkdir)
        caplog.set_level("INFO")
        async with writing(database, folder, vocabulary):
            await until(lambda: "the rules folder is empty" in caplog.text)
            await until(lambda: "rules written" in caplog.text)
        assert reader.book.rule_ids == ["R0001", "R0002", "R0003"]


async def test_a_database_made_anew_is_read_in_full(
    database: Database, folder: Path, vocabulary: Vocabulary
) -> None:
    async with reading(database) as reader:
        async with writing(database, folder, vocabulary):
            await until(_has(reader, 3))
        async with database.connection() as connection, connection.transaction():
            await connection.execute("DELETE FROM rule_definition WHERE rule_id = 'R0002'")
            await connection.execute("UPDATE generation SET life = gen_random_uuid()")
        await until(lambda: reader.book.rule_ids == ["R0001", "R0003"])


async def test_a_server_that_falls_silent_counts_as_away(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as impatient:
        impatient.setattr("decnet_ttp.rule_store.database._CALL_S", 0.2)
        with pytest.raises(StateStoreAwayError, match="does not answer; try again"):
            async with database.connection() as connection:
                await connection.execute("SELECT pg_sleep(30)")
    async with database.connection() as connection:
        assert await connection.fetchval("SELECT 1") == 1
