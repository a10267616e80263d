# SPDX-License-Identifier: AGPL-3.0-or-later
"""States follow identities that merge and split, at once when the bus says so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio

from attribution.process import DEADLINE_S, until
from attribution.stored import ATTACKERS, REGISTRY, fetch, many, record, states
from decnet_ttp.attribution.batch import Batch
from decnet_ttp.attribution.database import Database
from decnet_ttp.attribution.directory import Membership, stub_identity
from decnet_ttp.attribution.identity_feed import MAX_NAMED, Word, named
from decnet_ttp.attribution.membership import MembershipFollower
from decnet_ttp.attribution.revisits import LOOKS_S, Revisits
from decnet_ttp.attribution.store import Store
from decnet_ttp.core.errors import UnavailableError
from decnet_ttp.runtime.bus import Bus, Envelope, connect_bus
from decnet_ttp.runtime.config import Settings
from decnet_ttp.runtime.streams import ensure_streams

TOGETHER, OTHER, ELSEWHERE = UUID(int=99), UUID(int=98), UUID(int=97)


class ToldDirectory:
    """A directory whose word the test sets; attackers that it does not name have their stub."""

    def __init__(self) -> None:
        self.identities: dict[UUID, UUID] = {}
        self.failures = 0
        self.asked: list[list[UUID]] = []

    async def resolve(self, attackers: Iterable[UUID]) -> list[Membership]:
        return await self.known(attackers)

    async def known(self, attackers: Iterable[UUID]) -> list[Membership]:
        if self.failures:
            self.failures -= 1
            raise UnavailableError("the directory is away")
        self.asked.append(list(attackers))
        return [
            Membership(item, self.identities.get(item, stub_identity(item)), stub=False)
            for item in self.asked[-1]
        ]

    async def attackers_of(self, identity: UUID) -> list[UUID]:
        return [item for item, of in self.identities.items() if of == identity]


@pytest_asyncio.fixture
async def bus(nats_url: str) -> AsyncIterator[Bus]:
    """A connection of a clusterer."""
    connected = await connect_bus(Settings(nats_url=nats_url), name="clusterer")
    await ensure_streams(connected.js)
    yield connected
    await connected.close()


@asynccontextmanager
async def following(
    database: Database, bus: Bus, directory: ToldDirectory
) -> AsyncIterator[MembershipFollower]:
    """A follower that has compared everybody once, and will not again for an hour."""
    store = Store(database, REGISTRY)
    follower = MembershipFollower(database, store, directory, REGISTRY, period_s=3_600.0)
    stop = asyncio.Event()
    running = asyncio.create_task(follower.run(bus.nc, stop))

    async def compared() -> bool:
        return bool(directory.asked)

    try:
        await until(compared)
        yield follower
    finally:
        stop.set()
        await asyncio.wait_for(running, DEADLINE_S)


async def tell(bus: Bus, topic: str, **payload: Any) -> None:
    envelope = Envelope(topic, topic.removeprefix("identity."), payload)
    await bus.js.publish(envelope.topic, envelope.encode())


async def identities(database: Database) -> set[UUID]:
    return {row[0] for row in await fetch(database, "SELECT DISTINCT identity_uuid FROM states")}


async def test_states_are_those_the_new_membership_would_always_have_given(
    database: Database,
) -> None:
    store = Store(database, REGISTRY)
    items = many(6, 200)
    await record(store, items)
    apart = await states(database)
    directory = ToldDirectory()
    follower = MembershipFollower(database, store, directory, REGISTRY)

    directory.identities = dict.fromkeys(ATTACKERS, TOGETHER)
    assert await follower.compare() == len(ATTACKERS)
    assert await follower.compare() == 0
    merged = await states(database)
    assert {row[0] for row in merged} == {TOGETHER}
    counted = await fetch(database, "SELECT count(*) FROM observations")
    assert sum(row[5] for row in merged) == counted[0][0]

    async with database.connection() as connection:
        await connection.execute("TRUNCATE members, observations, states, transitions, outbox")
    await store.record(Batch(items, await directory.resolve(ATTACKERS)))
    assert await states(database) == merged

    directory.identities = {}
    assert await follower.compare() == len(ATTACKERS)
    assert await states(database) == apart


async def test_a_merge_of_many_is_announced_as_one_change_of_each_state(
    database: Database,
) -> None:
    """Not once for each attacker that moves."""
    store = Store(database, REGISTRY)
    await record(store, many(6, 200))
    async with database.connection() as connection:
        await connection.execute("TRUNCATE transitions, outbox")
    directory = ToldDirectory()
    directory.identities = dict.fromkeys(ATTACKERS, TOGETHER)
    await MembershipFollower(database, store, directory, REGISTRY).compare()
    told = await fetch(database, "SELECT identity_uuid, primitive FROM transitions")
    assert sorted(told) == [
        (TOGETHER, name) for name in sorted({item.primitive for item in many(6, 200)})
    ]
    assert await fetch(database, "SELECT count(*) FROM outbox") == [(len(told),)]


async def test_word_of_a_merge_moves_states_at_once(database: Database, bus: Bus) -> None:
    await record(Store(database, REGISTRY), many(7, 60))
    directory = ToldDirectory()

    async def moved() -> bool:
        return await identities(database) == {TOGETHER}

    async with following(database, bus, directory):
        directory.identities = dict.fromkeys(ATTACKERS, TOGETHER)
        first, *others = ATTACKERS
        for item in others:
            loser = str(stub_identity(item))
            await tell(bus, "identity.merged", winner_uuid=str(TOGETHER), loser_uuid=loser)
        await tell(bus, "identity.formed", observation_uuids=[str(first)])
        await until(moved)


async def test_word_of_a_split_need_not_name_who_was_known(database: Database, bus: Bus) -> None:
    """Here the states are the winner's; the loser, which stands again, was never recorded."""
    directory = ToldDirectory()
    directory.identities = dict.fromkeys(ATTACKERS, TOGETHER)
    store = Store(database, REGISTRY)
    await store.record(Batch(many(8, 60), await directory.resolve(ATTACKERS)))

    async def parted() -> bool:
        return await identities(database) == {TOGETHER, OTHER}

    async with following(database, bus, directory):
        directory.identities |= dict.fromkeys(ATTACKERS[:2], OTHER)
        await tell(bus, "identity.unmerged", identity_uuid=str(OTHER))
        await until(parted)


