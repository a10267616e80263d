# SPDX-License-Identifier: AGPL-3.0-or-later
"""Composition root of the rule-store."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass

from decnet_ttp.attack.loader import load_catalogue, packaged_catalogue
from decnet_ttp.rule_store.announcer import Announcer
from decnet_ttp.rule_store.database import Database
from decnet_ttp.rule_store.database_follower import DatabaseDefinitions, DatabaseFollower
from decnet_ttp.rule_store.definition_writer import DefinitionWriter
from decnet_ttp.rule_store.directory import RuleDirectory
from decnet_ttp.rule_store.figures import Figures
from decnet_ttp.rule_store.loader import rule_folder
from decnet_ttp.rule_store.postgres_states import PostgresStates
from decnet_ttp.rule_store.revisions import RevisionLog
from decnet_ttp.rule_store.rule_book import DefinitionChanges, RuleBook
from decnet_ttp.rule_store.servicer import RuleStoreServicer
from decnet_ttp.rule_store.shipped import shipped_rules_dir
from decnet_ttp.rule_store.state_plane import StatePlane
from decnet_ttp.rule_store.vocabulary import Vocabulary
from decnet_ttp.rule_store.watcher import follow_directory
from decnet_ttp.runtime.config import Settings, SettingsError
from decnet_ttp.runtime.pacing import unless_stopped
from decnet_ttp.runtime.server import Server, Task
from decnet_ttp.v1 import rule_store_service_pb2_grpc

Taker = Callable[[DefinitionChanges], None]

_SERVICE = "decnet_ttp.v1.RuleStoreService"

_log = logging.getLogger(__name__)


def load_vocabulary(settings: Settings) -> Vocabulary:
    """Return the ATT&CK release that the settings name, beside the one in the package.

    Raises:
        AttackError: The release cannot be loaded.
    """
    loaded = load_catalogue(
        bundle=settings.attack_bundle,
        sha256=settings.attack_sha256 or None,
        cache_dir=settings.attack_cache_dir,
    )
    if all(matrix.provenance.origin == "packaged" for matrix in loaded.matrices):
        return Vocabulary(loaded)
    return Vocabulary(loaded, written_against=packaged_catalogue())


async def run(settings: Settings) -> None:
    """Serve rules until SIGTERM.

    Raises:
        RulesDirectoryMissingError: There is no directory of rules, and this process reads one.
        AttackError: No ATT&CK release to hold them against.
        SettingsError: A setting cannot be used.
    """
    plan = _Plan.of(settings)
    database = Database(settings.database_url) if settings.database_url else None
    revisions = RevisionLog()
    book = RuleBook(revisions, with_states=database is not None)
    takers: list[Taker] = [] if plan.from_database else [book.apply]
    tasks: list[Task] = []
    states: StatePlane | None = None
    if database is None:
        _log.warning("no database: states of rules can be neither set nor kept")
    else:
        states = _use_database(database, settings, plan, book, takers, tasks)
    if plan.reads_folder:
        folder = rule_folder(settings.rules_dir or shipped_rules_dir())
        directory = RuleDirectory(folder, load_vocabulary(settings))

        def take(changes: DefinitionChanges) -> None:
            for taker in takers:
                taker(changes)

        tasks.append(lambda stop: follow_directory(directory, take, stop))

    async def end_watches(stop: asyncio.Event) -> None:
        # Watches never end by themselves; the server would wait for them in vain.
        await stop.wait()
        revisions.close()

    async def ready() -> bool:
        return book.loaded

    async with AsyncExitStack() as stack:
        if database is not None:
            stack.push_async_callback(database.close)
        figures = Figures(book, revisions, backend=settings.rule_backend)
        server = Server(
            settings, name="rule-store", progress=figures.progress, metrics=[figures.counted]
        ).add(
            rule_store_service_pb2_grpc.add_RuleStoreServiceServicer_to_server,
            RuleStoreServicer(book, states),
            _SERVICE,
        )
        await server.run(ready=ready, tasks=[*tasks, end_watches])


def _use_database(
    database: Database,
    settings: Settings,
    plan: _Plan,
    book: RuleBook,
    takers: list[Taker],
    tasks: list[Task],
) -> StatePlane:
    """Add what works with a database; returns where states are changed."""
    announce = bool(settings.nats_url)
    announcer = Announcer(settings, database)
    states = StatePlane(book, PostgresStates(database, announce=announce))
    definitions = DatabaseDefinitions(book.apply) if plan.from_database else None
    follower = DatabaseFollower(database, states, definitions, on_change=announcer.wake)

    async def revert(stop: asyncio.Event) -> None:
        await unless_stopped(stop, database.wait_opened())
        await states.revert_on_time(stop)

    tasks += [database.keep_open, follower.run, revert]
    if announce:
        tasks.append(announcer.run)
    if plan.reads_folder:
        writer = DefinitionWriter(database, store=plan.from_database, announce=announce)
        takers.append(writer.take)
        tasks.append(writer.run)
    return states


@dataclass(frozen=True, slots=True)
class _Plan:
    """What the settings ask of this process.

    Attributes:
        from_database: Whether it serves the definitions that the database holds.
        reads_folder: Whether it reads the rules directory.
    """

    from_database: bool
    reads_folder: bool

    @classmethod
    def of(cls, settings: Settings) -> _Plan:
        """Read the settings.

        Raises:
            SettingsError: They do not go together.
        """
        if settings.rule_backend == "database" and not settings.database_url:
            raise SettingsError(
                "DECNET_TTP_RULE_BACKEND is database but DECNET_TTP_DATABASE_URL is not set; "
                "name a PostgreSQL server, or use the backend filesystem"
            )
        if settings.rule_backend == "filesystem":
            if settings.rule_role == "reader":
                raise SettingsError(
                    "DECNET_TTP_RULE_ROLE is reader but the backend filesystem has no database "
                    "to read; set DECNET_TTP_RULE_BACKEND to database"
                )
            return cls(from_database=False, reads_folder=True)
        return cls(from_database=True, reads_folder=settings.rule_role == "writer")
