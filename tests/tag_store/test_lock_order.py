# SPDX-License-Identifier: AGPL-3.0-or-later
"""Whoever writes at once waits for each other in a line, and never in a ring."""

from __future__ import annotations

import asyncio
import random
from uuid import UUID

from decnet_ttp.tag_store import directory_sql
from decnet_ttp.tag_store.database import Database
from decnet_ttp.tag_store.directory import Directory, Sighting
from decnet_ttp.tag_store.directory_sql import Sightings
from decnet_ttp.tag_store.facts import FactRow, put_facts, value_hash
from decnet_ttp.tag_store.records import SeenAttacker, SessionRow, keep_attackers, keep_sessions
from decnet_ttp.tag_store.statements import MemberStatement, Statements, keep_statements
from decnet_ttp.tag_store.writer import TagWriter
from tag_store.samples import NOON, draft, group

ATTACKERS = [UUID(int=number) for number in range(1, 9)]
IDENTITIES = [UUID(int=100 + number) for number in range(3)]
ROUNDS = 25
#: Ticks of the first round.
START = 820_000_000_000_000
_FREE = "UPDATE attackers SET identity_uuid = NULL, linked_at = NULL, ip = NULL WHERE uuid = $1"


class Disorder:
    """Does everything that changes rows of attackers, each time in another order of them.

    Every round widens times, in some rows forwards and in others backwards; links those of whom
    nobody stated anything; and gives addresses.
    """

    def __init__(self) -> None:
        self._chance = random.Random(11)  # noqa: S311 - a fixed seed, nothing secret

    def some(self) -> list[UUID]:
        """Return some of the attackers, in any order."""
        return self._chance.sample(ATTACKERS, self._chance.randrange(3, len(ATTACKERS)))

    def identity(self) -> UUID:
        """Return one of the identities."""
        return self._chance.choice(IDENTITIES)

    async def insert(self, pool: Database, name: str) -> None:
        """Store tags."""
        writer = TagWriter(pool, lambda: None)
        for number in range(ROUNDS):
            at = NOON + self._chance.choice((-1, 1)) * number * 60
            groups = [
                group(
                    f"{name}-{number}-{attacker.int}",
                    [draft(f"{name}-{number}-{attacker.int}", at=at)],
                    attacker=str(attacker),
                    identity=str(self.identity()) if self._chance.random() < 0.5 else "",
                )
                for attacker in self.some()
            ]
            await writer.write(groups, silent=False)

    async def record(self, pool: Database) -> None:
        """Keep addresses, sessions and facts."""
        for number in range(ROUNDS):
            first, last = START - number * 10**6, START + number * 10**6
            seen = [
                SeenAttacker(each, f"192.0.2.{each.int}", "decky", first, last)
                for each in self.some()
            ]
            sessions = [
                SessionRow(f"s{each.int}", each, "decky", "ssh", first, last, number, 0, 0, 0)
                for each in self.some()
            ]
            facts = [
                FactRow(each, 1, text, 1, first, last, b"", value_hash(text))
                for each in self.some()
                for text in (f"v{number}", "always")
            ]
            spoken_of = Sightings()
            for fact in facts:
                spoken_of.add(fact.attacker_uuid, last, last)
            async with pool.connection() as connection, connection.transaction():
                await keep_attackers(connection, seen, sessions, spoken_of)
                await put_facts(connection, facts)
                await keep_sessions(connection, seen, sessions)

    async def state(self, pool: Database) -> None:
        """State who belongs to whom, of some of them, and mention it of others."""
        for number in range(ROUNDS):
            members = [
                MemberStatement(each, self.identity(), START + number if place % 2 else None)
                for place, each in enumerate(self.some())
            ]
            async with pool.connection() as connection, connection.transaction():
                await keep_statements(connection, Statements(IDENTITIES[:1], members, [], [], []))

    async def resolve(self, pool: Database) -> None:
        """Look addresses up."""
        for number in range(ROUNDS):
            sightings = [
                Sighting(f"192.0.2.{each.int}", START - number, START + number * 10**6)
                for each in self.some()
            ]
            await Directory(pool).resolve(sightings, create_missing=True)

    async def free(self, pool: Database) -> None:
        """Let there be somebody to link, and to give an address to, all the time."""
        for _ in range(ROUNDS):
            await pool.fetch(_FREE, self._chance.choice(ATTACKERS))


async def test_batches_and_updates_of_the_same_attackers_form_no_ring(
    database: Database, database_url: str
) -> None:
    """PostgreSQL would break a ring by ending one of them, which raises here."""
    other = Database(database_url)
    await other.open()
    all_of_it = Disorder()
    await asyncio.gather(
        *(all_of_it.insert(pool, name) for pool, name in ((database, "a"), (other, "b"))),
        *(all_of_it.record(pool) for pool in (database, other)),
        *(all_of_it.state(pool) for pool in (database, other)),
        all_of_it.resolve(database),
        all_of_it.free(other),
    )
    await other.close()


_ADDRESS = "SELECT host(ip) FROM attackers WHERE uuid = $1"
_EVERYTHING = "SELECT pg_advisory_xact_lock($1, key) FROM generate_series(0, 255) AS key"


async def test_a_second_address_that_nobody_has_waits_for_nobody(database: Database) -> None:
    """It is given to no one who has an address, so its reports take no lock, however many come."""
    who, other = ATTACKERS[:2]

    async def report(attacker: UUID, address: str, wait: str = "0") -> None:
        seen = [SeenAttacker(attacker, address, "decky", START, START)]
        async with database.connection() as connection, connection.transaction():
            await connection.execute(f"SET LOCAL lock_timeout = '{wait}'")
            await keep_attackers(connection, seen, [])

    await report(who, "192.0.2.1")
    async with database.connection() as connection, connection.transaction():
        await connection.execute(_EVERYTHING, directory_sql._ADDRESS_CLASS)
        await connection.execute("SELECT FROM attackers FOR UPDATE")
        await report(who, "192.0.2.2", wait="1s")
    await report(other, "192.0.2.2")
    found = [await database.fetch(_ADDRESS, attacker) for attacker in (who, other)]
    assert [row[0] for (row,) in found] == ["192.0.2.1", "192.0.2.2"]
