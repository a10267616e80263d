# SPDX-License-Identifier: AGPL-3.0-or-later
"""Roll-ups of identities and campaigns: filled by the migration, kept beside a former release."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from uuid import UUID

import asyncpg
import pytest

from decnet_ttp.tag_store.campaigns import Campaigns
from decnet_ttp.tag_store.database import SCHEMA, Database
from decnet_ttp.tag_store.fleet_slots import add_up_slots
from decnet_ttp.tag_store.identities import Identities
from decnet_ttp.tag_store.migrate import migrate
from decnet_ttp.tag_store.migrations.runner import downgrade, upgrade
from decnet_ttp.tag_store.recount import recount
from decnet_ttp.tag_store.rollup_reader import RollupFilter, read_cells
from decnet_ttp.tag_store.rollup_sql import SLOTS
from decnet_ttp.tag_store.scope_folder import ScopeFolder, fold_all
from decnet_ttp.tag_store.scopes import Scope, ScopeKind
from decnet_ttp.tag_store.writer import TagWriter
from tag_store.samples import DAY_S, NOON, PATIENCE_S, draft, group, until

A, B, C = (UUID(int=number) for number in (1, 2, 3))
X, Y = UUID(int=101), UUID(int=102)
CAMPAIGN = UUID(int=201)
OF_X = Scope(ScopeKind.IDENTITY, X)
OF_Y = Scope(ScopeKind.IDENTITY, Y)
OF_CAMPAIGN = Scope(ScopeKind.CAMPAIGN, CAMPAIGN)

_ROWS = "SELECT count(*) FROM rollup_scope WHERE scope_uuid = $1"
_SLOT = f"SELECT pg_backend_pid() % {SLOTS}"
_MARKS = "SELECT count(*) FROM scope_changes"


async def tags_of(database: Database, scope: Scope) -> list[tuple[int, int]]:
    """Return tags and identities of each cell of a scope, in the order of techniques."""
    cells = await read_cells(database, scope, RollupFilter())
    cells.sort(key=lambda cell: cell.technique_id)
    return [(cell.tags, cell.identity_count) for cell in cells]


async def write(database: Database, attacker: UUID, sources: Sequence[str]) -> None:
    tags = [draft(source) for source in sources]
    await TagWriter(database, lambda: None).write(
        [group("m", tags, attacker=str(attacker))], silent=True
    )


async def test_schema_of_the_release_before_is_filled_and_its_writes_are_counted(
    database_url: str,
) -> None:
    await upgrade(database_url, schema=SCHEMA, revision="0004")
    connection = await asyncpg.connect(database_url, server_settings={"search_path": SCHEMA})
    add_rollup = """
        INSERT INTO rollup_attacker
        SELECT $1, '2026-03-05', c.id, 3, 2, '2026-03-05 12:00Z', '2026-03-05 13:00Z', 0.9
        FROM cells c
        ON CONFLICT (attacker_uuid, day, cell_id, band)
            DO UPDATE SET count = rollup_attacker.count + 2
    """
    await connection.execute(
        """
        INSERT INTO campaigns (uuid) VALUES (lpad('c9', 32, '0')::uuid);
        INSERT INTO identities (uuid, campaign_uuid)
        VALUES (lpad('65', 32, '0')::uuid, lpad('c9', 32, '0')::uuid);
        INSERT INTO attackers (uuid, identity_uuid, first_seen, last_seen) VALUES
            (lpad('1', 32, '0')::uuid, lpad('65', 32, '0')::uuid, now(), now()),
            (lpad('2', 32, '0')::uuid, NULL, now(), now());
        INSERT INTO cells (tactic, technique_id) VALUES ('TA0002', 'T1059');
        """
    )
    await connection.execute(add_rollup, A)
    await connection.execute(add_rollup, B)
    await migrate(database_url, schema=SCHEMA)
    database = Database(database_url)
    await database.open()
    for folded in (False, True):
        if folded:
            await fold_all(database)
        assert await tags_of(database, OF_X) == [(2, 0)]
        assert await tags_of(database, OF_CAMPAIGN) == [(2, 1)]
    # What follows is how the release before writes, links, and takes out of a campaign.
    await connection.execute(add_rollup, A)
    await connection.execute("UPDATE attackers SET identity_uuid = $1 WHERE uuid = $2", X, B)
    assert await tags_of(database, OF_X) == [(6, 0)]
    await fold_all(database)
    assert await tags_of(database, OF_X) == [(6, 0)]
    await connection.execute("UPDATE identities SET campaign_uuid = NULL")
    assert await tags_of(database, OF_CAMPAIGN) == []
    await fold_all(database)
    assert await tags_of(database, OF_CAMPAIGN) == []
    assert await connection.fetchval(_MARKS) == 0
    await database.close()
    await downgrade(database_url, schema=SCHEMA, revision="0004")
    await connection.execute(add_rollup, A)
    assert await connection.fetchval("SELECT sum(count) FROM rollup_attacker") == 8
    await connection.close()


async def test_what_a_commit_wrote_is_answered_at_once_and_folded_soon(database: Database) -> None:
    await write(database, A, ["a", "b"])
    await Identities(database).link(X, [A])
    assert (await database.fetch(_ROWS, X))[0][0] == 1, "a link folds its own changes"
    await write(database, A, ["c"])
    assert await tags_of(database, OF_X) == [(3, 0)]
    stop = asyncio.Event()
    folding = asyncio.ensure_future(ScopeFolder(database).run(stop))

    async def folded() -> bool:
        return not (await database.fetch(_MARKS))[0][0]

    await until(folded)
    stop.set()
    await folding
    assert await tags_of(database, OF_X) == [(3, 0)]
    assert [each.differing for each in await recount(database, repair=False)] == [0] * 7


async def test_a_writer_never_waits_for_whoever_changes_members(database: Database) -> None:
    """A fold holds its lock through a whole batch of the same attackers."""
    await write(database, A, ["a"])
    identities = Identities(database)
    await identities.link(X, [A])
    async with database.connection() as connection, connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", 0x64747470_6D657267)
        await connection.execute("LOCK TABLE rollup_scope, rollup_scope_day, scope_counted")
        async with asyncio.timeout(PATIENCE_S):
            await write(database, A, ["b", "c"])
    assert await tags_of(database, OF_X) == [(3, 0)]


async def test_unlinking_takes_times_and_confidence_back(database: Database) -> None:
    writer = TagWriter(database, lambda: None)
    for attacker, source, confidence, at in (
        (A, "a", 0.9, NOON),
        (B, "b", 0.86, NOON - 60),
        (C, "c", 0.95, NOON + DAY_S),
    ):
        tag = draft(source, confidence=confidence, at=at)
        await writer.write([group(source, [tag], attacker=str(attacker))], silent=True)
    identities = Identities(database)
    alone = await read_cells(database, Scope(ScopeKind.ATTACKER, A), RollupFilter())
    await identities.link(X, [A])
    assert await read_cells(database, OF_X, RollupFilter()) == alone
    await identities.link(Y, [B, C])
    await identities.merge(X, Y)
    (cell,) = await read_cells(database, OF_X, RollupFilter())
    assert (cell.tags, cell.confidence_max) == (3, 0.95)
    assert cell.last_seen - cell.first_seen == (DAY_S + 60) * 1_000_000
    await identities.unmerge(Y)
    assert await read_cells(database, OF_X, RollupFilter()) == alone
    assert await tags_of(database, OF_Y) == [(2, 0)]
    await identities.unlink([B, C])
    assert await tags_of(database, OF_Y) == []
    assert (await database.fetch(_ROWS, Y))[0][0] == 0


@pytest.mark.parametrize("folded", [False, True])
async def test_campaign_counts_an_identity_once_for_all_its_bands(
    database: Database, *, folded: bool
) -> None:
    writer = TagWriter(database, lambda: None)
    for attacker, identity, confidences in ((A, X, (0.4, 0.9)), (B, Y, (0.4, 0.7))):
        tags = [draft(f"{identity}{each}", confidence=each) for each in confidences]
        groups = [group(f"m{identity}", tags, attacker=str(attacker), identity=str(identity))]
        await writer.write(groups, silent=True)
        await Campaigns(database).assign(CAMPAIGN, "", [identity])
        tags = [draft(f"late{identity}{each}", confidence=each) for each in confidences]
        groups = [group(f"late{identity}", tags, attacker=str(attacker))]
        await writer.write(groups, silent=True)
    if folded:
        await fold_all(database)
    for band, expected in ((0, (8, 2)), (1, (8, 2)), (2, (4, 2)), (3, (2, 1))):
        for days in ((None, None), (0, 100_000)):
            found = await read_cells(database, OF_CAMPAIGN, RollupFilter(band, *days))
            assert [(cell.tags, cell.identity_count) for cell in found] == [expected]


async def test_slots_of_days_gone_by_are_added_up_beside_writers(
    database: Database, database_url: str
) -> None:
    fleet = Scope(ScopeKind.FLEET)
    week = RollupFilter(0, 0, 100_000)
    others: list[Database] = []
    # A writer's slot follows from the process that serves it, so two may have the same one.
    taken: set[int] = set()
    while len(others) < 3 or len(taken) < 2:
        others.append(Database(database_url, max_connections=1))
        await others[-1].open()
        taken |= {row[0] for row in await others[-1].fetch(_SLOT)}
    for at, other in enumerate(others):
        tags = [draft(f"{at}", at=NOON + at), draft(f"{at}b", "T1105", at=None)]
        await TagWriter(other, lambda: None).write([group(f"m{at}", tags)], silent=True)
    slots = "SELECT count(*) FROM rollup_fleet_day WHERE day = '2026-03-05'"
    before = await read_cells(database, fleet, week)
    assert (await database.fetch(slots))[0][0] == len(taken)
    await add_up_slots(database)
    assert (await database.fetch(slots))[0][0] == 1
    assert await read_cells(database, fleet, week) == before
    tags = [draft(f"late{at}", at=NOON + 60) for at in range(8)]
    await asyncio.gather(
        *(
            TagWriter(other, lambda: None).write([group(f"n{at}", [tags[at]])], silent=True)
            for at, other in enumerate([*others, database] * 2)
        ),
        *(add_up_slots(database) for _ in range(3)),
    )
    assert [each.differing for each in await recount(database, repair=False)] == [0] * 7
    for other in others:
        await other.close()
