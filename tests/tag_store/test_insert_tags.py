# SPDX-License-Identifier: AGPL-3.0-or-later
"""InsertTags: all or nothing, once."""

from __future__ import annotations

import math
from uuid import uuid5

import grpc
import pytest

from decnet_ttp.core.tags import TAG_NAMESPACE
from decnet_ttp.runtime.config import Settings
from decnet_ttp.tag_store.app import TagStore
from decnet_ttp.v1 import rollup_service_pb2, tag_pb2, tag_store_service_pb2
from tag_store.samples import (
    ATTACKER,
    FLEET,
    IDENTITY,
    OTHER_ATTACKER,
    StoreClient,
    announced,
    attacker_scope,
    draft,
    group,
    until,
)


def insert(*groups: tag_pb2.TagGroup, silent: bool = False) -> object:
    return tag_store_service_pb2.InsertTagsRequest(groups=groups, silent=silent)


async def outbox_empty(store: TagStore) -> None:
    """Return once the relay has taken everything."""

    async def empty() -> bool:
        return not await store.database.fetch("SELECT FROM outbox")

    await until(empty)


async def test_insert_twice_stores_and_announces_once(
    client: StoreClient, store: TagStore, store_settings: Settings
) -> None:
    request = insert(
        group("m1", [draft("c1"), draft("c2", "T1105", tactic="TA0011", confidence=0.6)]),
        group("m2", [draft("c3")], attacker=OTHER_ATTACKER),
    )
    first = await client.tags.InsertTags(request)
    second = await client.tags.InsertTags(request)
    assert (first.inserted_count, first.known_count, first.announced_count) == (3, 0, 2)
    assert (second.inserted_count, second.known_count, second.announced_count) == (0, 3, 0)

    await outbox_empty(store)
    messages = await announced(store_settings)
    assert [subject for subject, _ in messages] == [
        "ttp.tagged",
        "ttp.rule.fired.T1059",
        "ttp.rule.fired.T1105",
        "ttp.tagged",
        "ttp.rule.fired.T1059",
    ]
    c1, c2 = (
        str(uuid5(TAG_NAMESPACE, name))
        for name in ("command|c1|R0010|1|T1059|T1059.004", "command|c2|R0010|1|T1105|")
    )
    tagged = messages[0][1]
    assert sorted(tagged.pop("tag_uuids")) == sorted([c1, c2])
    assert tagged == {
        "attacker_uuid": ATTACKER,
        "identity_uuid": None,
        "session_id": "session-m1",
        "decky_id": "decky-1",
        "origin_id": "m1",
        "techniques_added": ["T1059", "T1105"],
        "sub_techniques_added": ["T1059.004"],
        "rule_ids": ["R0010"],
        "confidence_max": 0.9,
    }
    assert messages[2][1] == {
        "attacker_uuid": ATTACKER,
        "identity_uuid": None,
        "session_id": "session-m1",
        "technique_id": "T1105",
        "sub_technique_ids": [],
        "tag_uuids": [c2],
        "rule_ids": ["R0010"],
        "confidence_max": 0.6,
    }


async def test_announcement_lists_only_what_is_new(
    client: StoreClient, store: TagStore, store_settings: Settings
) -> None:
    await client.tags.InsertTags(insert(group("m1", [draft("c1")])))
    again = await client.tags.InsertTags(
        insert(group("m1", [draft("c1"), draft("c2", "T1105", tactic="TA0011")]))
    )
    assert (again.inserted_count, again.known_count, again.announced_count) == (1, 1, 1)
    await outbox_empty(store)
    tagged = [body for subject, body in await announced(store_settings) if subject == "ttp.tagged"]
    assert [body["techniques_added"] for body in tagged] == [["T1059"], ["T1105"]]


async def test_silent_insert_stores_without_a_word(
    client: StoreClient, store: TagStore, store_settings: Settings
) -> None:
    answer = await client.tags.InsertTags(insert(group("m1", [draft("c1")]), silent=True))
    assert (answer.inserted_count, answer.announced_count) == (1, 0)
    assert (await store.database.fetch("SELECT count(*) FROM outbox"))[0][0] == 0


async def test_groups_of_one_message_are_announced_together(
    client: StoreClient, store: TagStore, store_settings: Settings
) -> None:
    answer = await client.tags.InsertTags(
        insert(group("m1", [draft("c1")]), group("m1", [draft("c2")]))
    )
    assert (answer.inserted_count, answer.announced_count) == (2, 1)


