# SPDX-License-Identifier: AGPL-3.0-or-later
"""Techniques of ATT&CK for ICS in the store: names, links, order, release of their own matrix."""

from __future__ import annotations

import pytest_asyncio

from decnet_ttp.v1 import export_service_pb2, rollup_service_pb2, tag_store_service_pb2
from tag_store.samples import FLEET, StoreClient, attacker_scope, draft, group

ICS = "ics-v15.0"


@pytest_asyncio.fixture
async def both(client: StoreClient) -> StoreClient:
    """Tags of both matrices, those of ICS first."""
    control = draft("s1", "T0831", tactic="TA0105", rule_id="R0174")
    command = draft("s1", "T0855", tactic="TA0106", rule_id="R0174")
    control.attack_release = command.attack_release = ICS
    await client.tags.InsertTags(
        tag_store_service_pb2.InsertTagsRequest(
            groups=[group("m1", [control, command, draft("c1", "T1485", tactic="TA0040")])]
        )
    )
    return client


async def test_they_follow_enterprises_with_their_own_names_and_links(both: StoreClient) -> None:
    asked = rollup_service_pb2.ListTechniquesRequest(scope=attacker_scope())
    answer = await both.rollups.ListTechniques(asked)
    assert [
        (row.tactic, row.tactic_name, row.technique_id, row.technique_name, row.mitre_uri)
        for row in answer.techniques
    ] == [
        (
            "TA0040",
            "Impact",
            "T1485",
            "Data Destruction",
            "https://attack.mitre.org/techniques/T1485",
        ),
        (
            "TA0106",
            "Impair Process Control",
            "T0855",
            "Unauthorized Command Message",
            "https://attack.mitre.org/techniques/T0855",
        ),
        (
            "TA0105",
            "Impact",
            "T0831",
            "Manipulation of Control",
            "https://attack.mitre.org/techniques/T0831",
        ),
    ]


async def test_a_matrix_is_told_apart_by_its_release(both: StoreClient) -> None:
    asked = tag_store_service_pb2.ListTagsRequest(scope=FLEET, attack_release=ICS)
    found = (await both.tags.ListTags(asked)).tags
    assert sorted(tag.technique_id for tag in found) == ["T0831", "T0855"]
    streamed = [
        tag
        async for part in both.exports.ExportTags(export_service_pb2.ExportTagsRequest(scope=FLEET))
        for tag in part.tags
    ]
    assert {tag.technique_id: tag.attack_release for tag in streamed} == {
        "T0831": ICS,
        "T0855": ICS,
        "T1485": "enterprise-v17.1",
    }
