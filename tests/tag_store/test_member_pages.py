# SPDX-License-Identifier: AGPL-3.0-or-later
"""Pages over many members are those of a full sort, however they are found."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from uuid import UUID

import asyncpg
import pytest

from decnet_ttp.tag_store import tag_reader
from decnet_ttp.tag_store.campaigns import Campaigns
from decnet_ttp.tag_store.database import SCHEMA, Database
from decnet_ttp.tag_store.identities import Identities
from decnet_ttp.tag_store.migrate import migrate
from decnet_ttp.tag_store.migrations.runner import downgrade, upgrade
from decnet_ttp.tag_store.retirement import Retirements
from decnet_ttp.tag_store.scope_folder import fold_all
from decnet_ttp.tag_store.scopes import Scope, ScopeKind
from decnet_ttp.tag_store.tag_reader import TagFilter, read_page
from decnet_ttp.tag_store.writer import TagWriter
from tag_store.samples import NOON, draft, group

ATTACKERS = [UUID(int=number) for number in range(1, 41)]
IDENTITIES = [UUID(int=number) for number in range(101, 105)]
CAMPAIGN = UUID(int=201)
SCOPES = [
    *(Scope(ScopeKind.IDENTITY, each) for each in IDENTITIES),
    Scope(ScopeKind.CAMPAIGN, CAMPAIGN),
]
TECHNIQUES = ("T1059", "T1105", "T1110")

_LIVE_OF = """
    SELECT t.seq FROM tags t
    LEFT JOIN attackers a ON a.uuid = t.attacker_uuid
    JOIN identities i ON i.uuid
        = CASE WHEN t.attacker_uuid IS NULL THEN t.identity_uuid ELSE a.identity_uuid END
    LEFT JOIN identities r ON r.uuid = i.root_uuid
    WHERE ($1::uuid = coalesce(i.root_uuid, i.uuid)
            OR $1 = coalesce(r.campaign_uuid, i.campaign_uuid))
        AND ($2 = '' OR t.technique_id = $2) AND ($3 = '' OR t.rule_id = $3)
        AND t.retirement_uuid IS NULL
    ORDER BY t.seq DESC
"""

Between = Callable[[], Awaitable[object]]


async def sorted_seqs(database: Database, scope: Scope, asked: TagFilter) -> list[int]:
    """Return the numbers of a scope's tags by a full sort."""
    rows = await database.fetch(_LIVE_OF, scope.key, asked.technique_id, asked.rule_id)
    return [row[0] for row in rows]


async def paged_seqs(
    database: Database,
    scope: Scope,
    asked: TagFilter,
    limit: int,
    between: Between | None = None,
) -> list[int]:
    """Return them page by page."""
    found: list[int] = []
    below = None
    while True:
        page = await read_page(database, scope, asked, limit=limit, below=below)
        assert len(page.rows) <= limit
        found += [row.seq for row in page.rows]
        below = page.next_below
        if below is None:
            return found
        if between is not None:
            await between()


class History:
    """Writes, links, merges and folds at random, from a seed; knows who is merged."""

    def __init__(self, database: Database, seed: int) -> None:
        self._database = database
        self._random = random.Random(seed)  # noqa: S311 - a test's choice
        self._writer = TagWriter(database, lambda: None)
        self._identities = Identities(database)
        self._sources = 0
        self.merged: list[UUID] = []

    async def write(self) -> None:
        """Write some tags of some attackers and identities; many share their time."""
        groups = []
        for _ in range(self._random.randint(1, 12)):
            tags = []
            for _ in range(self._random.randint(1, 6)):
                self._sources += 1
                technique = self._random.choice(TECHNIQUES)
                rule = self._random.choice(("R0010", "R0014"))
                at = NOON + self._random.randint(0, 3)
                tags.append(draft(f"s{self._sources}", technique, rule_id=rule, at=at))
            attacker = str(self._random.choice(ATTACKERS[: self._random.choice((4, 40))]))
            identity = ""
            if self._random.random() < 0.1:
                attacker, identity = "", str(self._random.choice(IDENTITIES))
            groups.append(group(f"m{self._sources}", tags, attacker=attacker, identity=identity))
        await self._writer.write(groups, silent=True)

    async def begin(self) -> None:
        """Make everybody, and let most attackers belong to somebody."""
        groups = [
            group(f"first{each.int}", [draft(f"first{each.int}")], attacker=str(each))
            for each in ATTACKERS
        ]
        await self._writer.write(groups, silent=True)
        for at, identity in enumerate(IDENTITIES):
            await self._identities.link(identity, ATTACKERS[at * 9 : at * 9 + 9])
        await Campaigns(self._database).assign(CAMPAIGN, "", IDENTITIES[:2])

    async def step(self) -> None:
        """Do one thing."""
        what = self._random.randrange(8)
        if what == 0:
            await fold_all(self._database)
        elif what == 1:
            attacker = self._random.choice(ATTACKERS)
            standing = [each for each in IDENTITIES if each not in self.merged]
            await self._identities.link(self._random.choice(standing), [attacker])
        elif what == 2:
            await self._identities.unlink([self._random.choice(ATTACKERS)])
        elif what == 3 and not self.merged:
            winner, loser = self._random.sample(IDENTITIES, 2)
            await self._identities.merge(winner, loser)
            self.merged.append(loser)
        elif what == 3:
            await self._identities.unmerge(self.merged.pop())
        else:
            await self.write()