async def test_tags_below_the_floor_are_counted_and_left_out(client: StoreClient) -> None:
    answer = await client.tags.InsertTags(
        insert(
            group(
                "m1",
                [
                    draft("c1", confidence=0.3),
                    draft("c2", confidence=math.nextafter(0.3, 0)),
                    draft("c3", confidence=0.0),
                ],
            )
        )
    )
    assert (answer.inserted_count, answer.below_floor_count) == (1, 2)


async def test_repeats_within_a_request_count_as_known(client: StoreClient) -> None:
    answer = await client.tags.InsertTags(
        insert(group("m1", [draft("c1"), draft("c1")]), group("m2", [draft("c1")]))
    )
    assert (answer.inserted_count, answer.known_count, answer.announced_count) == (1, 2, 1)


def _changed(**fields: object) -> tag_pb2.TagDraft:
    tag = draft("c2")
    for name, value in fields.items():
        setattr(tag, name, value)
    return tag


def _at(seconds: int) -> tag_pb2.TagDraft:
    tag = draft("c2")
    tag.observe_time.seconds = seconds
    return tag


@pytest.mark.parametrize(
    ("broken", "field"),
    [
        (group("m2", [draft("c2")], attacker=""), "groups[1].anchor"),
        (group("m2", [draft("c2")], attacker="nobody"), "groups[1].anchor.attacker_uuid"),
        (group("m2", [draft("c2")], session="s" * 513), "groups[1].session_id"),
        (group("m2", [draft("c2")], decky="a\0b"), "groups[1].decky_id"),
        (group("m2", [_changed(confidence=1.01)]), "groups[1].tags[0].confidence"),
        (group("m2", [_changed(confidence=math.nan)]), "groups[1].tags[0].confidence"),
        (group("m2", [_changed(technique_id="T1059.004")]), "groups[1].tags[0].technique_id"),
        (
            group("m2", [_changed(sub_technique_id="T1060.001")]),
            "groups[1].tags[0].sub_technique_id",
        ),
        (group("m2", [_changed(tactic="execution")]), "groups[1].tags[0].tactic"),
        (group("m2", [_changed(rule_id="")]), "groups[1].tags[0].rule_id"),
        (group("m2", [_changed(rule_version=0)]), "groups[1].tags[0].rule_version"),
        (group("m2", [_changed(source_kind="")]), "groups[1].tags[0].source_kind"),
        (group("m2", [_changed(source_id="")]), "groups[1].tags[0].source_id"),
        (group("m2", [_changed(source_id="a\0")]), "groups[1].tags[0].source_id"),
        (group("m2", [_changed(attack_release="")]), "groups[1].tags[0].attack_release"),
        (group("m2", [_at(1 << 60)]), "groups[1].tags[0].observe_time"),
    ],
)
async def test_one_bad_tag_refuses_the_whole_request(
    client: StoreClient, broken: tag_pb2.TagGroup, field: str
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await client.tags.InsertTags(insert(group("m1", [draft("c1")]), broken))
    assert refusal.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert (refusal.value.details() or "").startswith(field)
    listed = await client.tags.ListTags(tag_store_service_pb2.ListTagsRequest(scope=FLEET))
    assert list(listed.tags) == []


async def test_too_many_tags_are_refused(client: StoreClient) -> None:
    many = group("m1", [draft("c1")])
    many.tags.extend([many.tags[0]] * 50_000)
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await client.tags.InsertTags(insert(many))
    assert refusal.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_identity_named_with_an_attacker_takes_it_in(client: StoreClient) -> None:
    await client.tags.InsertTags(
        insert(
            group("m1", [draft("c1")], identity=IDENTITY),
            group("m2", [draft("c2", "T1105", tactic="TA0011")], attacker="", identity=IDENTITY),
        )
    )
    answer = await client.rollups.ListTechniques(
        rollup_service_pb2.ListTechniquesRequest(
            scope={"identity_uuid": IDENTITY}  # type: ignore[arg-type]
        )
    )
    assert [(row.technique_id, row.count) for row in answer.techniques] == [
        ("T1059", 1),
        ("T1105", 1),
    ]
    alone = await client.rollups.ListTechniques(
        rollup_service_pb2.ListTechniquesRequest(scope=attacker_scope())
    )
    assert [row.technique_id for row in alone.techniques] == ["T1059"]


async def test_empty_request_stores_nothing(client: StoreClient) -> None:
    answer = await client.tags.InsertTags(insert(group("m1", [])))
    assert answer == tag_store_service_pb2.InsertTagsResponse()