async def test_only_those_who_are_named_are_asked_for(database: Database, bus: Bus) -> None:
    await record(Store(database, REGISTRY), many(9, 60))
    directory = ToldDirectory()

    async def asked() -> bool:
        return len(directory.asked) >= 2

    async with following(database, bus, directory):
        await bus.js.publish("identity.merged", b"\xff no envelope")
        await tell(bus, "identity.formed", identity_uuid=str(ELSEWHERE), n=7, note="text", of=[1])
        await tell(bus, "identity.observation.linked", attacker_uuid=str(ATTACKERS[2]))
        await until(asked)
    assert sorted(directory.asked[0]) == ATTACKERS
    assert directory.asked[1] == [ATTACKERS[2]]


async def test_a_directory_that_is_written_after_the_word_is_followed(
    database: Database, bus: Bus
) -> None:
    """Ingest, for one, reads the word itself and writes the directory then."""
    await record(Store(database, REGISTRY), many(11, 60))
    directory = ToldDirectory()

    async def asked() -> bool:
        return len(directory.asked) >= 2

    async def moved() -> bool:
        return await identities(database) == {TOGETHER}

    async with following(database, bus, directory):
        await tell(bus, "identity.formed", observation_uuids=[str(item) for item in ATTACKERS])
        await until(asked)
        directory.identities = dict.fromkeys(ATTACKERS, TOGETHER)
        await until(moved)


def test_word_is_looked_at_again_ever_later_and_then_no_more() -> None:
    revisits, when = Revisits(), []
    revisits.add(Word({OTHER}, {OTHER}), 100.0)
    while (due := revisits.next_s()) is not None:
        assert revisits.take(due - 0.001) == Word()
        assert revisits.take(due) == Word({OTHER}, {OTHER})
        when.append(due - 100.0)
    assert when == list(LOOKS_S)


def test_word_that_comes_meanwhile_holds_nothing_up() -> None:
    revisits = Revisits()
    for step in range(4):
        revisits.add(Word({UUID(int=step)}), 0.1 * step)
        revisits.take(0.1 * step)
    assert revisits.next_s() == LOOKS_S[1]
    assert len(revisits.take(LOOKS_S[1]).named) == 4


async def test_after_a_failure_everybody_is_compared(database: Database, bus: Bus) -> None:
    """What was named then is not kept."""
    await record(Store(database, REGISTRY), many(10, 60))
    directory = ToldDirectory()

    async def moved() -> bool:
        return await identities(database) == {TOGETHER}

    async with following(database, bus, directory):
        directory.failures = 1
        directory.identities = dict.fromkeys(ATTACKERS, TOGETHER)
        await tell(bus, "identity.formed", observation_uuids=[str(ATTACKERS[0])])
        await until(moved)
    assert directory.failures == 0


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        ({}, set()),
        ({"winner_uuid": str(OTHER), "loser_uuid": OTHER.hex}, {OTHER}),
        ({"observation_uuids": [str(OTHER), 7, None, "x"], "ts": 1.5}, {OTHER}),
        ({"nested": {"identity_uuid": str(OTHER)}}, set()),
        ({"text": str(OTHER) * 1_000}, set()),
    ],
)
def test_uuids_are_taken_from_any_field(payload: dict[str, Any], expected: set[UUID]) -> None:
    assert named(payload) == expected


def test_a_long_list_is_cut() -> None:
    uuids = [str(UUID(int=number)) for number in range(MAX_NAMED + 5)]
    assert len(named({"observation_uuids": uuids})) == MAX_NAMED
