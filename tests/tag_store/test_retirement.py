# SPDX-License-Identifier: AGPL-3.0-or-later
"""Tags that the rules of today no longer make: found, retired, listed on request, restored."""

from __future__ import annotations

from uuid import UUID

import grpc
import pytest

from decnet_ttp.tag_store.database import Database
from decnet_ttp.tag_store.retirement import Retirements
from decnet_ttp.tag_store.writer import TagWriter
from decnet_ttp.v1 import export_service_pb2, rollup_service_pb2, tag_pb2
from decnet_ttp.v1 import tag_store_service_pb2 as pb
from tag_store.samples import ATTACKER, FLEET, NOON, StoreClient, attacker_scope, draft, group

RUN = str(UUID(int=0x1234))
REPLACED, NOT_MADE, RULE_GONE = (
    pb.SUPERSEDED_KIND_REPLACED,
    pb.SUPERSEDED_KIND_NOT_MADE,
    pb.SUPERSEDED_KIND_RULE_GONE,
)


def made(source_id: str, technique: str, rule_id: str, version: int) -> tag_pb2.TagDraft:
    """Return a tag of some version of a rule."""
    tag = draft(source_id, technique, rule_id=rule_id, at=NOON + int(source_id[1:]))
    tag.rule_version = version
    return tag


async def history(client: StoreClient) -> None:
    """Store what versions of three rules made of four events."""
    tags = [
        made("c1", "T1059", "R0010", 1),
        made("c1", "T1059", "R0010", 2),
        made("c2", "T1105", "R0010", 1),
        made("c3", "T1078", "R0011", 1),
        made("c4", "T1105", "R0012", 3),
        made("c5", "T1105", "R0010", 1),
    ]
    await client.tags.InsertTags(pb.InsertTagsRequest(groups=[group("m1", tags)]))


async def find(client: StoreClient, *, passed_over: bool = False) -> int:
    """Note what is of another version than R0010 v2 and R0012 v3; R0011 is gone."""
    rules = [
        pb.RuleVersion(rule_id="R0010", rule_version=2, passed_over=passed_over),
        pb.RuleVersion(rule_id="R0012", rule_version=3),
    ]
    answer = await client.tags.FindSuperseded(pb.FindSupersededRequest(run_uuid=RUN, rules=rules))
    return int(answer.candidate_count)


async def judge(client: StoreClient, *, retire: bool) -> pb.JudgeSupersededResponse:
    """Judge the first four events, of which the rules make one tag now."""
    request = pb.JudgeSupersededRequest(
        run_uuid=RUN,
        events=[pb.EventKey(source_kind="command", source_id=f"c{n}") for n in (1, 2, 3, 4)],
        made=[
            pb.MadeTag(event=0, rule_id="R0010", technique_id="T1059"),
            pb.MadeTag(event=3, rule_id="R0012", technique_id="T1105"),
        ],
        retire=retire,
        requested_by="operator",
        reason="rules of 2026",
    )
    answer: pb.JudgeSupersededResponse = await client.tags.JudgeSuperseded(request)
    return answer


async def counts(client: StoreClient) -> dict[str, int]:
    """Return how often each technique of the attacker counts."""
    request = rollup_service_pb2.ListTechniquesRequest(scope=attacker_scope())
    found = (await client.rollups.ListTechniques(request)).techniques
    return {row.technique_id: row.count for row in found}


async def listed(client: StoreClient, *, retired: bool = False) -> list[tag_pb2.Tag]:
    """Return the tags of the attacker, oldest first."""
    request = pb.ListTagsRequest(scope=attacker_scope(), include_retired=retired)
    return list((await client.tags.ListTags(request)).tags)[::-1]


async def assert_recount_agrees(client: StoreClient) -> None:
    answer = await client.rollups.RecountRollups(rollup_service_pb2.RecountRollupsRequest())
    assert {
        each.rollup: each.differing_count for each in answer.rollups if each.differing_count
    } == {}


async def test_superseded_tags_are_listed_by_what_became_of_them(client: StoreClient) -> None:
    await history(client)
    assert await find(client) == 4
    answer = await judge(client, retire=False)
    assert answer.retired_count == 0
    assert sorted((each.source_id, each.rule_version, each.kind) for each in answer.tags) == [
        ("c1", 1, REPLACED),
        ("c2", 1, NOT_MADE),
        ("c3", 1, RULE_GONE),
    ]
    assert await counts(client) == {"T1059": 2, "T1105": 3, "T1078": 1}