@pytest.mark.parametrize("seed", [1, 2])
async def test_pages_are_those_of_a_full_sort(
    database: Database, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr(tag_reader, "_SCAN_MEMBERS", 7)
    history = History(database, seed)
    await history.begin()
    filters = [
        TagFilter(),
        *(TagFilter(technique_id=each) for each in TECHNIQUES),
        TagFilter(rule_id="R0014"),
        TagFilter(technique_id="T1105", rule_id="R0010"),
    ]
    for at in range(30):
        await history.step()
        # Of a merged identity nobody asks: its question goes to the one it was merged into.
        standing = [each for each in SCOPES if each.key not in history.merged]
        scope, asked = standing[at % len(standing)], filters[at % len(filters)]
        expected = await sorted_seqs(database, scope, asked)
        for limit in (3, 25):
            assert await paged_seqs(database, scope, asked, limit) == expected


async def test_tags_that_arrive_between_pages_neither_repeat_nor_hide_any(
    database: Database,
) -> None:
    history = History(database, 3)
    await history.begin()
    for _ in range(8):
        await history.write()
    for asked in (TagFilter(), TagFilter(technique_id="T1059")):
        for scope in (SCOPES[0], SCOPES[-1]):
            expected = await sorted_seqs(database, scope, asked)
            assert len(expected) > 25
            found = await paged_seqs(database, scope, asked, 8, history.write)
            assert found == expected
            await fold_all(database)


async def test_a_number_too_high_costs_a_look_and_hides_nothing(database: Database) -> None:
    history = History(database, 4)
    await history.begin()
    await history.write()
    await fold_all(database)
    await database.fetch("UPDATE scope_newest SET seq = seq + 1000000 WHERE kind = 1")
    await database.fetch("DELETE FROM tags WHERE seq = (SELECT max(seq) FROM tags)")
    for scope in SCOPES:
        expected = await sorted_seqs(database, scope, TagFilter())
        assert await paged_seqs(database, scope, TagFilter(), 4) == expected


async def test_members_of_whom_all_is_retired_are_found_when_asked_for(database: Database) -> None:
    await TagWriter(database, lambda: None).write(
        [group("m", [draft("a"), draft("b", "T1105")], attacker=str(ATTACKERS[0]))], silent=True
    )
    await Identities(database).link(IDENTITIES[0], ATTACKERS[:1])
    rows = await database.fetch("SELECT uuid FROM tags")
    uuids = [row[0] for row in rows]
    await Retirements(database).retire(UUID(int=9), uuids, requested_by="test", reason="")
    for folded in (False, True):
        if folded:
            await fold_all(database)
        for technique in ("", "T1105"):
            live = TagFilter(technique_id=technique)
            assert await paged_seqs(database, SCOPES[0], live, 5) == []
            everything = TagFilter(technique_id=technique, include_retired=True)
            found = await paged_seqs(database, SCOPES[0], everything, 5)
            assert len(found) == (1 if technique else 2)


async def test_pages_are_right_while_an_upgrade_is_filled_and_beside_the_release_before(
    database_url: str,
) -> None:
    await upgrade(database_url, schema=SCHEMA, revision="0010")
    connection = await asyncpg.connect(database_url, server_settings={"search_path": SCHEMA})
    # As the release before left it: folded, with triggers that mark.
    await connection.execute(
        """
        INSERT INTO identities (uuid) VALUES (lpad('65', 32, '0')::uuid);
        INSERT INTO attackers (uuid, identity_uuid, first_seen, last_seen)
        SELECT lpad(n::text, 32, '0')::uuid, lpad('65', 32, '0')::uuid, now(), now()
        FROM generate_series(1, 9) n;
        INSERT INTO scope_members
        SELECT uuid, 1, identity_uuid FROM attackers;
        INSERT INTO cells (tactic, technique_id) VALUES ('TA0002', 'T1059');
        DELETE FROM scope_changes
        """
    )
    add_tag = """
        WITH tag AS (
            INSERT INTO tags VALUES (
                gen_random_uuid(), $1, lpad($2, 32, '0')::uuid, NULL, NULL, now(), 0.9, 1, 's',
                'd', 'command', 'c', 'TA0002', 'T1059', NULL, 'R0010', 'enterprise-v17.1', ''
            ) RETURNING attacker_uuid
        )
        INSERT INTO rollup_attacker AS r
        SELECT t.attacker_uuid, now()::date, c.id, 3, 1, now(), now(), 0.9 FROM tag t, cells c
        ON CONFLICT (attacker_uuid, day, cell_id, band) DO UPDATE SET count = r.count + 1
    """
    for seq in range(1, 28):
        await connection.execute(add_tag, seq, str(1 + seq % 9))
    await migrate(database_url, schema=SCHEMA)
    database = Database(database_url)
    await database.open()
    of_technique = TagFilter(technique_id="T1059")
    for seq in range(28, 31):
        for asked in (TagFilter(), of_technique):
            expected = list(range(seq - 1, 0, -1))
            assert await paged_seqs(database, SCOPES[0], asked, 4) == expected
        # What the release before writes and folds: it takes marks and knows of nothing else.
        await connection.execute(add_tag, seq, str(1 + seq % 9))
        await connection.execute("DELETE FROM scope_changes")
    known = "SELECT count(*), max(seq) FROM scope_newest_technique"
    assert tuple((await database.fetch(known))[0]) == (9, 30)
    await database.close()
    await downgrade(database_url, schema=SCHEMA, revision="0010")
    await connection.execute(add_tag, 31, "1")
    assert await connection.fetchval("SELECT count(*) FROM tags") == 31
    await connection.close()
