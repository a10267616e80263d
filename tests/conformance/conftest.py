# SPDX-License-Identifier: AGPL-3.0-or-later
"""One rule-store a backend; every test here runs over both."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from decnet_ttp.attack.loader import load_catalogue
from decnet_ttp.rule_store.database import Database
from decnet_ttp.rule_store.postgres_states import PostgresStates
from decnet_ttp.rule_store.rule_book import RuleBook
from decnet_ttp.rule_store.state_plane import StatePlane
from decnet_ttp.rule_store.vocabulary import Vocabulary
from rule_store.serving import Store, serving

OpenPlane = Callable[[RuleBook], Awaitable[StatePlane]]

SOUND_RULES = Path(__file__).parent.parent / "rule_store" / "rules"


@pytest.fixture(scope="session")
def vocabulary() -> Vocabulary:
    return Vocabulary(load_catalogue())


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with three rules; not in tmp_path, whose length no socket path allows."""
    with tempfile.TemporaryDirectory(prefix="rs-") as parent:
        shutil.copytree(SOUND_RULES / "ttp", Path(parent) / "ttp")
        yield Path(parent) / "ttp"


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = Database(database_url)
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture(params=["filesystem", "database"])
def through(request: pytest.FixtureRequest, database: Database) -> Database | None:
    """The database that definitions go through; None for the backend filesystem."""
    return database if request.param == "database" else None


@pytest.fixture
def open_plane(database: Database) -> OpenPlane:
    async def open_(book: RuleBook) -> StatePlane:
        plane = StatePlane(book, PostgresStates(database))
        await plane.restore()
        return plane

    return open_


@pytest.fixture
async def store(
    folder: Path, vocabulary: Vocabulary, open_plane: OpenPlane, through: Database | None
) -> AsyncIterator[Store]:
    """A rule-store that follows the folder."""
    async with serving(folder, vocabulary, open_plane=open_plane, database=through) as running:
        yield running
