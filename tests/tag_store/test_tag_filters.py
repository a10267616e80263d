# SPDX-License-Identifier: AGPL-3.0-or-later
"""Filters of ListTags read a bounded number of tags at a time and find every tag once."""

from __future__ import annotations

import pytest

from decnet_ttp.tag_store import tag_reader
from decnet_ttp.v1 import directory_service_pb2, scope_pb2
from decnet_ttp.v1 import tag_store_service_pb2 as pb
from tag_store.samples import (
    ATTACKER,
    CAMPAIGN,
    FLEET,
    IDENTITY,
    NOON,
    OTHER_ATTACKER,
    StoreClient,
    draft,
    group,
)

SCOPES = {
    "fleet": FLEET,
    "attacker": scope_pb2.Scope(attacker_uuid=ATTACKER),
    "identity": scope_pb2.Scope(identity_uuid=IDENTITY),
    "campaign": scope_pb2.Scope(campaign_uuid=CAMPAIGN),
    "session": scope_pb2.Scope(session_id="session-m1"),
}
SIZES = {"fleet": 145, "attacker": 60, "identity": 145, "campaign": 145, "session": 60}


async def store(client: StoreClient) -> None:
    """Store 60 tags of each of two attackers; every tenth is of a rare rule and release."""

    def tags(name: str) -> list[object]:
        found = [
            draft(
                f"{name}{at}",
                "T1059.004" if at % 3 else "T1105",
                rule_id="R0014" if at % 10 == 0 else "R0010",
                source_kind="file" if at % 10 == 0 else "command",
                at=NOON + at,
            )
            for at in range(60)
        ]
        for at in range(0, 60, 10):
            found[at].attack_release = "enterprise-v18.0"
        return list(found)

    for origin, attacker in (("m1", ATTACKER), ("m2", OTHER_ATTACKER)):
        request = pb.InsertTagsRequest(groups=[group(origin, tags(origin), attacker=attacker)])  # type: ignore[arg-type]  # drafts
        await client.tags.InsertTags(request)
    link = directory_service_pb2.LinkAttackersRequest(
        identity_uuid=IDENTITY, attacker_uuids=[ATTACKER, OTHER_ATTACKER]
    )
    await client.directory.LinkAttackers(link)
    # Named alone by what came last, so that the members lie far apart.
    alone = [group("m3", tags("m3")[:25], attacker="", identity=IDENTITY)]  # type: ignore[arg-type]  # drafts
    await client.tags.InsertTags(pb.InsertTagsRequest(groups=alone))
    assign = directory_service_pb2.AssignCampaignRequest(
        campaign_uuid=CAMPAIGN, identity_uuids=[IDENTITY]
    )
    await client.directory.AssignCampaign(assign)


FILTERS: list[dict[str, object]] = [
    {},
    {"technique_id": "T1059"},
    {"technique_id": "T1105"},
    {"rule_id": "R0014"},
    {"source_kind": "file"},
    {"attack_release": "enterprise-v18.0"},
    {"rule_id": "R0014", "technique_id": "T1105"},
    {"sub_technique_id": "T1059.004", "source_kind": "file"},
    {"tactic": "TA0002", "rule_id": "R0010"},
    {"min_confidence": 0.95},
]


@pytest.mark.parametrize("scope", SCOPES)
async def test_small_steps_find_what_one_look_finds(
    client: StoreClient, monkeypatch: pytest.MonkeyPatch, scope: str
) -> None:
    await store(client)

    async def listed(page_size: int, asked: dict[str, object]) -> tuple[list[str], int]:
        request = pb.ListTagsRequest(scope=SCOPES[scope], page_size=page_size, **asked)  # type: ignore[arg-type]  # fields of the request
        found: list[str] = []
        pages = 0
        while True:
            response = await client.tags.ListTags(request)
            assert len(response.tags) <= page_size
            found += [tag.source_id for tag in response.tags]
            pages += 1
            request.page_token = response.next_page_token
            if not request.page_token:
                return found, pages

    everything, pages = await listed(1000, {})
    assert (len(everything), pages) == (SIZES[scope], 1)
    whole = {}
    for asked in FILTERS:
        found, pages = await listed(1000, asked)
        assert pages == 1
        assert len(set(found)) == len(found)
        assert found == [source for source in everything if source in found], "newest first"
        whole[str(asked)] = found
    assert len(whole["{'technique_id': 'T1105'}"]) == SIZES[scope] // 3 + (SIZES[scope] % 3 > 0)
    monkeypatch.setattr(tag_reader, "_SCAN", 5)
    monkeypatch.setattr(tag_reader, "_SCAN_MEMBERS", 5)
    for asked in FILTERS:
        stepwise, pages = await listed(3, asked)
        assert stepwise == whole[str(asked)], asked
        assert pages > 3, asked
