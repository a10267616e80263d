# SPDX-License-Identifier: AGPL-3.0-or-later
from __future__ import annotations

from typing import Any

import pytest

from decnet_ttp.attack import load_catalogue
from decnet_ttp.tagger.evaluation import Evaluation
from decnet_ttp.tagger.lifters.identity import IdentityLifter
from decnet_ttp.tagger.rule_set import RuleSet
from decnet_ttp.v1 import event_pb2, scope_pb2, tagger_service_pb2
from tagger.lifters.lifting import event, lift, rule

ATTACKER = "6f9619ff-8b86-5d01-b42d-00cf4fc964ff"
IDENTITY = "7f9619ff-8b86-5d01-b42d-00cf4fc964ff"

SPRAYED = {"shared_password_hash": "a", "account_count": 4}
ASNS = {"figure": "asn_count", "threshold": 3, "within_hours": 24}


@pytest.mark.parametrize(
    ("predicate", "fields", "parameters", "fires"),
    [
        ("identity_password_spraying", {"shared_password_hash": "a", "account_count": 3}, {}, True),
        (
            "identity_password_spraying",
            {"shared_password_hash": "a", "account_count": 2},
            {},
            False,
        ),
        ("identity_password_spraying", {"account_count": 9}, {}, False),
        ("identity_spread", {"extra": {"asn_count": 3, "window_hours": 24}}, ASNS, True),
        ("identity_spread", {"extra": {"asn_count": 3, "window_hours": 25}}, ASNS, False),
        ("identity_spread", {"extra": {"asn_count": 3, "window_hours": 0}}, ASNS, False),
        ("identity_spread", {"extra": {"asn_count": 3}}, ASNS, False),
        ("identity_spread", {"extra": {"asn_count": [3]}}, ASNS, False),
        (
            "identity_spread",
            {"extra": {"ip_count": 3}},
            {"figure": "ip_count", "threshold": 3},
            True,
        ),
    ],
)
def test_facts_about_identities(
    predicate: str, fields: dict[str, Any], parameters: dict[str, Any], *, fires: bool
) -> None:
    given = rule("identity", predicate, "T1110.003", **parameters)
    findings = lift(IdentityLifter(), given, event("identity", **fields))
    assert bool(findings) is fires
    assert all(each.identity_only for each in findings)


async def _tag(anchor: scope_pb2.Anchor) -> tagger_service_pb2.TagEventsResponse:
    lifter = IdentityLifter()
    given = rule("identity", "identity_password_spraying", "T1110.003")
    given.emissions[0].tactic = "TA0006"
    rules = RuleSet.empty().changed([given], (), [lifter], load_catalogue())
    sprayed = event("identity", **SPRAYED)
    group = event_pb2.EventGroup(
        origin_id="o", anchor=anchor, session_id="s", decky_id="d", events=[sprayed]
    )
    request = tagger_service_pb2.TagEventsRequest(groups=[group])
    return await Evaluation([lifter], attack_release="enterprise-v17.1").tag(request, rules)


async def test_tags_about_an_identity_carry_no_attacker() -> None:
    answer = await _tag(scope_pb2.Anchor(attacker_uuid=ATTACKER, identity_uuid=IDENTITY))
    (group,) = answer.groups
    assert group.anchor == scope_pb2.Anchor(identity_uuid=IDENTITY)
    assert (group.origin_id, group.session_id, group.decky_id) == ("o", "s", "d")
    assert [tag.sub_technique_id for tag in group.tags] == ["T1110.003"]


async def test_without_an_identity_there_is_nothing_to_tag() -> None:
    answer = await _tag(scope_pb2.Anchor(attacker_uuid=ATTACKER))
    assert not answer.groups
    assert not answer.failures
