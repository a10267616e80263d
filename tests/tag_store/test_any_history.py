# SPDX-License-Identifier: AGPL-3.0-or-later
"""Roll-ups equal a recount, and questions their answers, after any history of the store."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from decnet_ttp.core.errors import FailedPreconditionError, NotFoundError
from decnet_ttp.tag_store import deletion
from decnet_ttp.tag_store.adjustments import AdjustmentRow, Adjustments
from decnet_ttp.tag_store.campaigns import Campaigns
from decnet_ttp.tag_store.database import Database
from decnet_ttp.tag_store.directory import Directory
from decnet_ttp.tag_store.effects import EFFECTIVE, NO_EFFECT, TAG_EFFECT, Effect
from decnet_ttp.tag_store.fleet_settling import settle
from decnet_ttp.tag_store.identities import Identities
from decnet_ttp.tag_store.life_cycle import LifeCycle
from decnet_ttp.tag_store.live_counts import forget_abandoned
from decnet_ttp.tag_store.recount import recount
from decnet_ttp.tag_store.retirement import Retirements
from decnet_ttp.tag_store.rollup_reader import RollupFilter, read_cells
from decnet_ttp.tag_store.rule_states import RuleStates, Subject
from decnet_ttp.tag_store.scope_folder import fold_all
from decnet_ttp.tag_store.scopes import Scope, ScopeKind
from decnet_ttp.tag_store.tag_reader import TagFilter, read_page
from decnet_ttp.tag_store.writer import TagWriter
from decnet_ttp.v1 import tag_pb2
from tag_store.samples import DAY_S, NOON, adjusting_rule, draft, group, verdict

ATTACKERS = [UUID(int=number) for number in (1, 2, 3)]
IDENTITIES = [UUID(int=number) for number in (101, 102, 103)]
CAMPAIGNS = [UUID(int=number) for number in (201, 202)]

_tags = st.builds(
    lambda source, technique, confidence, at, kind: draft(
        f"c{source}", technique, confidence=confidence, at=at, source_kind=kind
    ),
    st.integers(0, 9),
    st.sampled_from(("T1059.004", "T1059", "T1105")),
    st.sampled_from((0.3, 0.6, 0.85, 0.9)),
    st.one_of(st.none(), st.sampled_from((NOON, NOON + 7, NOON - DAY_S))),
    st.sampled_from(("command", "file", "session")),
)
_anchors = st.one_of(
    st.tuples(st.sampled_from(ATTACKERS), st.none()),
    st.tuples(st.sampled_from(ATTACKERS), st.sampled_from(IDENTITIES)),
    st.tuples(st.none(), st.sampled_from(IDENTITIES)),
)
_groups = st.builds(
    lambda tags, anchor: group(
        "m", tags, attacker=str(anchor[0] or ""), identity=str(anchor[1] or "")
    ),
    st.lists(_tags, min_size=1, max_size=5),
    _anchors,
)
_verdicts = st.builds(
    lambda attacker, at, amount: verdict(attacker, amount, at=at, source_id=f"v{at}{amount}"),
    st.sampled_from(ATTACKERS),
    st.integers(1, 6),
    st.sampled_from((0.05, 0.3, -0.1, -1.0, 0.0)),
)
_batches = st.lists(_groups, min_size=1, max_size=3)

_EMPTY = """
    TRUNCATE tags, attackers, identities, campaigns, outbox, purges, fleet_recounts,
        anchor_recounts, running_counts, running_count_additions, attacker_adjustments,
        retirements, superseded_candidates,
        rollup_attacker, rollup_identity, rollup_fleet, rollup_fleet_day,
        rollup_scope, rollup_scope_day, scope_changes, scope_counted, scope_members,
        scope_newest, scope_newest_technique
"""
_SCOPE_CELLS = """
    SELECT t.tactic, t.technique_id, coalesce(t.sub_technique_id, ''), count(*),
        min(coalesce(t.observed_at, t.created_at)), max(coalesce(t.observed_at, t.created_at)),
        max({confidence}), {who}
    FROM tags t {effect}
    LEFT JOIN attackers a ON a.uuid = t.attacker_uuid
    JOIN identities i ON i.uuid
        = CASE WHEN t.attacker_uuid IS NULL THEN t.identity_uuid ELSE a.identity_uuid END
    LEFT JOIN identities r ON r.uuid = i.root_uuid
    WHERE t.retirement_uuid IS NULL AND {scope} = $1 AND {confidence} >= $2 AND ($3::date IS NULL
        OR (coalesce(t.observed_at, t.created_at) AT TIME ZONE 'UTC')::date = $3)
    GROUP BY 1, 2, 3
