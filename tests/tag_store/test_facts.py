# SPDX-License-Identifier: AGPL-3.0-or-later
"""Facts and intel of attackers: kept once, bounded, listed by page."""

from __future__ import annotations

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from decnet_ttp.core.addresses import attacker_uuid
from decnet_ttp.v1 import attacker_fact_pb2 as pb
from decnet_ttp.v1 import directory_service_pb2
from tag_store.samples import NOON, StoreClient

ATTACKER = str(attacker_uuid("192.0.2.1"))


@pytest.fixture
async def known(client: StoreClient) -> StoreClient:
    """A store whose directory knows ATTACKER."""
    sightings = [directory_service_pb2.AddressSighting(ip="192.0.2.1")]
    await client.directory.ResolveAttackers(
        directory_service_pb2.ResolveAttackersRequest(sightings=sightings, create_missing=True)
    )
    return client


def fact(
    value: str, at: int, *, kind: int = pb.FACT_KIND_JA3, count: int = 0, **attributes: str
) -> pb.AttackerFact:
    return pb.AttackerFact(
        attacker_uuid=ATTACKER,
        kind=pb.FactKind.Name(kind),
        value=value,
        count=count,
        first_seen_time=Timestamp(seconds=at),
        last_seen_time=Timestamp(seconds=at),
        attributes=attributes,
    )


async def put(client: StoreClient, *facts: pb.AttackerFact) -> int:
    return (await client.directory.PutFacts(pb.PutFactsRequest(facts=facts))).inserted_count


async def listed(client: StoreClient, kind: int = 0, page: int = 100) -> list[pb.AttackerFact]:
    found: list[pb.AttackerFact] = []
    request = pb.ListFactsRequest(
        attacker_uuid=ATTACKER, kind=pb.FactKind.Name(kind), page_size=page
    )
    while True:
        response = await client.directory.ListFacts(request)
        found += response.facts
        request.page_token = response.next_page_token
        if not request.page_token:
            return found


async def test_fact_sent_again_is_kept_once_with_wider_times(known: StoreClient) -> None:
    first = fact("abc", NOON, count=3, filename="a.sh")
    assert await put(known, first, fact("abc", NOON - 5)) == 1
    assert await put(known, first, fact("abc", NOON + 9, count=2)) == 0
    (row,) = await listed(known)
    assert (row.value, row.count, dict(row.attributes)) == ("abc", 3, {"filename": "a.sh"})
    assert (row.first_seen_time.seconds, row.last_seen_time.seconds) == (NOON - 5, NOON + 9)


async def test_facts_are_listed_by_kind_and_last_seen_first(known: StoreClient) -> None:
    await put(
        known,
        fact("64500", NOON, kind=pb.FACT_KIND_ASN, name="Example"),
        fact("old", NOON - 1),
        fact("new", NOON),
        fact("also new", NOON),
        fact("SSH-2.0-Go", NOON, kind=pb.FACT_KIND_SSH_BANNER),
    )
    whole = await listed(known)
    assert [row.value for row in whole][2:] == ["old", "SSH-2.0-Go", "64500"]
    assert {row.value for row in whole[:2]} == {"new", "also new"}
    assert await listed(known, page=1) == whole
    assert [row.value for row in await listed(known, pb.FACT_KIND_ASN)] == ["64500"]


async def test_an_attacker_keeps_a_bounded_number_of_facts_of_a_kind(known: StoreClient) -> None:
    await put(known, *(fact(f"v{at}", NOON + at) for at in range(300)))
    assert [row.value for row in await listed(known)] == [f"v{at}" for at in range(299, 43, -1)]


async def test_what_cannot_be_kept_is_refused_by_name(known: StoreClient) -> None:
    for bad, field in (
        (fact("x", NOON, kind=pb.FACT_KIND_UNSPECIFIED), "facts[0].kind"),
        (fact("", NOON), "facts[0].value"),
        (fact("x" * 4097, NOON), "facts[0].value"),
        (fact("x", NOON, name="y" * 513), "facts[0].attributes"),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await put(known, bad)
        assert refusal.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert str(refusal.value.details()).startswith(field)
    stranger = fact("x", NOON)
    stranger.attacker_uuid = str(attacker_uuid("192.0.2.2"))
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await put(known, fact("x", NOON), stranger)
    assert refusal.value.code() is grpc.StatusCode.NOT_FOUND
    assert await listed(known) == []


async def test_a_provider_s_newest_word_is_kept(known: StoreClient) -> None:
    def record(verdict: str, at: int, provider: str = "abuseipdb") -> pb.PutIntelRequest:
        return pb.PutIntelRequest(
            record=pb.IntelRecord(
                attacker_uuid=ATTACKER,
                provider=provider,
                verdict=verdict,
                score=80,
                signals=["ssh-bruteforce"],
                observe_time=Timestamp(seconds=at),
            )
        )

    await known.directory.PutIntel(record("suspicious", NOON))
    await known.directory.PutIntel(record("malicious", NOON + 1))
    late = await known.directory.PutIntel(record("benign", NOON - 1))
    assert late.record.verdict == "malicious"
    await known.directory.PutIntel(record("noise", NOON, provider="greynoise"))
    request = pb.ListIntelRequest(attacker_uuid=ATTACKER, page_size=1)
    first = await known.directory.ListIntel(request)
    request.page_token = first.next_page_token
    second = await known.directory.ListIntel(request)
    assert [(row.provider, row.verdict) for row in (*first.records, *second.records)] == [
        ("abuseipdb", "malicious"),
        ("greynoise", "noise"),
    ]
    assert second.next_page_token == ""
