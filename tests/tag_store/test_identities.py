# SPDX-License-Identifier: AGPL-3.0-or-later
"""Identities and campaigns: links, merges, and that questions follow them both ways."""

from __future__ import annotations

from uuid import UUID

import grpc
import pytest

from decnet_ttp.v1 import directory_service_pb2 as pb
from decnet_ttp.v1 import rollup_service_pb2, scope_pb2, tag_store_service_pb2
from tag_store.samples import StoreClient, draft, group

A, B, C = (str(UUID(int=number)) for number in (1, 2, 3))
X, Y, Z = (str(UUID(int=number)) for number in (101, 102, 103))
CAMPAIGN = str(UUID(int=201))
OTHER_CAMPAIGN = str(UUID(int=202))


async def store_three(client: StoreClient) -> None:
    """Store one tag of A, two of B, four of C, and eight that name identity Y alone."""
    request = tag_store_service_pb2.InsertTagsRequest(
        groups=[
            group(f"m{name}", [draft(f"{name}{at}") for at in range(count)], attacker=name)
            for name, count in ((A, 1), (B, 2), (C, 4))
        ]
    )
    own = [draft(f"own{at}") for at in range(8)]
    request.groups.append(group("own", own, attacker="", identity=Y))
    await client.tags.InsertTags(request)


async def link(client: StoreClient, identity: str, *attackers: str) -> pb.Identity:
    request = pb.LinkAttackersRequest(identity_uuid=identity, attacker_uuids=attackers)
    return (await client.directory.LinkAttackers(request)).identity


async def merge(client: StoreClient, winner: str, loser: str) -> pb.Identity:
    request = pb.MergeIdentitiesRequest(winner_uuid=winner, loser_uuid=loser)
    return (await client.directory.MergeIdentities(request)).identity


async def unmerge(client: StoreClient, loser: str) -> pb.Identity:
    request = pb.UnmergeIdentityRequest(loser_uuid=loser)
    return (await client.directory.UnmergeIdentity(request)).identity


async def assign(client: StoreClient, campaign: str, *identities: str, name: str = "") -> None:
    await client.directory.AssignCampaign(
        pb.AssignCampaignRequest(campaign_uuid=campaign, name=name, identity_uuids=identities)
    )


async def tags_of(client: StoreClient, **scope: str) -> tuple[int, int]:
    """Return the tags of a scope, which roll-up and inspector agree on, and its identities."""
    asked = scope_pb2.Scope(**scope)
    listed = await client.rollups.ListTechniques(
        rollup_service_pb2.ListTechniquesRequest(scope=asked)
    )
    tags = await client.tags.ListTags(tag_store_service_pb2.ListTagsRequest(scope=asked))
    count = sum(row.count for row in listed.techniques)
    assert count == len(tags.tags)
    return count, max((row.identity_count for row in listed.techniques), default=0)


async def refusal(call: object) -> grpc.StatusCode:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call  # type: ignore[misc]  # a call of a stub
    return caught.value.code()


async def test_linked_attackers_count_for_their_identity_until_unlinked(
    client: StoreClient,
) -> None:
    await store_three(client)
    made = await link(client, X, B, A)
    assert (list(made.attacker_uuids), made.attacker_count) == ([A, B], 2)
    assert await tags_of(client, identity_uuid=X) == (3, 0)
    await link(client, Y, B)
    assert await tags_of(client, identity_uuid=X) == (1, 0)
    assert await tags_of(client, identity_uuid=Y) == (10, 0)
    unlinked = await client.directory.UnlinkAttackers(
        pb.UnlinkAttackersRequest(attacker_uuids=[A, B, C])
    )
    assert unlinked.unlinked_count == 2
    assert await tags_of(client, identity_uuid=X) == (0, 0)
    assert await tags_of(client, identity_uuid=Y) == (8, 0)


