# SPDX-License-Identifier: AGPL-3.0-or-later
"""Bringing the definitions of a folder into the database, and word of them to the bus.

Of several writers one works, the one that holds the lock; the others stand by. The lock belongs to
the connection that writes, so whoever loses the one has lost the other.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

import orjson

from decnet_ttp.rule_store.announcements import reloaded, removed
from decnet_ttp.rule_store.database import AWAY, Database
from decnet_ttp.rule_store.migrations import CHANNEL, connect
from decnet_ttp.rule_store.problems import Problem
from decnet_ttp.rule_store.rule_book import DefinitionChanges
from decnet_ttp.runtime.outbox import leave
from decnet_ttp.runtime.pacing import pause, unless_stopped
from decnet_ttp.v1 import rule_pb2

#: Key of the writer's lock ("rule" and "writ" in ASCII).
WRITER_LOCK: Final = 0x72756C65_77726974

_ASK_S: Final = 0.5
_CLOSE_S: Final = 1.0
#: A sync of thousands of rules takes well below a second.
_COMMAND_TIMEOUT_S: Final = 30.0
#: How often an idle writer looks whether its connection still stands, in seconds.
_PING_S: Final = 5.0

_BEGIN: Final = """
    UPDATE generation SET definitions = definitions + 1, problems = $1 RETURNING definitions
"""
_STORE: Final = """
    INSERT INTO rule_definition (rule_id, definition, generation)
    SELECT rule_id, definition, $3::bigint
    FROM unnest($1::text[], $2::bytea[]) AS given (rule_id, definition)
    ON CONFLICT (rule_id) DO UPDATE
        SET definition = excluded.definition, generation = excluded.generation
        WHERE rule_definition.definition IS DISTINCT FROM excluded.definition
"""
_BURY: Final = """
    UPDATE rule_definition SET definition = NULL, generation = $2
    WHERE rule_id = ANY($1::text[]) AND definition IS NOT NULL
"""
_KNOWN: Final = "SELECT rule_id, digest FROM rule_announced"
_STORED: Final = "SELECT rule_id FROM rule_definition WHERE definition IS NOT NULL"
_NOTE: Final = """
    INSERT INTO rule_announced (rule_id, digest)
    SELECT * FROM unnest($1::text[], $2::text[])
    ON CONFLICT (rule_id) DO UPDATE SET digest = excluded.digest
