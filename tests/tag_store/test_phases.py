# SPDX-License-Identifier: AGPL-3.0-or-later
"""Phases of the Unified Kill Chain, decoy by decoy."""

from __future__ import annotations

import grpc
import pytest

from decnet_ttp.tag_store.phases import NOT_OBSERVABLE, OBSERVABLE, PHASE_OF
from decnet_ttp.v1 import directory_service_pb2, rollup_service_pb2, scope_pb2
from decnet_ttp.v1 import tag_store_service_pb2 as tags_pb
from tag_store.samples import (
    ATTACKER,
    FLEET,
    IDENTITY,
    NOON,
    OTHER_ATTACKER,
    StoreClient,
    draft,
    group,
)


async def phases(
    client: StoreClient, scope: scope_pb2.Scope, page: int = 100
) -> list[rollup_service_pb2.DeckyPhases]:
    request = rollup_service_pb2.ListPhasesRequest(scope=scope, page_size=page)
    found: list[rollup_service_pb2.DeckyPhases] = []
    while True:
        response = await client.rollups.ListPhases(request)
        found += response.phases
        request.page_token = response.next_page_token
        if not request.page_token:
            return found


async def store(client: StoreClient) -> None:
    """Two attackers of one identity go from one decoy to another; a scan is seen, too."""
    first = [
        draft("scan", "T1595", tactic="TA0043", at=NOON - 100),
        draft("log-in", "T1078", tactic="TA0001", at=NOON),
        draft("look", "T1082", tactic="TA0007", at=NOON + 10),
        draft("look again", "T1082", tactic="TA0007", at=NOON + 30),
        draft("run", tactic="TA0002", at=NOON + 20),
    ]
    second = [
        draft("hide", "T1562", tactic="TA0112", at=NOON + 40),
        draft("move", "T1021.004", tactic="TA0008", at=NOON + 50),
    ]
    unknown = [draft("other", tactic="TA9999", at=NOON + 60)]
    own = [draft("own", "T1486", tactic="TA0040", at=NOON + 70)]
    request = tags_pb.InsertTagsRequest(
        groups=[
            group("m1", first, decky="decky-1"),
            group("m2", second, attacker=OTHER_ATTACKER, decky="decky-2"),
            group("m3", unknown, decky="decky-3"),
            group("m4", own, attacker="", identity=IDENTITY, decky="decky-2"),
            group("m5", [draft("nowhere", at=NOON)], decky=""),
        ]
    )
    await client.tags.InsertTags(request)
    await client.directory.LinkAttackers(
        directory_service_pb2.LinkAttackersRequest(
            identity_uuid=IDENTITY, attacker_uuids=[ATTACKER, OTHER_ATTACKER]
        )
    )


async def test_an_identity_s_way_shows_from_decoy_to_decoy(client: StoreClient) -> None:
    await store(client)
    scope = scope_pb2.Scope(identity_uuid=IDENTITY)
    found = await phases(client, scope)
    assert [
        (
            row.decky_id,
            row.first_phase,
            row.first_seen_time.seconds - NOON,
            row.last_phase,
            row.last_seen_time.seconds - NOON,
        )
        for row in found
    ] == [
        ("decky-1", "delivery", 0, "discovery", 30),
        ("decky-2", "defense_evasion", 40, "impact", 70),
    ]
    assert [(seen.tactic, seen.phase, seen.count) for seen in found[0].observations] == [
        ("TA0001", "delivery", 1),
        ("TA0007", "discovery", 2),
        ("TA0002", "execution", 1),
    ]
    assert await phases(client, scope, page=1) == found


async def test_an_attacker_has_phases_of_its_own_and_the_fleet_none(client: StoreClient) -> None:
    await store(client)
    (row,) = await phases(client, scope_pb2.Scope(attacker_uuid=OTHER_ATTACKER))
    assert (row.decky_id, row.first_phase, row.last_phase) == (
        "decky-2",
        "defense_evasion",
        "lateral_movement",
    )
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await phases(client, FLEET)
    assert refusal.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_phases_that_no_decoy_can_see_are_left_out() -> None:
    assert set(PHASE_OF) - set(OBSERVABLE) == {"TA0042", "TA0043"}
    assert not set(OBSERVABLE.values()) & NOT_OBSERVABLE
