# SPDX-License-Identifier: AGPL-3.0-or-later
"""What events said of attackers, identities and campaigns: in any order, more than once."""

from __future__ import annotations

import random
from uuid import UUID

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from decnet_ttp.core.addresses import attacker_uuid
from decnet_ttp.tag_store.database import Database
from decnet_ttp.v1 import attacker_fact_pb2, directory_service_pb2, tag_store_service_pb2
from decnet_ttp.v1 import directory_update_pb2 as pb
from tag_store.samples import NOON, StoreClient, draft, group

ATTACKERS = [str(UUID(int=number)) for number in (1, 2, 3)]
IDENTITIES = [str(UUID(int=number)) for number in (101, 102, 103)]
CAMPAIGNS = [str(UUID(int=number)) for number in (201, 202)]

_STATE = """
    SELECT 'a', a.uuid::text, a.identity_uuid::text, '' FROM attackers a
    UNION ALL SELECT 'i', i.uuid::text, i.merged_into_uuid::text,
        concat(i.root_uuid, ' ', i.campaign_uuid, ' ', i.stated_campaign_uuid) FROM identities i
    UNION ALL SELECT 'c', c.uuid::text, c.merged_into_uuid::text, c.name FROM campaigns c
    ORDER BY 1, 2
"""


def at(seconds: int) -> Timestamp:
    return Timestamp(seconds=NOON + seconds)


def member(attacker: int, identity: int | None, when: int | None) -> pb.UpdateDirectoryRequest:
    entry = pb.Membership(
        attacker_uuid=ATTACKERS[attacker],
        identity_uuid="" if identity is None else IDENTITIES[identity],
    )
    if when is not None:
        entry.state_time.CopyFrom(at(when))
    return pb.UpdateDirectoryRequest(memberships=[entry])


def merge(loser: int, winner: int | None, when: int) -> pb.UpdateDirectoryRequest:
    entry = pb.IdentityMerge(
        loser_uuid=IDENTITIES[loser],
        winner_uuid="" if winner is None else IDENTITIES[winner],
        state_time=at(when),
    )
    return pb.UpdateDirectoryRequest(identity_merges=[entry])


def campaign(
    identity: int, number: int | None, when: int, name: str = ""
) -> pb.UpdateDirectoryRequest:
    entry = pb.CampaignMembership(
        identity_uuid=IDENTITIES[identity],
        campaign_uuid="" if number is None else CAMPAIGNS[number],
        name=name,
        state_time=at(when),
    )
    return pb.UpdateDirectoryRequest(campaign_memberships=[entry])


def campaigns_merged(loser: int, winner: int | None, when: int) -> pb.UpdateDirectoryRequest:
    entry = pb.CampaignMerge(
        loser_uuid=CAMPAIGNS[loser],
        winner_uuid="" if winner is None else CAMPAIGNS[winner],
        state_time=at(when),
    )
    return pb.UpdateDirectoryRequest(campaign_merges=[entry])


HISTORY = [
    member(0, 0, 1),
    member(0, 1, 5),
    member(1, 0, 2),
    member(1, None, 6),
    member(2, 2, 3),
    merge(2, 0, 4),
    merge(2, None, 7),
    merge(2, 1, 8),
    merge(0, 1, 9),
    campaign(1, 0, 2, "night shift"),
    campaign(1, 0, 4, "day shift"),
    campaign(0, 0, 3),
    campaign(2, 1, 5),
    campaigns_merged(0, 1, 6),
    campaign(0, 0, 7),
]


async def test_any_order_ends_in_the_same_directory(
    client: StoreClient, database: Database
) -> None:
    chance = random.Random(3)  # noqa: S311 - a fixed seed, nothing secret
    tables = "TRUNCATE attackers, identities, campaigns"
    ends = []
    for turn in range(8):
        await database.fetch(tables)
        order = HISTORY * (1 + turn % 2)
        if turn:
            chance.shuffle(order)
        for request in order:
            await client.directory.UpdateDirectory(request)
        ends.append([tuple(row) for row in await database.fetch(_STATE)])
    assert all(end == ends[0] for end in ends)
    rows = {row[1]: row[2:] for row in ends[0]}
    assert [rows[each][0] for each in ATTACKERS] == [IDENTITIES[1], None, IDENTITIES[2]]
    assert [rows[each][0] for each in IDENTITIES] == [IDENTITIES[1], None, IDENTITIES[1]]
    assert rows[CAMPAIGNS[0]] == (CAMPAIGNS[1], "day shift")
    # All count for the campaign that the other one joined, and would count apart again.
    assert rows[IDENTITIES[1]][1] == f" {CAMPAIGNS[1]} {CAMPAIGNS[0]}"


async def test_merge_the_other_way_round_holds_when_it_was_stated_later(
    client: StoreClient, database: Database
) -> None:
    for order in ((1, 2), (2, 1)):
        await database.fetch("TRUNCATE attackers, identities, campaigns")
        for turn in order:
            await client.directory.UpdateDirectory(merge(turn - 1, 2 - turn, turn))
            await client.directory.UpdateDirectory(campaigns_merged(turn - 1, 2 - turn, turn))
        rows = await database.fetch("SELECT uuid, merged_into_uuid, root_uuid FROM identities")
        first, second = (UUID(each) for each in IDENTITIES[:2])
        assert sorted(map(tuple, rows)) == [(first, None, None), (second, first, first)]
        rows = await database.fetch("SELECT uuid, merged_into_uuid FROM campaigns ORDER BY uuid")
        first, second = (UUID(each) for each in CAMPAIGNS)
        assert list(map(tuple, rows)) == [(first, None), (second, first)]


