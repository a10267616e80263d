# SPDX-License-Identifier: AGPL-3.0-or-later
"""What the store answers: techniques, tactics, tags, exports, and whom it refuses."""

from __future__ import annotations

from uuid import UUID

import grpc
import pytest
import pytest_asyncio

from decnet_ttp.tag_store import rollup_reader
from decnet_ttp.tag_store.app import TagStore
from decnet_ttp.v1 import (
    export_service_pb2,
    rollup_service_pb2,
    scope_pb2,
    tag_store_service_pb2,
)
from tag_store.samples import (
    ATTACKER,
    CAMPAIGN,
    DAY_S,
    FLEET,
    NOON,
    OTHER_ATTACKER,
    StoreClient,
    attacker_scope,
    draft,
    group,
)

UNKNOWN = str(UUID(int=0xDEAD))
ListTags = tag_store_service_pb2.ListTagsRequest
ListTechniques = rollup_service_pb2.ListTechniquesRequest


@pytest_asyncio.fixture
async def filled(client: StoreClient) -> StoreClient:
    """Two attackers, three sessions, one technique under two tactics."""
    await client.tags.InsertTags(
        tag_store_service_pb2.InsertTagsRequest(
            groups=[
                group(
                    "m1",
                    [
                        draft("c1"),
                        draft("c2", at=NOON + 5.25),
                        draft("c3", "T1059", confidence=0.5),
                        draft("c4", "T1078", tactic="TA0001", rule_id="R0005"),
                        draft("c5", "T1078", tactic="TA0003", rule_id="R0099"),
                    ],
                ),
                group("m2", [draft("c6", at=NOON - DAY_S, confidence=0.7)]),
                group("m3", [draft("c7", "T1105", tactic="TA0011")], attacker=OTHER_ATTACKER),
            ]
        )
    )
    return client


def cells(response: rollup_service_pb2.ListTechniquesResponse) -> list[tuple[str, str, int]]:
    return [
        (row.tactic, row.sub_technique_id or row.technique_id, row.count)
        for row in response.techniques
    ]


async def test_techniques_come_in_matrix_order_with_names_times_and_link(
    filled: StoreClient,
) -> None:
    answer = await filled.rollups.ListTechniques(ListTechniques(scope=attacker_scope()))
    assert cells(answer) == [
        ("TA0001", "T1078", 1),
        ("TA0002", "T1059.004", 3),
        ("TA0002", "T1059", 1),
        ("TA0003", "T1078", 1),
    ]
    row = answer.techniques[1]
    assert row.tactic_name == "Execution"
    assert row.technique_name == "Command and Scripting Interpreter"
    assert row.sub_technique_name == "Command and Scripting Interpreter: Unix Shell"
    assert row.mitre_uri == "https://attack.mitre.org/techniques/T1059/004"
    assert (row.first_seen_time.seconds, row.first_seen_time.nanos) == (NOON - DAY_S, 0)
    assert (row.last_seen_time.seconds, row.last_seen_time.nanos) == (NOON + 5, 250_000_000)
    assert row.confidence_max == 0.9
    assert row.identity_count == 0


@pytest.mark.parametrize(
    ("scope", "total"),
    [
        (attacker_scope(), 6),
        (attacker_scope(OTHER_ATTACKER), 1),
        (scope_pb2.Scope(session_id="session-m1"), 5),
        (scope_pb2.Scope(session_id="session-m2"), 1),
        (FLEET, 7),
        (attacker_scope(UNKNOWN), 0),
        (scope_pb2.Scope(attacker_ip="192.0.2.99"), 0),
        (scope_pb2.Scope(session_id="nothing"), 0),
        (scope_pb2.Scope(identity_uuid=UNKNOWN), 0),
        (scope_pb2.Scope(campaign_uuid=UNKNOWN), 0),
    ],
)
async def test_a_scope_counts_its_own_tags(
    filled: StoreClient, scope: scope_pb2.Scope, total: int
) -> None:
    techniques = await filled.rollups.ListTechniques(ListTechniques(scope=scope))
    assert sum(row.count for row in techniques.techniques) == total
    tactics = await filled.rollups.ListTactics(rollup_service_pb2.ListTacticsRequest(scope=scope))
    assert sum(row.count for row in tactics.tactics) == total
    assert len((await filled.tags.ListTags(ListTags(scope=scope))).tags) == total


