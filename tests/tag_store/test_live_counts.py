# SPDX-License-Identifier: AGPL-3.0-or-later
"""Counting an attacker anew holds no writer up, and loses nothing that is written meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from uuid import UUID

import pytest

from decnet_ttp.tag_store import writer as writer_module
from decnet_ttp.tag_store.adjustments import Adjustments
from decnet_ttp.tag_store.database import Database
from decnet_ttp.tag_store.effects import NO_EFFECT
from decnet_ttp.tag_store.fleet_settling import settle
from decnet_ttp.tag_store.life_cycle import LifeCycle
from decnet_ttp.tag_store.live_counts import OnAttackers, forget_abandoned
from decnet_ttp.tag_store.recount import recount
from decnet_ttp.tag_store.rule_states import RuleStates
from decnet_ttp.tag_store.writer import TagWriter
from tag_store.samples import ATTACKER, draft, group, until, verdict

WHO = UUID(ATTACKER)
_MARKED = "SELECT FROM running_counts"
_LEFT = "SELECT FROM running_count_additions"


async def write(writer: TagWriter, name: str, *, tags: int = 3) -> None:
    """Store tags of the attacker."""
    drafts = [draft(f"{name}-{number}", confidence=0.8) for number in range(tags)]
    await writer.write([group(name, drafts)], silent=True)


@asynccontextmanager
async def counting(
    database: Database, adjustments: Adjustments
) -> AsyncIterator[asyncio.Task[int]]:
    """Stop a count between its snapshot and its end; it goes on when the block is left."""
    async with database.connection() as connection, connection.transaction():
        # The count joins them; writers know the numbers of the cells they have met.
        await connection.execute("LOCK TABLE cells IN ACCESS EXCLUSIVE MODE")
        task = asyncio.create_task(adjustments.take([verdict(WHO, 0.05)]))
        await until(partial(database.fetch, _MARKED))
        yield task


async def differing(database: Database) -> int:
    """Return how many rows of roll-ups are wrong."""
    await settle(database)
    return sum(each.differing for each in await recount(database, repair=False))


async def test_writers_go_on_while_their_attacker_is_counted(database: Database) -> None:
    writer = TagWriter(database, lambda: None)
    adjustments = Adjustments(database, RuleStates(None), large_tags=1)
    await write(writer, "before")
    async with counting(database, adjustments) as task:
        await asyncio.gather(*(write(writer, f"meanwhile-{number}") for number in range(3)))
        assert not task.done()
        assert (await adjustments.standing([WHO]))[0].in_force == NO_EFFECT
        assert len(await database.fetch(_LEFT)) == 3
    assert await task == 1
    assert (await adjustments.standing([WHO]))[0].in_force.amount == 0.05
    assert await differing(database) == 0
    counts = await database.fetch("SELECT band, count FROM rollup_attacker")
    assert [tuple(row) for row in counts] == [(3, 12)]
    assert await database.fetch(_MARKED) == await database.fetch(_LEFT) == []


async def test_a_deletion_lets_the_count_begin_anew(database: Database) -> None:
    writer = TagWriter(database, lambda: None)
    adjustments = Adjustments(database, RuleStates(None), large_tags=1)
    await write(writer, "before")
    await writer.write([group("f", [draft("f", source_kind="file")])], silent=True)
    async with counting(database, adjustments) as task:
        deleting = asyncio.create_task(LifeCycle(database).vacuum(2**60, source_kind="file"))
    assert (await deleting).tags == 1
    assert await task == 1
    assert await differing(database) == 0


async def test_tags_of_the_release_before_are_not_lost(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It knows nothing of counts: the end sees tags missing, and counts under the lock."""

    async def blind(_connection: object, _attackers: object) -> OnAttackers:
        return OnAttackers({}, {})

    writer = TagWriter(database, lambda: None)
    adjustments = Adjustments(database, RuleStates(None), large_tags=1)
    await write(writer, "before")
    async with counting(database, adjustments) as task:
        with monkeypatch.context() as patched:
            patched.setattr(writer_module, "read_effects", blind)
            await write(writer, "meanwhile")
    assert await task == 1
    assert await differing(database) == 0


async def test_what_a_count_that_was_cut_off_left_is_taken_away(database: Database) -> None:
    writer = TagWriter(database, lambda: None)
    adjustments = Adjustments(database, RuleStates(None), large_tags=1)
    await write(writer, "before")
    async with counting(database, adjustments) as task:
        await forget_abandoned(database)
        await write(writer, "meanwhile")
        task.cancel()
        await asyncio.wait([task])
        # Still under way as far as anybody can tell, or gone: either way nothing is lost.
    await forget_abandoned(database)
    assert await database.fetch(_MARKED) == await database.fetch(_LEFT) == []
    assert await differing(database) == 0
    assert await adjustments.sweep() == 1
    assert await differing(database) == 0