async def test_mention_links_only_whom_nobody_placed(client: StoreClient) -> None:
    async def identity_of(attacker: str) -> str:
        request = directory_service_pb2.GetAttackerRequest(attacker_uuid=attacker)
        return (await client.directory.GetAttacker(request)).attacker.identity_uuid

    await client.directory.UpdateDirectory(member(0, 0, None))
    await client.directory.UpdateDirectory(member(0, 1, None))
    assert await identity_of(ATTACKERS[0]) == IDENTITIES[0]
    request = directory_service_pb2.UnlinkAttackersRequest(attacker_uuids=[ATTACKERS[0]])
    await client.directory.UnlinkAttackers(request)
    # Neither a mention nor a tag puts back whom somebody took out; a later statement does.
    await client.directory.UpdateDirectory(member(0, 0, None))
    tags = group("m", [draft("c")], attacker=ATTACKERS[0], identity=IDENTITIES[0])
    await client.tags.InsertTags(tag_store_service_pb2.InsertTagsRequest(groups=[tags]))
    assert await identity_of(ATTACKERS[0]) == ""
    late = member(0, 2, 0)
    late.memberships[0].state_time.GetCurrentTime()
    late.memberships[0].state_time.seconds += 60
    assert (await client.directory.UpdateDirectory(late)).superseded_count == 0
    assert (await client.directory.UpdateDirectory(late)).superseded_count == 1
    assert await identity_of(ATTACKERS[0]) == IDENTITIES[2]


async def test_address_goes_to_whom_events_name_unless_another_has_it(client: StoreClient) -> None:
    address = directory_service_pb2.AddressSighting(ip="192.0.2.1")
    resolve = directory_service_pb2.ResolveAttackersRequest(
        sightings=[address], create_missing=True
    )
    await client.directory.ResolveAttackers(resolve)
    request = pb.UpdateDirectoryRequest(
        attackers=[
            pb.AttackerSighting(attacker_uuid=ATTACKERS[0], ip="192.0.2.1"),
            pb.AttackerSighting(attacker_uuid=ATTACKERS[1], ip="192.0.2.2"),
        ]
    )
    for _ in range(2):
        await client.directory.UpdateDirectory(request)
    address.ip = "192.0.2.2"
    named = directory_service_pb2.AddressSighting(attacker_uuid=ATTACKERS[0])
    await client.directory.UpdateDirectory(member(0, 0, 1))
    resolve = directory_service_pb2.ResolveAttackersRequest(
        sightings=[directory_service_pb2.AddressSighting(ip="192.0.2.1"), address, named]
    )
    found = (await client.directory.ResolveAttackers(resolve)).attackers
    assert [each.attacker_uuid for each in found] == [
        str(attacker_uuid("192.0.2.1")),
        ATTACKERS[1],
        ATTACKERS[0],
    ]
    assert [each.identity_uuid for each in found] == ["", "", IDENTITIES[0]]


async def test_facts_and_intel_make_the_attackers_they_are_about(client: StoreClient) -> None:
    fact = attacker_fact_pb2.AttackerFact(
        attacker_uuid=ATTACKERS[0],
        kind=attacker_fact_pb2.FACT_KIND_HASSH,
        value="ab" * 16,
        last_seen_time=at(0),
    )
    record = attacker_fact_pb2.IntelRecord(
        attacker_uuid=ATTACKERS[1], provider="abuseipdb", score=90, observe_time=at(0)
    )
    older = attacker_fact_pb2.IntelRecord(
        attacker_uuid=ATTACKERS[1], provider="abuseipdb", score=10, observe_time=at(-5)
    )
    request = pb.UpdateDirectoryRequest(facts=[fact, fact], intel_records=[record, older])
    assert (await client.directory.UpdateDirectory(request)).new_fact_count == 1
    assert (await client.directory.UpdateDirectory(request)).new_fact_count == 0
    listed = await client.directory.ListIntel(
        attacker_fact_pb2.ListIntelRequest(attacker_uuid=ATTACKERS[1])
    )
    assert [each.score for each in listed.records] == [90]


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (pb.UpdateDirectoryRequest(identity_uuids=["x"]), "identity_uuids[0]"),
        (
            pb.UpdateDirectoryRequest(identity_merges=[pb.IdentityMerge(loser_uuid=IDENTITIES[0])]),
            "identity_merges[0].state_time",
        ),
        (
            pb.UpdateDirectoryRequest(
                sessions=[pb.SessionRecord(attacker_uuid=ATTACKERS[0], session_id="")]
            ),
            "sessions[0].session_id",
        ),
        (merge(0, 0, 1), "identity_merges[0].winner_uuid"),
    ],
)
async def test_what_cannot_be_kept_is_named(
    client: StoreClient, request_: pb.UpdateDirectoryRequest, field: str
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await client.directory.UpdateDirectory(request_)
    assert refusal.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert field in str(refusal.value.details())
