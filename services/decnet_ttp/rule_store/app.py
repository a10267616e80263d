# SPDX-License-Identifier: AGPL-3.0-or-later
"""Composition root of the rule-store."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack

from decnet_ttp.attack.licence import PACKAGED_DIR
from decnet_ttp.attack.loader import CATALOGUE_FILE, load_catalogue, load_file
from decnet_ttp.rule_store.directory import RuleDirectory
from decnet_ttp.rule_store.loader import rule_folder
from decnet_ttp.rule_store.postgres_states import SCHEMA, PostgresStates, migrate
from decnet_ttp.rule_store.revisions import RevisionLog
from decnet_ttp.rule_store.rule_book import RuleBook
from decnet_ttp.rule_store.servicer import RuleStoreServicer
from decnet_ttp.rule_store.shipped import shipped_rules_dir
from decnet_ttp.rule_store.state_plane import StatePlane
from decnet_ttp.rule_store.vocabulary import Vocabulary
from decnet_ttp.rule_store.watcher import follow_directory
from decnet_ttp.runtime.config import Settings
from decnet_ttp.runtime.database import open_pool
from decnet_ttp.runtime.server import Server
from decnet_ttp.v1 import rule_store_service_pb2_grpc

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
    if loaded.provenance.origin == "packaged":
        return Vocabulary(loaded)
    packaged = load_file(PACKAGED_DIR / CATALOGUE_FILE, origin="packaged")
    return Vocabulary(loaded, written_against=packaged)


async def run(settings: Settings) -> None:
    """Serve the rules of a directory until SIGTERM.

    Raises:
        RulesDirectoryMissingError: There is no directory of rules.
        AttackError: No ATT&CK release to hold them against.
        SettingsError: A setting cannot be used.
    """
    folder = rule_folder(settings.rules_dir or shipped_rules_dir())
    directory = RuleDirectory(folder, load_vocabulary(settings))
    revisions = RevisionLog()
    book = RuleBook(revisions)
    async with AsyncExitStack() as stack:
        states = await _open_states(settings, book, stack)
        server = Server(settings, name="rule-store").add(
            rule_store_service_pb2_grpc.add_RuleStoreServiceServicer_to_server,
            RuleStoreServicer(book, states),
            _SERVICE,
        )

        async def follow(stop: asyncio.Event) -> None:
            try:
                await follow_directory(directory, book, stop)
            finally:
                # Watches never end by themselves; the server would wait for them in vain.
                revisions.close()

        async def ready() -> bool:
            return book.loaded

        tasks = [follow] if states is None else [follow, states.revert_on_time]
        await server.run(ready=ready, tasks=tasks)


async def _open_states(
    settings: Settings, book: RuleBook, stack: AsyncExitStack
) -> StatePlane | None:
    if not settings.database_url:
        _log.warning("no database: states of rules can be neither set nor kept")
        return None
    pool = await stack.enter_async_context(
        await open_pool(
            settings.database_url, schema=SCHEMA, application_name="rule-store", max_size=3
        )
    )
    await migrate(pool)
    plane = StatePlane(book, PostgresStates(pool))
    await plane.restore()
    return plane