@pytest.mark.parametrize(
    "scope", [attacker_scope(), FLEET, scope_pb2.Scope(session_id="session-m1")]
)
async def test_band_and_days_narrow_the_roll_up(
    filled: StoreClient, scope: scope_pb2.Scope
) -> None:
    async def total(**filters: object) -> int:
        request = ListTechniques(scope=scope, **filters)  # type: ignore[arg-type]
        answer = await filled.rollups.ListTechniques(request)
        return sum(row.count for row in answer.techniques)

    everything = await total()
    earlier = 0 if scope.session_id else 1
    other = 1 if scope.HasField("fleet") else 0
    assert await total(min_band=rollup_service_pb2.CONFIDENCE_BAND_HIGH) == 4 + other
    assert await total(min_band=rollup_service_pb2.CONFIDENCE_BAND_MEDIUM) == 4 + earlier + other
    assert await total(start_time={"seconds": NOON}) == everything - earlier
    assert await total(end_time={"seconds": NOON}) == earlier
    assert await total(start_time={"seconds": NOON + DAY_S}) == 0


async def test_orders_by_count_and_by_last_seen(filled: StoreClient) -> None:
    by_count = await filled.rollups.ListTechniques(
        ListTechniques(scope=FLEET, order=rollup_service_pb2.TECHNIQUE_ORDER_COUNT)
    )
    assert cells(by_count)[0] == ("TA0002", "T1059.004", 3)
    by_time = await filled.rollups.ListTechniques(
        ListTechniques(scope=FLEET, order=rollup_service_pb2.TECHNIQUE_ORDER_LAST_SEEN)
    )
    times = [row.last_seen_time.seconds for row in by_time.techniques]
    assert times == sorted(times, reverse=True)


@pytest.mark.parametrize("order", [0, 1, 2, 3])
async def test_pages_of_techniques_hold_every_cell_once(
    filled: StoreClient, order: rollup_service_pb2.TechniqueOrder
) -> None:
    whole = await filled.rollups.ListTechniques(ListTechniques(scope=FLEET, order=order))
    found, token = [], ""
    while True:
        page = await filled.rollups.ListTechniques(
            ListTechniques(scope=FLEET, order=order, page_size=2, page_token=token)
        )
        assert len(page.techniques) <= 2
        found += cells(page)
        token = page.next_page_token
        if not token:
            break
    assert found == cells(whole)
    assert len(found) == 5


async def test_tactics_add_up_in_matrix_order(filled: StoreClient) -> None:
    answer = await filled.rollups.ListTactics(
        rollup_service_pb2.ListTacticsRequest(scope=FLEET, page_size=3)
    )
    assert [(row.tactic_name, row.count, row.technique_count) for row in answer.tactics] == [
        ("Initial Access", 1, 1),
        ("Execution", 4, 2),
        ("Persistence", 1, 1),
    ]
    rest = await filled.rollups.ListTactics(
        rollup_service_pb2.ListTacticsRequest(
            scope=FLEET, page_size=3, page_token=answer.next_page_token
        )
    )
    assert [row.tactic for row in rest.tactics] == ["TA0011"]
    assert rest.next_page_token == ""


async def test_campaign_counts_identities(filled: StoreClient, store: TagStore) -> None:
    async with store.database.connection() as connection:
        await connection.execute("INSERT INTO campaigns (uuid) VALUES ($1)", CAMPAIGN)
        for number, attacker in ((1, ATTACKER), (2, OTHER_ATTACKER)):
            identity = UUID(int=number)
            await connection.execute(
                "INSERT INTO identities (uuid, campaign_uuid) VALUES ($1, $2)", identity, CAMPAIGN
            )
            await connection.execute(
                "UPDATE attackers SET identity_uuid = $1 WHERE uuid = $2", identity, attacker
            )
    await filled.tags.InsertTags(
        tag_store_service_pb2.InsertTagsRequest(
            groups=[group("m9", [draft("c9")], attacker="", identity=str(UUID(int=2)))]
        )
    )
    scope = scope_pb2.Scope(campaign_uuid=CAMPAIGN)
    answer = await filled.rollups.ListTechniques(ListTechniques(scope=scope))
    assert {
        (row.sub_technique_id or row.technique_id): (row.count, row.identity_count)
        for row in answer.techniques
        if row.tactic != "TA0003"
    } == {"T1059.004": (4, 2), "T1059": (1, 1), "T1078": (1, 1), "T1105": (1, 1)}
    listed = await filled.tags.ListTags(ListTags(scope=scope))
    assert len(listed.tags) == 8


