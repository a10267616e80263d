# SPDX-License-Identifier: AGPL-3.0-or-later
"""Tags of one message stay together, however many messages and tags there are."""

from __future__ import annotations

import pytest

from decnet_ttp.ingest import storing
from decnet_ttp.ingest.storing import insert_requests
from decnet_ttp.v1 import tag_pb2
from ingest.backends import until
from ingest.rig import Rig

ATTACKER = "5b3c1f6e-0c5e-5a53-9a4e-111111111111"
OTHER = "5b3c1f6e-0c5e-5a53-9a4e-222222222222"


def group(
    origin: str, tags: int, *, attacker: str = ATTACKER, rules: int = 1, first: int = 0
) -> tag_pb2.TagGroup:
    made = tag_pb2.TagGroup(origin_id=origin)
    made.anchor.attacker_uuid = attacker
    for number in range(first, first + tags):
        made.tags.add(
            source_kind="command",
            source_id=f"{origin}#cmd{number}",
            rule_id=f"R{number % rules:04}",
            rule_version=1,
            tactic="TA0002",
            technique_id="T1059",
            confidence=0.9,
        )
    return made


def test_small_messages_share_a_request_and_empty_ones_make_none() -> None:
    requests = insert_requests([group("a", 2), group("b", 0), group("c", 3)])
    assert [[item.origin_id for item in request.groups] for request in requests] == [["a", "c"]]
    assert not requests[0].silent


def test_tags_of_two_taggers_are_joined_and_anchors_kept_apart() -> None:
    (request,) = insert_requests(
        [group("a", 2), group("a", 1, first=2), group("a", 1, attacker=OTHER, first=3)]
    )
    assert [(item.anchor.attacker_uuid, len(item.tags)) for item in request.groups] == [
        (ATTACKER, 3),
        (OTHER, 1),
    ]


def test_requests_end_at_their_bound_between_messages() -> None:
    requests = insert_requests([group(f"m{number}", 9_000) for number in range(5)])
    assert [sum(len(item.tags) for item in request.groups) for request in requests] == [
        18_000,
        18_000,
        9_000,
    ]


def test_enormous_message_is_announced_once_with_each_of_its_rules() -> None:
    total = storing.MAX_TAGS_OF_ONE + 10_000
    requests = insert_requests([group("a", 1), group("huge", total, rules=7), group("z", 1)])
    first, *shares, last = requests
    assert [item.origin_id for item in first.groups] == ["a"]
    assert [item.origin_id for item in last.groups] == ["z"]
    assert [request.silent for request in shares] == [True] * (len(shares) - 1) + [False]
    assert sum(len(request.groups[0].tags) for request in shares) == total
    assert max(len(request.groups[0].tags) for request in shares) <= storing.MAX_TAGS
    assert {tag.rule_id for tag in shares[-1].groups[0].tags} == {f"R{n:04}" for n in range(7)}


@pytest.mark.timeout(180)
async def test_session_of_a_hundred_thousand_commands_is_stored_whole(rig: Rig) -> None:
    async with rig.ingest() as running:
        await rig.publish("huge", *["id"] * 100_000)
        await until(rig.settled, within_s=120.0)
        assert running.consumer.counters.dead_letters == 0
    assert len(rig.store.tags) == 100_000
    assert rig.store.announced == ["huge"]
    assert max(rig.tagger.calls) <= 10_000