async def test_only_unlinked_attackers_are_linked_where_that_is_asked(client: StoreClient) -> None:
    """Whoever makes identities for the lonely never takes members from a real one."""
    await store_three(client)
    await link(client, X, A)
    asked = pb.LinkAttackersRequest(identity_uuid=Z, attacker_uuids=[A], only_unlinked=True)
    assert not (await client.directory.LinkAttackers(asked)).HasField("identity")
    asked.attacker_uuids.append(B)
    made = (await client.directory.LinkAttackers(asked)).identity
    assert (made.uuid, list(made.attacker_uuids)) == (Z, [B])
    attacker = await client.directory.GetAttacker(pb.GetAttackerRequest(attacker_uuid=A))
    assert attacker.attacker.identity_uuid == X


async def test_merged_identities_answer_as_one_and_apart_again(client: StoreClient) -> None:
    await store_three(client)
    await link(client, X, A)
    await link(client, Y, B)
    await link(client, Z, C)
    await merge(client, Y, Z)
    winner = await merge(client, X, Y)
    assert list(winner.attacker_uuids) == [A, B, C]
    assert list(winner.merged_uuids) == [Y, Z]
    assert await tags_of(client, identity_uuid=X) == (15, 0)
    assert await tags_of(client, identity_uuid=Z) == (15, 0), "a merged identity leads to the one"
    attacker = await client.directory.GetAttacker(pb.GetAttackerRequest(attacker_uuid=C))
    assert attacker.attacker.identity_uuid == X
    parted = await unmerge(client, Y)
    assert (list(parted.attacker_uuids), parted.merged_into_uuid) == ([B, C], "")
    assert await tags_of(client, identity_uuid=X) == (1, 0)
    assert await tags_of(client, identity_uuid=Y) == (14, 0)
    await unmerge(client, Z)
    assert await tags_of(client, identity_uuid=Y) == (10, 0)
    assert await tags_of(client, identity_uuid=Z) == (4, 0)


async def test_merge_names_the_merge_that_stands_in_its_way(client: StoreClient) -> None:
    await store_three(client)
    for identity, attacker in ((X, A), (Y, B), (Z, C)):
        await link(client, identity, attacker)
    await merge(client, X, Y)
    assert (await merge(client, X, Y)).attacker_count == 2, "once more changes nothing"
    assert await refusal(merge(client, Z, Y)) is grpc.StatusCode.FAILED_PRECONDITION
    assert await refusal(merge(client, Y, X)) is grpc.StatusCode.FAILED_PRECONDITION
    assert await refusal(unmerge(client, X)) is grpc.StatusCode.FAILED_PRECONDITION
    assert await refusal(merge(client, X, X)) is grpc.StatusCode.INVALID_ARGUMENT
    unknown = str(UUID(int=999))
    assert await refusal(merge(client, X, unknown)) is grpc.StatusCode.NOT_FOUND
    assert await refusal(link(client, X, unknown)) is grpc.StatusCode.NOT_FOUND
    assert await refusal(assign(client, CAMPAIGN, unknown)) is grpc.StatusCode.NOT_FOUND
    assert await refusal(link(client, X)) is grpc.StatusCode.INVALID_ARGUMENT


async def test_campaign_counts_identities_once_and_follows_merges(client: StoreClient) -> None:
    await store_three(client)
    for identity, attacker in ((X, A), (Y, B), (Z, C)):
        await link(client, identity, attacker)
    await assign(client, CAMPAIGN, X, Y, name="night shift")
    await assign(client, CAMPAIGN, X)
    assert await tags_of(client, campaign_uuid=CAMPAIGN) == (11, 2)
    await merge(client, X, Z)
    assert await tags_of(client, campaign_uuid=CAMPAIGN) == (15, 2)
    await merge(client, X, Y)
    assert await tags_of(client, campaign_uuid=CAMPAIGN) == (15, 1)
    await unmerge(client, Z)
    assert await tags_of(client, campaign_uuid=CAMPAIGN) == (11, 1)
    await assign(client, OTHER_CAMPAIGN, X)
    assert await tags_of(client, campaign_uuid=CAMPAIGN) == (0, 0)
    assert await tags_of(client, campaign_uuid=OTHER_CAMPAIGN) == (11, 1)
    await assign(client, "", X)
    assert await tags_of(client, campaign_uuid=CAMPAIGN) == (10, 1), "Y still names it"
    campaigns = (await client.directory.ListCampaigns(pb.ListCampaignsRequest())).campaigns
    assert [(row.uuid, row.name, list(row.identity_uuids)) for row in campaigns] == [
        (CAMPAIGN, "night shift", [Y]),
        (OTHER_CAMPAIGN, "", []),
    ]