async def test_rules_that_are_passed_over_supersede_nothing(client: StoreClient) -> None:
    await history(client)
    assert await find(client, passed_over=True) == 1
    answer = await judge(client, retire=True)
    assert [each.rule_id for each in answer.tags] == ["R0011"]


async def test_retired_tags_are_kept_marked_and_counted_no_more(client: StoreClient) -> None:
    await history(client)
    await find(client)
    assert (await judge(client, retire=True)).retired_count == 3
    again = await judge(client, retire=True)
    assert (again.retired_count, len(again.tags)) == (0, 0)
    assert await counts(client) == {"T1059": 1, "T1105": 2}
    assert [tag.source_id for tag in await listed(client)] == ["c1", "c4", "c5"]
    everything = await listed(client, retired=True)
    assert [tag.source_id for tag in everything if tag.HasField("retirement")] == ["c1", "c2", "c3"]
    assert everything[0].retirement.uuid == RUN
    assert everything[0].retirement.requested_by == "operator"
    assert everything[0].retirement.reason == "rules of 2026"
    export = export_service_pb2.ExportTagsRequest(scope=FLEET)
    async for page in client.exports.ExportTags(export):
        assert len(page.tags) == 3
    await assert_recount_agrees(client)
    # A replay of the old version finds its tags known, and they stay retired.
    request = pb.InsertTagsRequest(groups=[group("m1", [made("c2", "T1105", "R0010", 1)])])
    assert (await client.tags.InsertTags(request)).known_count == 1
    assert await counts(client) == {"T1059": 1, "T1105": 2}


async def test_a_retirement_can_be_undone(client: StoreClient) -> None:
    await history(client)
    await find(client)
    await judge(client, retire=True)
    request = pb.RestoreTagsRequest(retirement_uuid=RUN, requested_by="operator")
    assert (await client.tags.RestoreTags(request)).restored_count == 3
    assert (await client.tags.RestoreTags(request)).restored_count == 0
    assert await counts(client) == {"T1059": 2, "T1105": 3, "T1078": 1}
    assert not any(tag.HasField("retirement") for tag in await listed(client, retired=True))
    await assert_recount_agrees(client)
    request.retirement_uuid = str(UUID(int=9))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await client.tags.RestoreTags(request)
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


async def test_every_retirement_is_recorded(database: Database) -> None:
    writer = TagWriter(database, lambda: None)
    await writer.write([group("m1", [draft("c1"), draft("c2")])], silent=True)
    retirements = Retirements(database)
    uuids = [row[0] for row in await database.fetch("SELECT uuid FROM tags ORDER BY uuid")]
    who = {"requested_by": "operator", "reason": "why"}
    assert await retirements.retire(UUID(RUN), uuids[:1], **who) == 1
    assert await retirements.retire(UUID(RUN), uuids, **who) == 1
    columns = "requested_by, reason, tags, restored_by, restored_at IS NULL"
    rows = await database.fetch(f"SELECT {columns} FROM retirements")  # noqa: S608 - columns of ours
    assert [tuple(row) for row in rows] == [("operator", "why", 2, None, True)]
    await retirements.restore(UUID(RUN), requested_by="another")
    rows = await database.fetch(f"SELECT {columns} FROM retirements")  # noqa: S608 - columns of ours
    assert [tuple(row) for row in rows] == [("operator", "why", 2, "another", False)]


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (pb.FindSupersededRequest(run_uuid="x"), "run_uuid"),
        (pb.FindSupersededRequest(run_uuid=RUN), "rules"),
    ],
)
async def test_a_search_that_cannot_be(
    client: StoreClient, request_: pb.FindSupersededRequest, field: str
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await client.tags.FindSuperseded(request_)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert field in (caught.value.details() or "")


async def test_a_made_tag_names_an_event_of_the_request(client: StoreClient) -> None:
    request = pb.JudgeSupersededRequest(run_uuid=RUN, made=[pb.MadeTag(event=0, rule_id=ATTACKER)])
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await client.tags.JudgeSuperseded(request)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
