# SPDX-License-Identifier: AGPL-3.0-or-later
"""The directory: addresses to attackers, and what is known of them."""

from __future__ import annotations

import asyncio

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from decnet_ttp.core.addresses import attacker_uuid
from decnet_ttp.v1 import directory_service_pb2 as pb
from decnet_ttp.v1 import tag_store_service_pb2
from tag_store.samples import DAY_S, IDENTITY, NOON, StoreClient, draft, group


def sighting(ip: str, first: int | None = None, last: int | None = None) -> pb.AddressSighting:
    message = pb.AddressSighting(ip=ip)
    if first is not None:
        message.first_seen_time.CopyFrom(Timestamp(seconds=first))
    if last is not None:
        message.last_seen_time.CopyFrom(Timestamp(seconds=last))
    return message


async def resolve(
    client: StoreClient, *sightings: pb.AddressSighting, create: bool = True
) -> list[tuple[str, str]]:
    answer = await client.directory.ResolveAttackers(
        pb.ResolveAttackersRequest(sightings=sightings, create_missing=create)
    )
    return [(attacker.ip, attacker.attacker_uuid) for attacker in answer.attackers]


async def get(client: StoreClient, **which: str) -> pb.Attacker:
    return (await client.directory.GetAttacker(pb.GetAttackerRequest(**which))).attacker


async def test_resolve_answers_in_order_and_in_canonical_form(client: StoreClient) -> None:
    first = str(attacker_uuid("192.0.2.1"))
    other = str(attacker_uuid("2001:db8::1"))
    assert await resolve(
        client,
        sighting("2001:DB8:0::1"),
        sighting("192.0.2.1"),
        sighting("not an address"),
        sighting("::ffff:192.0.2.1"),
        sighting("::1.2.3.4"),
    ) == [
        ("2001:db8::1", other),
        ("192.0.2.1", first),
        ("", ""),
        ("192.0.2.1", first),
        ("::102:304", str(attacker_uuid("::102:304"))),
    ]
    assert await resolve(client, sighting("::1.2.3.4"), create=False) == [
        ("::102:304", str(attacker_uuid("::102:304")))
    ]


async def test_unknown_address_stays_unknown_unless_asked_for(client: StoreClient) -> None:
    assert await resolve(client, sighting("192.0.2.1"), create=False) == [("192.0.2.1", "")]
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await get(client, ip="192.0.2.1")
    assert refusal.value.code() is grpc.StatusCode.NOT_FOUND


async def test_times_cover_every_sighting(client: StoreClient) -> None:
    await resolve(client, sighting("192.0.2.1", NOON, NOON + 10))
    await resolve(
        client,
        sighting("192.0.2.1", NOON + 2, NOON + 3),
        sighting("192.0.2.1", NOON - 5),
        sighting("192.0.2.1", None, NOON + 99),
        create=False,
    )
    attacker = await get(client, ip="192.0.2.1")
    assert (attacker.first_seen_time.seconds, attacker.last_seen_time.seconds) == (
        NOON - 5,
        NOON + 99,
    )


async def test_many_resolvers_at_once_make_one_row_each(client: StoreClient) -> None:
    addresses = [f"192.0.2.{number}" for number in range(50)]
    answers = await asyncio.gather(
        *(
            resolve(client, *(sighting(ip, NOON + turn) for ip in addresses[:: 1 - 2 * (turn % 2)]))
            for turn in range(8)
        )
    )
    expected = sorted((ip, str(attacker_uuid(ip))) for ip in addresses)
    assert all(sorted(answer) == expected for answer in answers)
    listed = await client.directory.ListAttackers(pb.ListAttackersRequest())
    assert len(listed.attackers) == 50


async def test_too_many_sightings_are_refused(client: StoreClient) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await resolve(client, *[sighting("192.0.2.1")] * 10_001)
    assert refusal.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_attackers_are_listed_last_seen_first_with_counts(client: StoreClient) -> None:
    for number in range(5):
        await resolve(client, sighting(f"192.0.2.{number}", NOON, NOON + number % 3))
    busy = str(attacker_uuid("192.0.2.1"))
    await client.tags.InsertTags(
        tag_store_service_pb2.InsertTagsRequest(
            groups=[
                group(
                    "m1",
                    [
                        draft("c1"),
                        draft("c2", at=NOON - DAY_S),
                        draft("c3", "T1078", tactic="TA0001"),
                        draft("c4", "T1078", tactic="TA0003", rule_id="R0099"),
                    ],
                    attacker=busy,
                    identity=IDENTITY,
                )
            ]
        )
    )
    found, token = [], ""
    while True:
        page = await client.directory.ListAttackers(
            pb.ListAttackersRequest(page_size=2, page_token=token)
        )
        found += list(page.attackers)
        token = page.next_page_token
        if not token:
            break
    times = [attacker.last_seen_time.seconds - NOON for attacker in found]
    assert times == [2, 1, 1, 0, 0]
    assert len({attacker.uuid for attacker in found}) == 5
    one = next(attacker for attacker in found if attacker.uuid == busy)
    assert (one.tag_count, one.technique_count, one.identity_uuid) == (4, 2, IDENTITY)
    assert one.first_seen_time.seconds == NOON - DAY_S
    assert await get(client, attacker_uuid=busy) == one


async def test_attacker_named_by_uuid_gets_its_address_with_the_first_sighting(
    client: StoreClient,
) -> None:
    uuid = str(attacker_uuid("192.0.2.1"))
    await client.tags.InsertTags(
        tag_store_service_pb2.InsertTagsRequest(groups=[group("m1", [draft("c1")], attacker=uuid)])
    )
    assert (await get(client, attacker_uuid=uuid)).ip == ""
    assert await resolve(client, sighting("192.0.2.1")) == [("192.0.2.1", uuid)]
    assert (await get(client, ip="192.0.2.1")).tag_count == 1


@pytest.mark.parametrize("which", [{}, {"ip": "x"}, {"attacker_uuid": "x"}])
async def test_malformed_attackers_are_refused(client: StoreClient, which: dict[str, str]) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await get(client, **which)
    assert refusal.value.code() is grpc.StatusCode.INVALID_ARGUMENT