async def test_identities_are_listed_by_page(client: StoreClient) -> None:
    await store_three(client)
    for identity, attacker in ((X, A), (Y, B), (Z, C)):
        await link(client, identity, attacker)
    found: list[str] = []
    token = ""
    while True:
        page = await client.directory.ListIdentities(
            pb.ListIdentitiesRequest(page_size=2, page_token=token)
        )
        found += [row.uuid for row in page.identities]
        token = page.next_page_token
        if not token:
            break
    assert found == [X, Y, Z]
    one = await client.directory.GetIdentity(pb.GetIdentityRequest(identity_uuid=Z))
    assert list(one.identity.attacker_uuids) == [C]


async def resolve(client: StoreClient, *queries: tuple[str, str]) -> list[tuple[str, str]]:
    """Ask whom attackers belong to; each with the identity it joins when it has none."""
    request = pb.ResolveIdentitiesRequest(
        queries=[
            pb.MembershipQuery(attacker_uuid=attacker, default_identity_uuid=default)
            for attacker, default in queries
        ]
    )
    answer = await client.directory.ResolveIdentities(request)
    return [(item.attacker_uuid, item.identity_uuid) for item in answer.memberships]


async def test_identities_of_many_attackers_are_told_at_once(client: StoreClient) -> None:
    await store_three(client)
    await link(client, X, A)
    await link(client, Z, B)
    await merge(client, Y, Z)
    unknown = str(UUID(int=77))
    assert await resolve(client, (C, ""), (unknown, ""), (B, ""), (A, ""), (B, "")) == [
        (C, ""),
        ("", ""),
        (B, Y),
        (A, X),
        (B, Y),
    ]


async def test_only_who_belongs_to_none_joins_the_default(client: StoreClient) -> None:
    await store_three(client)
    await link(client, X, A)
    mine, other, unknown = (str(UUID(int=number)) for number in (301, 302, 77))
    asked = [(A, other), (B, mine), (C, ""), (unknown, other)]
    for _ in range(2):
        assert await resolve(client, *asked) == [(A, X), (B, mine), (C, ""), ("", "")]
    with pytest.raises(grpc.aio.AioRpcError) as missing:
        await client.directory.GetIdentity(pb.GetIdentityRequest(identity_uuid=other))
    assert missing.value.code() == grpc.StatusCode.NOT_FOUND


async def test_a_default_that_was_merged_away_is_answered_for(client: StoreClient) -> None:
    await store_three(client)
    await link(client, X, A)
    await link(client, Z, B)
    await merge(client, X, Z)
    assert await resolve(client, (C, Z)) == [(C, X)]


@pytest.mark.parametrize("query", [("nobody", ""), (A, "nobody")])
async def test_a_membership_of_no_uuid_is_refused(
    client: StoreClient, query: tuple[str, str]
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await resolve(client, query)
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT


async def test_who_was_taken_out_joins_no_default(client: StoreClient) -> None:
    await store_three(client)
    await link(client, X, A)
    await client.directory.UnlinkAttackers(pb.UnlinkAttackersRequest(attacker_uuids=[A]))
    assert await resolve(client, (A, Z)) == [(A, "")]
