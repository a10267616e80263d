# SPDX-License-Identifier: AGPL-3.0-or-later
"""Verdicts about attackers: what they change, what they leave alone, and who may change it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from decnet_ttp.runtime.clients import open_channel
from decnet_ttp.runtime.config import Settings
from decnet_ttp.tag_store.adjustments import Adjustments
from decnet_ttp.tag_store.app import open_store
from decnet_ttp.tag_store.database import Database
from decnet_ttp.tag_store.fleet_settling import settle
from decnet_ttp.tag_store.recount import recount
from decnet_ttp.tag_store.rollup_reader import RollupFilter, read_cells
from decnet_ttp.tag_store.rule_states import RuleStates, Subject
from decnet_ttp.tag_store.scopes import Scope, ScopeKind
from decnet_ttp.tag_store.writer import TagWriter
from decnet_ttp.v1 import export_service_pb2, rollup_service_pb2, rule_pb2, scope_pb2, tag_pb2
from decnet_ttp.v1 import tag_store_service_pb2 as pb
from tag_store.samples import (
    ATTACKER,
    FLEET,
    NOON,
    OTHER_ATTACKER,
    StoreClient,
    adjusting_rule,
    attacker_scope,
    draft,
    group,
    until,
    verdict,
)
from tagger.rule_stores import serving_store

WHO = UUID(ATTACKER)


def said(
    amount: float, at: float | None = NOON, *, source_id: str = "intel:1", attacker: str = ATTACKER
) -> tag_pb2.TagGroup:
    """Return the group of an intel event that gave no tag."""
    adjustment = tag_pb2.AdjustmentDraft(
        source_kind="intel",
        source_id=source_id,
        rule_id="R0058",
        rule_version=1,
        amount=amount,
        reason="aggregate verdict: malicious",
    )
    if at is not None:
        adjustment.observe_time.CopyFrom(Timestamp(seconds=int(at)))
    return tag_pb2.TagGroup(
        origin_id=f"m-{source_id}-{at}",
        anchor=scope_pb2.Anchor(attacker_uuid=attacker),
        adjustments=[adjustment],
    )


async def insert(client: StoreClient, *groups: tag_pb2.TagGroup) -> int:
    """Store groups; returns how many attackers were adjusted."""
    answer: pb.InsertTagsResponse = await client.tags.InsertTags(
        pb.InsertTagsRequest(groups=groups)
    )
    return answer.adjusted_count


async def effective(client: StoreClient, scope: scope_pb2.Scope | None = None) -> dict[str, float]:
    """Return the effective confidence of each tag by its source."""
    request = pb.ListTagsRequest(scope=scope or attacker_scope())
    found = (await client.tags.ListTags(request)).tags
    return {tag.source_id: tag.effective_confidence for tag in found}


async def highest(client: StoreClient, scope: scope_pb2.Scope, band: int = 0) -> dict[str, float]:
    """Return the highest confidence of each technique, of tags from a band on."""
    request = rollup_service_pb2.ListTechniquesRequest(scope=scope, min_band=band)
    found = (await client.rollups.ListTechniques(request)).techniques
    return {row.sub_technique_id or row.technique_id: row.confidence_max for row in found}


async def test_a_verdict_changes_every_answer_and_nothing_stored(client: StoreClient) -> None:
    tags = [draft("c1", "T1059", confidence=0.8), draft("c2", "T1105", confidence=0.98)]
    assert await insert(client, group("m1", tags)) == 0
    assert await insert(client, said(0.05)) == 1
    request = pb.ListTagsRequest(scope=attacker_scope())
    first, second = (await client.tags.ListTags(request)).tags[::-1]
    assert (first.confidence, first.effective_confidence) == (0.8, 0.85)
    assert (second.confidence, second.effective_confidence) == (0.98, 1.0)
    assert list(first.adjustments) == [
        tag_pb2.Adjustment(
            rule_id="R0058",
            rule_version=1,
            amount=0.05,
            ceiling=1.0,
            reason="aggregate verdict: malicious",
            source_kind="intel",
            source_id="intel:1",
            observe_time=Timestamp(seconds=NOON),
        )
    ]
    session = scope_pb2.Scope(session_id="session-m1")
    for scope in (attacker_scope(), session, FLEET):
        assert await highest(client, scope, 3) == {"T1059": 0.85, "T1105": 1.0}
    request.min_confidence = 0.85
    assert len((await client.tags.ListTags(request)).tags) == 2
    export = export_service_pb2.ExportTagsRequest(scope=FLEET)
    async for page in client.exports.ExportTags(export):
        assert [tag.effective_confidence for tag in page.tags] == [0.85, 1.0]


async def test_the_last_verdict_counts_in_whatever_order_they_come(client: StoreClient) -> None:
    await insert(client, group("m1", [draft("c1", confidence=0.8)]))
    assert await insert(client, said(0.05, NOON + 2, source_id="intel:1:b")) == 1
    assert await insert(client, said(0.05, NOON + 2, source_id="intel:1:b")) == 0
    assert await insert(client, said(-0.1, NOON + 1, source_id="intel:1:a")) == 0
    assert await effective(client) == {"c1": 0.85}
    assert await insert(client, said(-0.1, NOON + 3, source_id="intel:1:c")) == 1
    assert await effective(client) == {"c1": 0.7}
    assert await insert(client, said(0.0, NOON + 4, source_id="intel:1:d")) == 1
    (tag,) = (await client.tags.ListTags(pb.ListTagsRequest(scope=attacker_scope()))).tags
    assert (tag.effective_confidence, len(tag.adjustments)) == (0.8, 0)
    assert await insert(client, said(0.05, None, source_id="intel:1:e")) == 1
    assert await insert(client, said(0.05, None, source_id="intel:1:e")) == 0


async def test_tags_that_come_after_the_verdict_are_adjusted_as_well(client: StoreClient) -> None:
    assert await insert(client, said(-0.1)) == 1
    await insert(client, group("m1", [draft("c1", confidence=0.65)]))
    assert await effective(client) == {"c1": 0.55}
    assert await highest(client, FLEET, 2) == {}


async def test_behaviour_and_identities_are_left_alone(client: StoreClient) -> None:
    fixed = draft("c1", confidence=0.8)
    fixed.confidence_fixed = True
    kinds = ("session", "identity", "email")
    tags = [fixed, *(draft(kind, confidence=0.8, source_kind=kind) for kind in kinds)]
    other = group("m2", [draft("o1", confidence=0.8)], attacker=OTHER_ATTACKER)
    alone = group("m3", [draft("i1", confidence=0.8)], attacker="", identity=OTHER_ATTACKER)
    await insert(client, group("m1", tags), other, alone, said(0.05))
    assert await effective(client, FLEET) == {
        "c1": 0.8,
        "session": 0.8,
        "identity": 0.8,
        "email": 0.85,
        "o1": 0.8,
        "i1": 0.8,
    }


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("amount", 1.5),
        ("amount", float("nan")),
        ("rule_id", ""),
        ("rule_version", 0),
        ("source_id", "x" * 513),
        ("reason", "\0"),
    ],
)
async def test_an_adjustment_that_cannot_be_stores_nothing(
    client: StoreClient, field: str, value: object
) -> None:
    wrong = said(0.05)
    setattr(wrong.adjustments[0], field, value)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await insert(client, group("m1", [draft("c1")]), wrong)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert f"groups[1].adjustments[0].{field}" in (caught.value.details() or "")
    assert await effective(client) == {}


async def test_disabling_the_rule_takes_its_adjustments_back(
    store_settings: Settings, tmp_path: Path
) -> None:
    """And enabling, clipping, an end, a narrower state and deletion do what they say."""
    async with serving_store(tmp_path) as (rules, target):
        settings = replace(store_settings, rule_store=target)
        async with (
            open_store(settings) as store,
            open_channel(settings.listen, settings) as channel,
        ):
            serving = asyncio.ensure_future(store.serve())
            await store.database.wait_opened()
            client = StoreClient(channel)

            async def reaches(expected: float) -> None:
                async def reached() -> bool:
                    return await effective(client) == {"c1": expected}

                await until(reached)

            # Before the states are known a verdict is kept without effect.
            assert await insert(client, group("m1", [draft("c1", confidence=0.8)]), said(0.15)) == 0
            await reaches(0.8)
            rules.snapshot(adjusting_rule())
            await reaches(0.95)
            rules.change(adjusting_rule("disabled"), revision=2)
            await reaches(0.8)
            assert await highest(client, attacker_scope(), 3) == {}
            rules.change(adjusting_rule("clipped", ceiling=0.9), revision=3)
            await reaches(0.9)
            ending = adjusting_rule("disabled")
            ending.state.expire_time.GetCurrentTime()
            ending.state.expire_time.seconds += 3_600
            rules.change(ending, revision=4)
            await reaches(0.8)
            ending.state.expire_time.GetCurrentTime()
            ending.state.expire_time.seconds += 1
            rules.change(ending, revision=5)
            await reaches(0.95)
            narrow = adjusting_rule()
            narrow.scoped_states.add(
                mode=rule_pb2.RULE_MODE_DISABLED, scope=rule_pb2.StateScope(attacker_uuid=ATTACKER)
            )
            rules.change(narrow, revision=6)
            await reaches(0.8)
            rules.change(adjusting_rule(), revision=7)
            await reaches(0.95)
            rules.delete("R0058", revision=8)
            await reaches(0.8)
            # Where this took long the store was silent, and was asked again before.
            times_asked = len(rules.requests)
            rules.cut()

            async def asked_again() -> bool:
                return len(rules.requests) > times_asked

            await until(asked_again)
            assert rules.requests[-1].after_revision == 8
            store.server.request_stop()
            await serving


def test_states_apply_to_whom_they_name() -> None:
    rule = adjusting_rule("clipped", ceiling=0.6)
    for scope, ceiling in (
        (rule_pb2.StateScope(network="198.51.100.0/24"), 0.0),
        (rule_pb2.StateScope(network="no network"), 0.0),
        (rule_pb2.StateScope(decky_id="d"), 0.0),
        (rule_pb2.StateScope(attacker_uuid=OTHER_ATTACKER), 0.9),
        (rule_pb2.StateScope(source_kind="command"), 0.0),
    ):
        rule.scoped_states.add(mode=rule_pb2.RULE_MODE_CLIPPED, confidence_max=ceiling, scope=scope)
    states = RuleStates([rule])

    def ceiling_for(attacker: str, ip: str | None) -> float:
        return states.ceiling("R0058", Subject(UUID(attacker), ip, "intel"), 0.0)

    assert ceiling_for(ATTACKER, "203.0.113.1/32") == 0.6
    assert ceiling_for(ATTACKER, "198.51.100.7") == 0.0
    assert ceiling_for(ATTACKER, None) == 0.6
    assert ceiling_for(OTHER_ATTACKER, None) == 0.9
    assert states.ceiling("R9999", Subject(WHO, None, "intel"), 0.0) == 0.0
    assert RuleStates(None).ceiling("R9999", Subject(WHO, None, "intel"), 0.0) == 1.0


async def test_a_large_attacker_is_changed_while_it_is_written_to(database: Database) -> None:
    """Counted on snapshots first, then under the lock; either way nothing is lost."""
    writer = TagWriter(database, lambda: None)
    adjustments = Adjustments(database, RuleStates(None), large_tags=1)

    async def write(part: int) -> None:
        for number in range(20):
            tags = [draft(f"{part}-{number}-{each}", confidence=0.8) for each in range(20)]
            await writer.write([group(f"m{part}-{number}", tags)], silent=True)

    async def judge() -> None:
        for at in range(1, 16):
            await adjustments.take([verdict(WHO, (0.05, -0.1, 0.0)[at % 3], at=at)])

    await write(0)
    await asyncio.gather(write(1), write(2), judge())
    assert (await adjustments.standing([WHO]))[0].in_force.amount == 0.05
    await settle(database)
    assert [each.differing for each in await recount(database, repair=False)] == [0] * len(
        await recount(database, repair=False)
    )
    for scope in (Scope(ScopeKind.ATTACKER, WHO), Scope(ScopeKind.FLEET)):
        (cell,) = await read_cells(database, scope, RollupFilter(min_band=3))
        assert (cell.tags, cell.confidence_max) == (1_200, 0.85)