"""
_FORGET: Final = "DELETE FROM rule_announced WHERE rule_id = ANY($1::text[])"
_NOTIFY: Final = f"SELECT pg_notify('{CHANNEL}', '')"

_log = logging.getLogger(__name__)


def _digest(rule: rule_pb2.Rule) -> str:
    told = f"{rule.content_sha256} {rule.load_error}"
    return f"{rule.data_sha256} {told}" if rule.data_sha256 else told


def encode_problems(problems: Sequence[Problem]) -> bytes:
    """Return problems as the database keeps them."""
    return orjson.dumps([(p.path, p.line, p.column, p.message) for p in problems])


def decode_problems(data: bytes) -> tuple[Problem, ...]:
    """Return problems that `encode_problems` made."""
    return tuple(Problem(*row) for row in orjson.loads(data))


class DefinitionWriter:
    """Takes what a folder says and writes it as soon as it may and can.

    Args:
        database: Where it goes.
        store: Whether the definitions are stored for readers; else only the bus is told.
        announce: Whether changes are left in the outbox for the bus.
    """

    def __init__(self, database: Database, *, store: bool, announce: bool) -> None:
        self._database = database
        self._store = store
        self._announce = announce
        self._rules: dict[str, rule_pb2.Rule] = {}
        self._problems: tuple[Problem, ...] = ()
        self._waiting: deque[DefinitionChanges] = deque()
        self._looked = asyncio.Event()
        self._something = asyncio.Event()

    def take(self, changes: DefinitionChanges) -> None:
        """Note changes of the folder, first all its rules; never waits."""
        for rule_id in changes.deleted:
            self._rules.pop(rule_id, None)
        for rule in changes.upserted:
            self._rules[rule.rule_id] = rule
        self._problems = changes.orphaned
        self._waiting.append(changes)
        self._looked.set()
        self._something.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Write until `stop`; while the database is away, changes wait."""
        await unless_stopped(stop, self._database.wait_opened())
        await unless_stopped(stop, self._looked.wait())
        while not stop.is_set():
            connection = None
            try:
                connection = await connect(
                    self._database.url,
                    name="decnet-ttp rule-store writer",
                    command_timeout_s=_COMMAND_TIMEOUT_S,
                )
                await self._write_with(connection, stop)
            except AWAY as error:
                _log.warning("rules wait to be written", extra={"error": type(error).__name__})
                await pause(stop, _ASK_S)
            finally:
                if connection is not None:
                    with suppress(*AWAY):
                        await connection.close(timeout=_CLOSE_S)

    async def _write_with(self, connection: Any, stop: asyncio.Event) -> None:
        standing_by = False
        while not await connection.fetchval("SELECT pg_try_advisory_lock($1)", WRITER_LOCK):
            if not standing_by:
                standing_by = True
                _log.info("another process writes the rules; standing by")
            await pause(stop, _ASK_S)
            if stop.is_set():
                return
        _log.info("writing the rules")
        await self._write(connection, await self._whole(connection))
        while not stop.is_set():
            self._something.clear()
            while self._waiting:
                await self._write(connection, self._waiting[0])
                self._waiting.popleft()
            try:
                async with asyncio.timeout(_PING_S):
                    await unless_stopped(stop, self._something.wait())
            except TimeoutError:
                await connection.execute("SELECT 1")

    async def _whole(self, connection: Any) -> DefinitionChanges:
        """Return everything the folder says, as changes of what the database knows."""
        known = {row["rule_id"] for row in await connection.fetch(_KNOWN)}
        if self._store:
            known |= {row["rule_id"] for row in await connection.fetch(_STORED)}
        rules = dict(self._rules)
        # What waited is part of the whole.
        self._waiting.clear()
        gone = tuple(sorted(known - rules.keys()))
        if gone and not rules:
            # More likely a folder that is not mounted than the wish to have no rule at all.
            _log.error(
                "the rules folder is empty; the rules in the database stay until it has one",
                extra={"rules": len(gone)},
            )
            gone = ()
        return DefinitionChanges(tuple(rules.values()), gone, self._problems)

    async def _write(self, connection: Any, changes: DefinitionChanges) -> None:
        async with connection.transaction():
            generation = await connection.fetchval(_BEGIN, encode_problems(changes.orphaned))
            if self._store:
                await connection.execute(
                    _STORE,
                    [rule.rule_id for rule in changes.upserted],
                    [rule.SerializeToString(deterministic=True) for rule in changes.upserted],
                    generation,
                )
                await connection.execute(_BURY, list(changes.deleted), generation)
            announced = await self._announce_changes(connection, changes)
            await connection.execute(_NOTIFY)
        _log.info(
            "rules written",
            extra={
                "rules": len(changes.upserted),
                "deleted": len(changes.deleted),
                "announced": announced,
            },
        )

    async def _announce_changes(self, connection: Any, changes: DefinitionChanges) -> int:
        known = dict(await connection.fetch(_KNOWN))
        new = [rule for rule in changes.upserted if known.get(rule.rule_id) != _digest(rule)]
        gone = [rule_id for rule_id in changes.deleted if rule_id in known]
        await connection.execute(
            _NOTE, [rule.rule_id for rule in new], [_digest(rule) for rule in new]
        )
        await connection.execute(_FORGET, gone)
        # An installation that starts for the first time has nothing to compare with.
        if not self._announce or not known:
            return 0
        messages = [*map(reloaded, new), *map(removed, gone)]
        await leave(connection, messages)
        return len(messages)
