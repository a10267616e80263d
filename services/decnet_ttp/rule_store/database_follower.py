# SPDX-License-Identifier: AGPL-3.0-or-later
"""Following the database: definitions and states that any process wrote, as they are committed.

The database tells of each change; since word can get lost, the counters are looked at unasked as
well. They say what is new, so whatever was missed while the connection was away is made up for.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, NamedTuple
from uuid import UUID

from google.protobuf.message import DecodeError

from decnet_ttp.rule_store.database import AWAY, Database
from decnet_ttp.rule_store.definition_writer import decode_problems
from decnet_ttp.rule_store.migrations import CHANNEL, connect
from decnet_ttp.rule_store.rule_book import DefinitionChanges
from decnet_ttp.rule_store.state_plane import StatePlane
from decnet_ttp.rule_store.state_store import StateStoreAwayError
from decnet_ttp.runtime.pacing import pause, unless_stopped
from decnet_ttp.v1 import rule_pb2

#: How often the counters are looked at unasked, in seconds.
POLL_S: Final = 1.0

_RETRY_S: Final = 0.2
_CLOSE_S: Final = 1.0
_COMMAND_TIMEOUT_S: Final = 5.0

_COUNTERS: Final = "SELECT life, definitions, states FROM generation"
_PROBLEMS: Final = "SELECT problems FROM generation"
_SINCE: Final = "SELECT rule_id, definition FROM rule_definition WHERE generation > $1"

_log = logging.getLogger(__name__)


class _Counters(NamedTuple):
    life: UUID | None = None
    definitions: int = 0
    states: int = -1


class DatabaseDefinitions:
    """The database backend: definitions that a writer left in the database.

    Args:
        take: Puts changes in force.
    """

    def __init__(self, take: Callable[[DefinitionChanges], None]) -> None:
        self._take = take
        self._held: dict[str, bytes] = {}
        self._life: UUID | None = None
        self._reached = 0

    async def refresh(self, connection: Any) -> None:
        """Take over what was committed since the last time.

        Raises:
            OSError, asyncpg.PostgresError, asyncpg.InterfaceError: The database is away.
        """
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            life, generation, _ = await connection.fetchrow(_COUNTERS)
            if (life, generation) == (self._life, self._reached) or not generation:
                return
            # A database that was made anew, or put back to an earlier state, is read in full.
            whole = life != self._life or generation < self._reached
            rows = await connection.fetch(_SINCE, 0 if whole else self._reached)
            problems = decode_problems(await connection.fetchval(_PROBLEMS))
        present = {row["rule_id"]: row["definition"] for row in rows if row["definition"]}
        gone = {row["rule_id"] for row in rows if not row["definition"]} & self._held.keys()
        if whole:
            gone |= self._held.keys() - present.keys()
        upserted = []
        for rule_id, definition in sorted(present.items()):
            if self._held.get(rule_id) != definition:
                rule = _decoded(rule_id, definition)
                if rule is not None:
                    upserted.append(rule)
                    self._held[rule_id] = definition
        for rule_id in gone:
            del self._held[rule_id]
        self._take(DefinitionChanges(tuple(upserted), tuple(sorted(gone)), problems))
        self._life, self._reached = life, generation


def _decoded(rule_id: str, definition: bytes) -> rule_pb2.Rule | None:
    try:
        return rule_pb2.Rule.FromString(definition)
    except DecodeError:
        _log.error("a stored rule cannot be read; the last version stays", extra={"id": rule_id})
        return None


class DatabaseFollower:
    """Keeps a book at the state of a database.

    Args:
        database: The database.
        states: The plane that knows the states.
        definitions: Definitions from the database; None when a folder has them.
        on_change: Called after every word of the database.
    """

    def __init__(
        self,
        database: Database,
        states: StatePlane,
        definitions: DatabaseDefinitions | None,
        *,
        on_change: Callable[[], None],
    ) -> None:
        self._database = database
        self._states = states
        self._definitions = definitions
        self._on_change = on_change
        self._seen = _Counters()

    async def run(self, stop: asyncio.Event) -> None:
        """Follow until `stop`, waiting for whatever is away."""
        await unless_stopped(stop, self._database.wait_opened())
        away = False
        while not stop.is_set():
            connection = None
            try:
                connection = await connect(
                    self._database.url,
                    name="decnet-ttp rule-store follower",
                    command_timeout_s=_COMMAND_TIMEOUT_S,
                )
                if away:
                    _log.info("the database is back")
                    away = False
                await self._follow(connection, stop)
            except (*AWAY, StateStoreAwayError) as error:
                if not away:
                    away = True
                    _log.warning(
                        "the database is away; rules and states stay as they are",
                        extra={"error": type(error).__name__},
                    )
                await pause(stop, _RETRY_S)
            finally:
                if connection is not None:
                    with suppress(*AWAY):
                        await connection.close(timeout=_CLOSE_S)

    async def _follow(self, connection: Any, stop: asyncio.Event) -> None:
        word = asyncio.Event()
        connection.add_termination_listener(lambda _: word.set())
        await connection.add_listener(CHANNEL, lambda *_: word.set())
        while not stop.is_set():
            word.clear()
            await self._refresh(connection)
            try:
                async with asyncio.timeout(POLL_S):
                    await unless_stopped(stop, word.wait())
            except TimeoutError:
                continue
            self._on_change()

    async def _refresh(self, connection: Any) -> None:
        counters = _Counters(*await connection.fetchrow(_COUNTERS))
        if counters == self._seen:
            return
        life_or_states = (counters.life, counters.states)
        if life_or_states != (self._seen.life, self._seen.states):
            await self._states.restore()
        if self._definitions is not None:
            await self._definitions.refresh(connection)
        self._seen = counters