async def test_tags_come_newest_first_with_all_they_carry(filled: StoreClient) -> None:
    await filled.tags.InsertTags(
        tag_store_service_pb2.InsertTagsRequest(groups=[group("m8", [draft("c8", at=None)])])
    )
    answer = await filled.tags.ListTags(ListTags(scope=attacker_scope()))
    assert [tag.source_id for tag in answer.tags] == ["c8", "c6", "c5", "c4", "c3", "c2", "c1"]
    newest, oldest = answer.tags[0], answer.tags[-1]
    assert not newest.HasField("observe_time")
    assert newest.create_time.seconds > NOON
    assert (oldest.observe_time.seconds, oldest.observe_time.nanos) == (NOON, 0)
    assert oldest.evidence == draft("c1").evidence
    assert (oldest.anchor.attacker_uuid, oldest.session_id, oldest.decky_id) == (
        ATTACKER,
        "session-m1",
        "decky-1",
    )
    assert (oldest.rule_id, oldest.rule_version, oldest.attack_release) == (
        "R0010",
        1,
        "enterprise-v17.1",
    )


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({"technique_id": "T1059"}, ["c6", "c3", "c2", "c1"]),
        ({"technique_id": "T1059", "sub_technique_id": "T1059.004"}, ["c6", "c2", "c1"]),
        ({"tactic": "TA0003"}, ["c5"]),
        ({"rule_id": "R0005"}, ["c4"]),
        ({"source_kind": "email"}, []),
        ({"min_confidence": 0.7, "technique_id": "T1059"}, ["c6", "c2", "c1"]),
    ],
)
async def test_filters_of_tags(
    filled: StoreClient, filters: dict[str, object], found: list[str]
) -> None:
    for scope in (attacker_scope(), FLEET):
        answer = await filled.tags.ListTags(ListTags(scope=scope, **filters))  # type: ignore[arg-type]
        assert [tag.source_id for tag in answer.tags] == found


async def test_pages_of_tags_hold_every_tag_once(filled: StoreClient) -> None:
    found, token = [], ""
    while True:
        page = await filled.tags.ListTags(ListTags(scope=FLEET, page_size=3, page_token=token))
        found += [tag.source_id for tag in page.tags]
        token = page.next_page_token
        if not token:
            break
    assert found == ["c7", "c6", "c5", "c4", "c3", "c2", "c1"]


async def test_export_streams_every_tag_oldest_first(filled: StoreClient) -> None:
    await filled.tags.InsertTags(
        tag_store_service_pb2.InsertTagsRequest(
            groups=[group("big", [draft(f"b{number}") for number in range(1_500)])]
        )
    )
    sizes, sources = [], []
    async for part in filled.exports.ExportTags(export_service_pb2.ExportTagsRequest(scope=FLEET)):
        sizes.append(len(part.tags))
        sources += [tag.source_id for tag in part.tags]
    assert sizes == [1_000, 507]
    assert sources[:3] == ["c1", "c2", "c3"]
    assert len(set(sources)) == 1_507


@pytest.mark.parametrize(
    ("scope", "field"),
    [
        (scope_pb2.Scope(), "scope"),
        (scope_pb2.Scope(attacker_uuid="me"), "scope.attacker_uuid"),
        (scope_pb2.Scope(attacker_ip="999.0.0.1"), "scope.attacker_ip"),
        (scope_pb2.Scope(session_id="x" * 513), "scope.session_id"),
    ],
)
async def test_malformed_scopes_are_refused_by_name(
    client: StoreClient, scope: scope_pb2.Scope, field: str
) -> None:
    calls = (
        client.tags.ListTags(ListTags(scope=scope)),
        client.rollups.ListTechniques(ListTechniques(scope=scope)),
        client.rollups.ListTactics(rollup_service_pb2.ListTacticsRequest(scope=scope)),
    )
    for call in calls:
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await call
        assert refusal.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert (refusal.value.details() or "").startswith(field)


async def test_token_of_another_question_is_refused(filled: StoreClient) -> None:
    page = await filled.tags.ListTags(ListTags(scope=FLEET, page_size=1))
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await filled.tags.ListTags(
            ListTags(scope=attacker_scope(), page_size=1, page_token=page.next_page_token)
        )
    assert refusal.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_rollups_of_every_attacker_are_exported(
    client: StoreClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rollup_reader, "EXPORT_ATTACKERS", 2)
    names = [str(UUID(int=number)) for number in range(1, 6)]
    await client.tags.InsertTags(
        tag_store_service_pb2.InsertTagsRequest(
            groups=[
                group(f"m{at}", [draft(f"{name}/{n}") for n in range(at + 1)], attacker=name)
                for at, name in enumerate(names)
            ]
        )
    )
    found = [
        (each.attacker_uuid, [(row.sub_technique_id, row.count) for row in each.techniques])
        async for each in client.exports.ExportRollups(export_service_pb2.ExportRollupsRequest())
    ]
    assert found == [(name, [("T1059.004", at + 1)]) for at, name in enumerate(names)]
