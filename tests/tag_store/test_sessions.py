# SPDX-License-Identifier: AGPL-3.0-or-later
"""Sessions and decoys: kept once, listed for every scope."""

from __future__ import annotations

from uuid import UUID

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from decnet_ttp.v1 import directory_update_pb2 as pb
from decnet_ttp.v1 import scope_pb2, tag_store_service_pb2
from tag_store.samples import (
    CAMPAIGN,
    FLEET,
    IDENTITY,
    NOON,
    StoreClient,
    attacker_scope,
    draft,
    group,
)

ATTACKERS = [str(UUID(int=number)) for number in (1, 2, 3)]


def session(number: int, *, commands: int = 0, decky: str = "") -> pb.SessionRecord:
    start = NOON + 100 * number
    return pb.SessionRecord(
        session_id=f"s{number}",
        attacker_uuid=ATTACKERS[number % 3],
        decky_id=decky or f"decky-{number % 2}",
        service="ssh",
        start_time=Timestamp(seconds=start),
        end_time=Timestamp(seconds=start + 50),
        command_count=commands,
    )


@pytest.fixture
async def filled(client: StoreClient) -> StoreClient:
    """A store with nine sessions of three attackers, of whom two are an identity."""
    stated = Timestamp(seconds=NOON)
    request = pb.UpdateDirectoryRequest(
        sessions=[session(number) for number in range(9)],
        attackers=[
            pb.AttackerSighting(attacker_uuid=ATTACKERS[0], ip="192.0.2.1", decky_id="mail-trap")
        ],
        memberships=[
            pb.Membership(attacker_uuid=each, identity_uuid=IDENTITY, state_time=stated)
            for each in ATTACKERS[:2]
        ],
        campaign_memberships=[
            pb.CampaignMembership(identity_uuid=IDENTITY, campaign_uuid=CAMPAIGN, state_time=stated)
        ],
    )
    await client.directory.UpdateDirectory(request)
    return client


async def listed(client: StoreClient, scope: scope_pb2.Scope, decky: str = "") -> list[pb.Session]:
    request = pb.ListSessionsRequest(scope=scope, decky_id=decky, page_size=2)
    found: list[pb.Session] = []
    while True:
        response = await client.directory.ListSessions(request)
        found += response.sessions
        request.page_token = response.next_page_token
        if not request.page_token:
            return found


async def test_every_scope_pages_through_its_sessions_last_ended_first(filled: StoreClient) -> None:
    async def names(scope: scope_pb2.Scope, decky: str = "") -> str:
        return "".join(each.session_id[1:] for each in await listed(filled, scope, decky))

    assert await names(FLEET) == "876543210"
    assert await names(FLEET, "decky-1") == "7531"
    assert await names(attacker_scope(ATTACKERS[1])) == "741"
    assert await names(scope_pb2.Scope(attacker_ip="192.0.2.1")) == "630"
    assert await names(scope_pb2.Scope(identity_uuid=IDENTITY)) == "764310"
    assert await names(scope_pb2.Scope(campaign_uuid=CAMPAIGN), "decky-0") == "640"
    assert await names(scope_pb2.Scope(session_id="s5")) == "5"
    assert await names(attacker_scope(str(UUID(int=99)))) == ""


async def test_reports_of_one_session_widen_it(filled: StoreClient) -> None:
    wider = session(2, commands=7, decky="decky-0")
    wider.end_time.seconds += 40
    narrower = session(2, commands=3)
    narrower.ClearField("start_time")
    tags = group("m", [draft("a"), draft("b")], attacker=ATTACKERS[2], session="s2")
    await filled.tags.InsertTags(tag_store_service_pb2.InsertTagsRequest(groups=[tags]))
    for _ in range(2):
        await filled.directory.UpdateDirectory(
            pb.UpdateDirectoryRequest(sessions=[wider, narrower])
        )
    (found,) = await listed(filled, scope_pb2.Scope(session_id="s2"))
    assert found == pb.Session(
        session_id="s2",
        attacker_uuid=ATTACKERS[2],
        decky_id="decky-0",
        service="ssh",
        start_time=Timestamp(seconds=NOON + 200),
        end_time=Timestamp(seconds=NOON + 290),
        command_count=7,
        tag_count=2,
    )


async def test_decoys_tell_who_was_seen_on_them(filled: StoreClient) -> None:
    async def deckies(scope: scope_pb2.Scope) -> list[tuple[str, int]]:
        request = pb.ListDeckiesRequest(scope=scope, page_size=2)
        found: list[tuple[str, int]] = []
        while True:
            response = await filled.directory.ListDeckies(request)
            found += [(each.decky_id, each.attacker_count) for each in response.deckies]
            request.page_token = response.next_page_token
            if not request.page_token:
                return found

    assert await deckies(FLEET) == [("decky-0", 3), ("decky-1", 3), ("mail-trap", 1)]
    assert await deckies(attacker_scope(ATTACKERS[1])) == [("decky-0", 1), ("decky-1", 1)]
    assert await deckies(scope_pb2.Scope(identity_uuid=IDENTITY)) == [
        ("decky-0", 2),
        ("decky-1", 2),
        ("mail-trap", 1),
    ]
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await deckies(scope_pb2.Scope(session_id="s1"))
    assert refusal.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_purge_takes_sessions_and_decoys_along(filled: StoreClient) -> None:
    await filled.tags.PurgeTags(
        tag_store_service_pb2.PurgeTagsRequest(
            scope=attacker_scope(ATTACKERS[0]), requested_by="test"
        )
    )
    assert await listed(filled, attacker_scope(ATTACKERS[0])) == []
    left = await filled.directory.ListDeckies(
        pb.ListDeckiesRequest(scope=attacker_scope(ATTACKERS[0]))
    )
    assert len(left.deckies) == 0