"""
_SCOPES = {
    ScopeKind.IDENTITY: _SCOPE_CELLS.format(
        who="0",
        scope="coalesce(i.root_uuid, i.uuid)",
        confidence=EFFECTIVE,
        effect=TAG_EFFECT,
    ),
    ScopeKind.CAMPAIGN: _SCOPE_CELLS.format(
        who="count(DISTINCT coalesce(i.root_uuid, i.uuid))",
        scope="coalesce(r.campaign_uuid, i.campaign_uuid)",
        confidence=EFFECTIVE,
        effect=TAG_EFFECT,
    ),
}
_SCOPE_SEQS = """
    SELECT t.seq FROM tags t
    LEFT JOIN attackers a ON a.uuid = t.attacker_uuid
    JOIN identities i ON i.uuid
        = CASE WHEN t.attacker_uuid IS NULL THEN t.identity_uuid ELSE a.identity_uuid END
    LEFT JOIN identities r ON r.uuid = i.root_uuid
    WHERE {scope} = $1 AND ($2 = '' OR t.technique_id = $2) AND ($3 = '' OR t.source_kind = $3)
        AND ($4 OR t.retirement_uuid IS NULL)
    ORDER BY t.seq DESC
"""
_SEQS = {
    ScopeKind.IDENTITY: _SCOPE_SEQS.format(scope="coalesce(i.root_uuid, i.uuid)"),
    ScopeKind.CAMPAIGN: _SCOPE_SEQS.format(scope="coalesce(r.campaign_uuid, i.campaign_uuid)"),
}
_PAGES = [
    TagFilter(),
    TagFilter(technique_id="T1059"),
    TagFilter(include_retired=True),
    TagFilter(technique_id="T1059", source_kind="command"),
]
#: Lowest band, its confidence, and a day or none.
_FILTERS = [
    (band, confidence, day)
    for band, confidence in ((0, 0.0), (2, 0.6), (3, 0.85))
    for day in (None, (NOON - 946_684_800) // DAY_S)
]
_LIVE_OF_KIND = "SELECT uuid FROM tags WHERE source_kind = $1 AND retirement_uuid IS NULL"
_UNDER_WAY = "SELECT FROM running_counts"
_LATEST = "SELECT coalesce(max(created_at), '2000-01-01'::timestamptz) FROM tags"


class StoreMachine(RuleBasedStateMachine):
    """Does to the store whatever its callers may, and knows which identities are merged."""

    database: Database
    runner: asyncio.Runner

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(work)

    @initialize(many=st.sampled_from((1, 4, 1_000)))
    def empty(self, many: int) -> None:
        # From so many tags on, an anchor is lessened and counted anew later.
        deletion.MANY_TAGS = many
        self.merged: dict[UUID, UUID] = {}
        self.known: set[UUID] = set()
        self.run(self.database.fetch(_EMPTY))
        self.writer = TagWriter(self.database, lambda: None)
        self.identities = Identities(self.database)
        self.campaigns = Campaigns(self.database)
        self.life_cycle = LifeCycle(self.database)
        self.adjustments = Adjustments(self.database, RuleStates([adjusting_rule()]), large_tags=3)
        self.retirements = Retirements(self.database)
        self.verdicts: dict[UUID, tuple[int, str, float]] = {}
        self.steps = 0
        # Whether nothing shrank that is not folded in: first and last times are right then.
        self.exact = True

    def _note(self, batch: list[tag_pb2.TagGroup]) -> None:
        self.known |= {
            UUID(each.anchor.identity_uuid) for each in batch if each.anchor.identity_uuid
        }

    @rule(batches=st.lists(_batches, min_size=1, max_size=3), twice=st.booleans())
    def insert_at_once(self, batches: list[list[tag_pb2.TagGroup]], *, twice: bool) -> None:
        async def insert() -> None:
            await asyncio.gather(
                *(
                    self.writer.write(batch, silent=True)
                    for batch in batches
                    for _ in range(1 + twice)
                )
            )

        self.run(insert())

    @rule(identity=st.sampled_from(IDENTITIES), attacker=st.sampled_from(ATTACKERS))
    def link(self, identity: UUID, attacker: UUID) -> None:
        try:
            self.run(self.identities.link(identity, [attacker]))
        except NotFoundError:
            return

    @rule(attacker=st.sampled_from(ATTACKERS))
    def unlink(self, attacker: UUID) -> None:
        try:
            self.run(self.identities.unlink([attacker]))
        except NotFoundError:
            return

    @rule(
        identity=st.sampled_from(IDENTITIES),
        campaign=st.one_of(st.none(), st.sampled_from(CAMPAIGNS)),
    )
    def assign(self, identity: UUID, campaign: UUID | None) -> None:
        try:
            self.run(self.campaigns.assign(campaign, "", [identity]))
        except NotFoundError:
            return

    @rule(
        batch=_batches,
        identity=st.sampled_from(IDENTITIES),
        attackers=st.permutations(ATTACKERS),
        campaign=st.sampled_from(CAMPAIGNS),
    )
    def change_members_while_writing(
        self,
        batch: list[tag_pb2.TagGroup],
        identity: UUID,
        attackers: list[UUID],
        campaign: UUID,
    ) -> None:
        async def work() -> None:
            results = await asyncio.gather(
                self.writer.write(batch, silent=True),
                self.identities.link(identity, attackers[:1]),
                self.identities.unlink(attackers[1:2]),
                self.campaigns.assign(campaign, "", [identity]),
                fold_all(self.database),
                return_exceptions=True,
            )
            for result in results:
                if isinstance(result, BaseException) and not isinstance(result, NotFoundError):
                    raise result

        self.run(work())

    @rule()
    def fold(self) -> None:
        self.run(fold_all(self.database))

    @rule(pair=st.permutations(IDENTITIES))
    def merge(self, pair: list[UUID]) -> None:
        winner, loser = pair[:2]
        try:
            self.run(self.identities.merge(winner, loser))
        except (NotFoundError, FailedPreconditionError):
            return
        self.merged[loser] = winner

    @rule(loser=st.sampled_from(IDENTITIES))
    def unmerge(self, loser: UUID) -> None:
        try:
            self.run(self.identities.unmerge(loser))
        except (NotFoundError, FailedPreconditionError):
            assert loser not in self.merged
            return
        del self.merged[loser]

    @rule(attacker=st.sampled_from(ATTACKERS))
    def purge_attacker(self, attacker: UUID) -> None:
        self._purge(Scope(ScopeKind.ATTACKER, attacker))
        self._forget_verdicts()

    @rule(identity=st.sampled_from(IDENTITIES))
    def purge_identity(self, identity: UUID) -> None:
        gone = self._tree(identity)
        self._purge(Scope(ScopeKind.IDENTITY, identity))
        self._forget_verdicts()
        self.merged = {
            loser: winner
            for loser, winner in self.merged.items()
            if loser not in gone and winner not in gone
        }

    def _forget_verdicts(self) -> None:
        """A purge forgets what was said of those it deletes."""
        kept = self.run(self.adjustments.standing(ATTACKERS))
        left = {each.attacker for each in kept}
        self.verdicts = {who: said for who, said in self.verdicts.items() if who in left}

    def _purge(self, scope: Scope) -> None:
        try:
            self.run(self.life_cycle.purge(scope, requested_by="test", reason=""))
        except NotFoundError:
            return

    @rule(kind=st.sampled_from(("", "file")), batch=_batches)
    def vacuum_while_writing(self, kind: str, batch: list[tag_pb2.TagGroup]) -> None:
        async def work() -> None:
            ((latest,),) = await self.database.fetch(_LATEST)
            await asyncio.gather(
                self.life_cycle.vacuum(latest + 1, source_kind=kind),
                self.writer.write(batch, silent=True),
            )

        self.run(work())

    @rule(verdicts=st.lists(_verdicts, min_size=1, max_size=3), batch=_batches)
    def judge_while_writing(
        self, verdicts: list[AdjustmentRow], batch: list[tag_pb2.TagGroup]
    ) -> None:
        async def work() -> None:
            await asyncio.gather(
                *(self.adjustments.take([each]) for each in verdicts),
                self.writer.write(batch, silent=True),
            )
            assert await self.adjustments.take(verdicts) == 0

        self.run(work())
        self._note_verdicts(verdicts)

    def _note_verdicts(self, verdicts: list[AdjustmentRow]) -> None:
        self.exact = False
        for row in verdicts:
            said = (row.observed_at or 0, row.source_id, row.amount)
            known = self.verdicts.get(row.attacker_uuid)
            if known is None or known[:2] < said[:2]:
                self.verdicts[row.attacker_uuid] = said

    @rule(
        said=_verdicts,
        kind=st.sampled_from(("command", "file")),
        batches=st.lists(_batches, min_size=1, max_size=3),
        cut=st.booleans(),
    )
    def judge_while_deleting_and_writing(
        self,
        said: AdjustmentRow,
        kind: str,
        batches: list[list[tag_pb2.TagGroup]],
        *,
        cut: bool,
    ) -> None:
        """Whoever is cut off in the middle leaves a mark, which the next one takes away."""

        async def work() -> None:
            ((latest,),) = await self.database.fetch(_LATEST)
            judging = asyncio.ensure_future(self.adjustments.take([said]))
            others = asyncio.gather(
                self.life_cycle.vacuum(latest + 1, source_kind=kind),
                *(self.writer.write(batch, silent=True) for batch in batches),
            )
            if cut:
                while not judging.done() and not await self.database.fetch(_UNDER_WAY):
                    continue
                judging.cancel()
                await asyncio.wait([judging])
            await others
            await (self.adjustments.take([said]) if judging.cancelled() else judging)
            await forget_abandoned(self.database)
            assert await self.database.fetch(_UNDER_WAY) == []
            assert await self.database.fetch("SELECT FROM running_count_additions") == []

        self.run(work())
        self._note_verdicts([said])

    @rule(mode=st.sampled_from(("enabled", "disabled", "clipped", "gone")))
    def change_the_rule(self, mode: str) -> None:
        self.adjustments.states = RuleStates([] if mode == "gone" else [adjusting_rule(mode)])
        self.run(self.adjustments.sweep())
        assert self.run(self.adjustments.sweep()) == 0
        self.exact = False

    @rule(kind=st.sampled_from(("command", "file", "session")), batch=_batches)
    def retire_while_writing(self, kind: str, batch: list[tag_pb2.TagGroup]) -> None:
        """Retires the tags of one kind, twice, as another may at the same time."""

        async def work() -> None:
            rows = await self.database.fetch(_LIVE_OF_KIND, kind)
            uuids = [row[0] for row in rows]
            retirement = UUID(int=500 + len(kind))
            first, second, _ = await asyncio.gather(
                self.retirements.retire(retirement, uuids, requested_by="test", reason=""),
                self.retirements.retire(retirement, uuids, requested_by="test", reason=""),
                self.writer.write(batch, silent=True),
            )
            assert first + second == len(uuids)

        self.run(work())
        self.exact = False

    @rule(kind=st.sampled_from(("command", "file", "session")))
    def restore(self, kind: str) -> None:
        try:
            self.run(self.retirements.restore(UUID(int=500 + len(kind)), requested_by="test"))
        except NotFoundError:
            return
        self.exact = False

    @invariant()
    def the_newest_verdict_counts(self) -> None:
        async def compare() -> None:
            assert self.adjustments.states is not None
            for attacker, (_, _, amount) in self.verdicts.items():
                subject = Subject(attacker, None, "intel")
                ceiling = self.adjustments.states.ceiling("R0058", subject, 0)
                expected = Effect(amount, ceiling if amount > 0 else 1.0)
                (standing,) = await self.adjustments.standing([attacker])
                assert standing.in_force == (expected if ceiling and amount else NO_EFFECT)

        self.run(compare())

    @invariant()
    def pages_hold_every_tag_once_newest_first(self) -> None:
        async def compare() -> None:
            asked = _PAGES[self.steps % len(_PAGES)]
            scopes = [Scope(ScopeKind.CAMPAIGN, campaign) for campaign in CAMPAIGNS]
            scopes += [
                Scope(ScopeKind.IDENTITY, each) for each in IDENTITIES if each not in self.merged
            ]
            for scope in scopes:
                expected = await self.database.fetch(
                    _SEQS[scope.kind],
                    scope.key,
                    asked.technique_id,
                    asked.source_kind,
                    asked.include_retired,
                )
                found: list[int] = []
                below = None
                while True:
                    page = await read_page(self.database, scope, asked, limit=2, below=below)
                    found += [row.seq for row in page.rows]
                    below = page.next_below
                    if below is None:
                        break
                assert found == [row[0] for row in expected]

        self.run(compare())

    def _tree(self, root: UUID) -> set[UUID]:
        tree = {root}
        while more := {loser for loser, winner in self.merged.items() if winner in tree} - tree:
            tree |= more
        return tree

    @invariant()
    def rollups_equal_a_recount(self) -> None:
        self.run(settle(self.database))
        found = self.run(recount(self.database, repair=False))
        assert [each.differing for each in found] == [0] * 7

    @invariant()
    def identities_and_campaigns_answer_for_their_members(self) -> None:
        async def compare() -> None:
            await settle(self.database)
            directory = Directory(self.database)
            self.steps += 1
            band, confidence, day = _FILTERS[self.steps % len(_FILTERS)]
            asked = RollupFilter(band, day, None if day is None else day + 1)
            scopes = [Scope(ScopeKind.CAMPAIGN, campaign) for campaign in CAMPAIGNS]
            for identity in IDENTITIES:
                root = identity
                while root in self.merged:
                    root = self.merged[root]
                scope = await directory.locate(Scope(ScopeKind.IDENTITY, identity))
                assert scope == Scope(ScopeKind.IDENTITY, root)
                scopes.append(Scope(ScopeKind.IDENTITY, root))
            for scope in scopes:
                expected = await self.database.fetch(
                    _SCOPES[scope.kind], scope.key, confidence, day
                )
                found = await read_cells(self.database, scope, asked)
                assert sorted(each[:4] for each in found) == sorted(each[:4] for each in expected)
                if not self.exact:
                    await fold_all(self.database)
                    found = await read_cells(self.database, scope, asked)
                assert sorted(map(tuple, found)) == sorted(map(tuple, expected))
            self.exact = True

        self.run(compare())


def test_rollups_hold_through_any_history(database_url: str) -> None:
    with asyncio.Runner() as runner:
        database = Database(database_url)
        runner.run(database.open())

        class Machine(StoreMachine):
            pass

        Machine.database, Machine.runner = database, runner
        many_tags = deletion.MANY_TAGS
        try:
            run_state_machine_as_test(
                Machine,
                settings=settings(
                    max_examples=15,
                    stateful_step_count=12,
                    deadline=None,
                    derandomize=True,
                    suppress_health_check=list(HealthCheck),
                ),
            )
        finally:
            deletion.MANY_TAGS = many_tags
            runner.run(database.close())


#: Rows that differ, by table, when rows of one table are tampered with.
LOST = {
    "attacker": {"attacker": 2},
    "identity": {"identity": 1, "scope_day": 1, "scope": 1},
    "fleet_day": {"fleet_day": 2},
    "fleet": {"fleet": 2},
    "scope_day": {"scope_day": 1},
    "scope": {"scope": 1},
}


async def test_recount_finds_and_repairs_newest_tags_that_would_hide_others(
    database: Database,
) -> None:
    groups = [
        group("m1", [draft("a"), draft("b", "T1105")], attacker=str(ATTACKERS[0])),
        group("m2", [draft("c"), draft("d")], attacker="", identity=str(IDENTITIES[0])),
    ]
    await TagWriter(database, lambda: None).write(groups, silent=True)
    await Identities(database).link(IDENTITIES[0], [ATTACKERS[0]])
    await fold_all(database)
    before = await recount(database, repair=False)
    assert before[-1] == ("newest", 3, 0)
    for table, wrong in (("scope_newest", 3), ("scope_newest_technique", 3)):
        await database.fetch(f"UPDATE {table} SET seq = 1")  # noqa: S608 - a test's own text
        assert (await recount(database, repair=False))[-1] == ("newest", 3, wrong)
        assert (await recount(database, repair=True))[-1] == ("newest", 3, wrong)
        assert await recount(database, repair=False) == before
    await database.fetch("UPDATE scope_newest SET seq = seq + 100")
    assert await recount(database, repair=False) == before, "a look too many hides nothing"


@pytest.mark.parametrize("table", [*LOST])
async def test_recount_finds_and_repairs_what_was_tampered_with(
    database: Database, table: str
) -> None:
    writer = TagWriter(database, lambda: None)
    groups = [
        group("m1", [draft("a"), draft("b", "T1105")], attacker=str(ATTACKERS[0])),
        group("m2", [draft("c"), draft("d")], attacker="", identity=str(IDENTITIES[0])),
    ]
    await writer.write(groups, silent=True)
    await fold_all(database)
    before = await recount(database, repair=True)
    assert [each.differing for each in before] == [0] * 7
    cell = "(SELECT id FROM cells WHERE technique_id = 'T1059')"
    await database.fetch(f"UPDATE rollup_{table} SET count = 77 WHERE cell_id = {cell}")  # noqa: S608 - a test's own text
    await database.fetch(f"DELETE FROM rollup_{table} WHERE cell_id <> {cell}")  # noqa: S608 - a test's own text
    found = await recount(database, repair=False)
    assert {each.rollup: each.differing for each in found if each.differing} == LOST[table]
    assert await recount(database, repair=True) == found
    assert await recount(database, repair=False) == before
