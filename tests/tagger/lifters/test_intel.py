# SPDX-License-Identifier: AGPL-3.0-or-later
from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from decnet_ttp.attack import load_catalogue
from decnet_ttp.core.shipped import data_digest
from decnet_ttp.matching import RuleInvalidError
from decnet_ttp.rule_store.loader import load_pack
from decnet_ttp.rule_store.vocabulary import Vocabulary
from decnet_ttp.tagger.evaluation import Evaluation
from decnet_ttp.tagger.lifters.intel import IntelLifter, word
from decnet_ttp.tagger.lifters.intel_mapping import read_mapping
from decnet_ttp.tagger.rule_set import RuleSet
from decnet_ttp.v1 import event_pb2, rule_pb2, scope_pb2, tagger_service_pb2
from tagger.lifters.lifting import RULES, event, lift, rule, techniques

SHIPPED = {
    each.message.rule_id: each.message
    for each in load_pack([RULES], Vocabulary(load_catalogue()), with_examples=False).rules
}


def given(rule_id: str, **fields: Any) -> dict[str, float]:
    findings = lift(IntelLifter(), SHIPPED[rule_id], event("intel", **fields))
    return {key: round(value, 6) for key, value in techniques(findings).items()}


@pytest.mark.parametrize(
    ("score", "categories", "chosen"),
    [
        (100, [18], {"T1110": 1.0}),
        (43, [18, 22, 5], {"T1110": 0.43}),
        (90, [14], {"T1046": 0.9, "T1595": 0.9}),
        (80, [11], {"T1496": 0.8, "T1566": 0.8}),
        (79.9, [11], {"T1496": 0.799}),
        (79.9, [11, 7], {"T1496": 0.799, "T1566": 0.799}),
        (250, [20], {"T1078": 1.0}),
        (0, [18], {}),
        (-5, [18], {}),
        (100, [1, 2, 3, 4, 6, 8, 10, 12, 99, -1], {}),
        (100, [], {}),
    ],
)
def test_abuseipdb_scales_by_score_and_heeds_thresholds(
    score: float, categories: list[int], chosen: dict[str, float]
) -> None:
    assert given("R0054", abuseipdb_score=score, abuseipdb_categories=categories) == chosen


@pytest.mark.parametrize(
    ("fields", "chosen"),
    [
        ({"greynoise_classification": "malicious"}, {"T1071": 0.5}),
        (
            {"greynoise_classification": "malicious", "greynoise_tags": ["sliver"]},
            {"T1071": 1.0, "T1588.002": 1.0},
        ),
        (
            {"greynoise_classification": "malicious", "greynoise_tags": ["Tor Exit Node"]},
            {"T1071": 0.5, "T1090.003": 1.0},
        ),
        ({"greynoise_classification": "SCANNER"}, {"T1595.002": 1.0}),
        ({"greynoise_tags": ["web_crawler"]}, {"T1595": 1.0}),
        ({"greynoise_classification": "benign"}, {}),
        ({"greynoise_classification": "unknown", "greynoise_tags": ["new thing", ""]}, {}),
    ],
)
def test_greynoise_takes_the_strongest_signal(
    fields: dict[str, Any], chosen: dict[str, float]
) -> None:
    assert given("R0055", **fields) == chosen


@pytest.mark.parametrize(
    ("verdict", "amount"),
    [
        ("malicious", 0.05),
        ("MALICIOUS ", 0.05),
        ("benign", -0.1),
        ("suspicious", 0.0),
        ("unknown", 0.0),
        ("", None),
        ("malicious intent", None),
    ],
)
def test_the_aggregate_verdict_adjusts_and_tags_nothing(verdict: str, amount: float | None) -> None:
    findings = lift(IntelLifter(), SHIPPED["R0058"], event("intel", aggregate_verdict=verdict))
    assert techniques(findings) == {}
    assert [each.shift and each.shift.amount for each in findings] == [amount] * (
        amount is not None
    )


@pytest.mark.parametrize("mode", rule_pb2.RuleMode.values())
@pytest.mark.parametrize("anchor", ["6f9619ff-8b86-5d01-b42d-00cf4fc964ff", ""])
async def test_an_adjustment_is_sent_whatever_the_state_and_for_attackers_only(
    mode: rule_pb2.RuleMode, anchor: str
) -> None:
    told = rule_pb2.Rule()
    told.CopyFrom(SHIPPED["R0058"])
    told.state.mode = mode
    lifters = [IntelLifter()]
    rules = RuleSet.empty().changed([told], (), lifters, load_catalogue())
    on = event("intel", aggregate_verdict="benign")
    on.observe_time.seconds = 1_800_000_000
    group = event_pb2.EventGroup(
        origin_id="o", anchor=scope_pb2.Anchor(attacker_uuid=anchor, identity_uuid="i"), events=[on]
    )
    evaluation = Evaluation(lifters, attack_release="enterprise-v17.1")
    answer = await evaluation.tag(tagger_service_pb2.TagEventsRequest(groups=[group]), rules)
    assert answer.withheld_count == 0
    assert [len(each.tags) for each in answer.groups] == [0] * bool(anchor)
    for each in answer.groups:
        (draft,) = each.adjustments
        assert (draft.rule_id, draft.rule_version) == ("R0058", 1)
        assert (draft.amount, draft.reason) == (-0.1, "aggregate verdict: benign")
        assert (draft.source_kind, draft.source_id) == ("intel", "e")
        assert draft.observe_time == on.observe_time


def test_each_technique_shows_the_signals_that_led_to_it() -> None:
    on = event("intel", abuseipdb_score=90, abuseipdb_categories=[18, 22, 14, 99])
    findings = lift(IntelLifter(), SHIPPED["R0054"], on)
    shown = {
        tuple(sorted(techniques([each]))): list(each.evidence.intel.signals) for each in findings
    }
    assert shown == {("T1110",): ["18", "22"], ("T1046", "T1595"): ["14"]}
    assert [each.continued for each in findings] == [False, True]
    evidence = findings[0].evidence.intel
    assert (evidence.provider, evidence.score) == ("abuseipdb", 90)
    assert evidence.reference_uri == "https://www.abuseipdb.com/categories"


async def test_tags_bear_the_scaled_confidence_and_one_match() -> None:
    lifter = IntelLifter()
    rules = RuleSet.empty().changed([SHIPPED["R0054"]], (), [lifter], load_catalogue())
    group = event_pb2.EventGroup(
        origin_id="o",
        anchor=scope_pb2.Anchor(attacker_uuid="6f9619ff-8b86-5d01-b42d-00cf4fc964ff"),
        events=[event("intel", abuseipdb_score=50, abuseipdb_categories=[20, 14])],
    )
    evaluation = Evaluation([lifter], attack_release="enterprise-v17.1")
    answer = await evaluation.tag(tagger_service_pb2.TagEventsRequest(groups=[group]), rules)
    confidences = {tag.technique_id: tag.confidence for tag in answer.groups[0].tags}
    assert confidences == pytest.approx({"T1078": 0.3, "T1046": 0.35, "T1595": 0.35})
    assert evaluation.statistics.of("R0054").matches == 1
    assert evaluation.statistics.of("R0054").tags == 3


@pytest.mark.parametrize("provider", ["abuseipdb", "feodo", "greynoise", "threatfox"])
def test_every_signal_names_its_source(provider: str) -> None:
    mapping = read_mapping(provider, None)
    assert mapping.signals
    for signal in mapping.signals:
        assert signal.external_reference.url.startswith("https://")
        assert signal.external_reference.source_name
        assert signal.label


@pytest.mark.parametrize(
    ("text", "expected"),
    [("Tor Exit Node", "tor_exit_node"), ("web-crawler", "web_crawler"), ("  ", ""), ("é", "")],
)
def test_labels_are_compared_as_words(text: str, expected: str) -> None:
    assert word(text) == expected


def mapped(tmp_path: Path, **changes: Any) -> Path:
    """A rules directory whose Feodo mapping has some changes."""
    document = yaml.safe_load((RULES / "intel" / "feodo.yaml").read_text(encoding="utf-8"))
    document.update(changes)
    (tmp_path / "intel").mkdir()
    (tmp_path / "intel" / "feodo.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
    return tmp_path


def signal(**changes: Any) -> dict[str, Any]:
    return {
        "id": "listed",
        "label": "x",
        "external_reference": {"source_name": "x", "url": "https://example.org/"},
        "techniques": [
            {"technique_id": "T1071", "sub_technique_id": "T1071.001"},
            {"technique_id": "T1588", "sub_technique_id": "T1588.001"},
        ],
        **changes,
    }


def test_a_signals_multiplier_and_own_confidence_are_heeded(tmp_path: Path) -> None:
    own = [
        {"technique_id": "T1071", "sub_technique_id": "T1071.001", "confidence": 0.34},
        {"technique_id": "T1588", "sub_technique_id": "T1588.001"},
    ]
    folder = mapped(tmp_path, signals=[signal(confidence_multiplier=0.5, techniques=own)])
    findings = lift(IntelLifter(folder), SHIPPED["R0056"], event("intel", feodo_listed=True))
    factors = techniques(findings)
    assert factors == pytest.approx({"T1071.001": 0.34 / 0.85 * 0.5, "T1588.001": 0.5})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"provider": "other"}, "`provider` must be feodo"),
        ({"signals": [signal(), signal()]}, "signal 'listed' stands twice"),
        ({"signals": [signal(techniques=[])]}, "`techniques` is empty"),
        ({"signals": [signal(confidence_multiplier=0)]}, "above 0 and at most 1"),
        ({"signals": [signal(weight=1)]}, "no parameter `weight`"),
        ({"signals": [signal(external_reference={"source_name": "x", "url": "y"})]}, "`url`"),
        ({"signals": [signal(techniques=[{"technique_id": "T1071.001"}])]}, "must be Tnnnn"),
        ({"signals": [signal(techniques=[{"technique_id": "T1105"}])]}, "leads to T1105"),
        (
            {"signals": [signal(techniques=[signal()["techniques"][0]])]},
            "no signal of the mapping feodo leads to T1588.001",
        ),
    ],
)
def test_a_wrong_mapping_is_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    lifter = IntelLifter(mapped(tmp_path, **changes))
    with pytest.raises(RuleInvalidError, match="R0056") as refused:
        lifter.compile([SHIPPED["R0056"]], None)
    assert message in refused.value.message
    assert refused.value.path == ("match", "mapping")


def test_a_fault_of_a_mapping_has_its_line(tmp_path: Path) -> None:
    folder = tmp_path / "intel"
    folder.mkdir()
    text = (RULES / "intel" / "feodo.yaml").read_text(encoding="utf-8")
    (folder / "feodo.yaml").write_text(text.replace("url: https", "url: gopher"), encoding="utf-8")
    line = next(n for n, each in enumerate(text.splitlines(), 1) if "source_name" in each)
    with pytest.raises(RuleInvalidError, match=rf"feodo\.yaml:{line}: "):
        IntelLifter(tmp_path).compile([SHIPPED["R0056"]], None)


@pytest.mark.parametrize("name", ["../ttp/R0001", "/etc/passwd", "a.b", ""])
def test_a_mapping_never_leaves_its_folder(name: str) -> None:
    bad = rule("intel", "intel_feodo", "T1071.001", mapping=name)
    with pytest.raises(RuleInvalidError, match="letters, digits and _"):
        IntelLifter().compile([bad], None)


def test_an_unchanged_rule_is_not_bound_again(tmp_path: Path) -> None:
    """A mapping is read when its rule changes, not whenever any rule does."""
    folder = mapped(tmp_path)
    lifter = IntelLifter(folder)
    first = lifter.compile([SHIPPED["R0056"]], None)
    (folder / "intel" / "feodo.yaml").write_text("broken: [", encoding="utf-8")
    copy = rule_pb2.Rule()
    copy.CopyFrom(SHIPPED["R0056"])
    second = lifter.compile([copy], first)
    assert second.bound["R0056"] is first.bound["R0056"]


def test_another_state_does_not_read_the_mapping_again_and_another_digest_does(
    tmp_path: Path,
) -> None:
    folder = mapped(tmp_path)
    lifter = IntelLifter(folder)
    first = lifter.compile([SHIPPED["R0056"]], None)
    (folder / "intel" / "feodo.yaml").write_text("broken: [", encoding="utf-8")
    copy = rule_pb2.Rule()
    copy.CopyFrom(SHIPPED["R0056"])
    copy.state.mode = rule_pb2.RULE_MODE_DISABLED
    copy.load_error = "broken"
    second = lifter.compile([copy], first)
    assert second.bound["R0056"].test is first.bound["R0056"].test
    assert second.bound["R0056"].rule == copy
    edited = rule_pb2.Rule()
    edited.CopyFrom(copy)
    edited.data_sha256 = "0" * 64
    with pytest.raises(RuleInvalidError, match="not YAML"):
        lifter.compile([edited], second)


@pytest.mark.parametrize(
    ("rule_id", "name"), [("R0056", "intel/feodo.yaml"), ("R0054", "intel/abuseipdb.yaml")]
)
def test_a_rule_names_the_file_it_reads(tmp_path: Path, rule_id: str, name: str) -> None:
    paths = IntelLifter(tmp_path).data_paths(SHIPPED[rule_id])
    assert paths[0] == tmp_path / name
    assert any(path.is_file() for path in paths)
    assert IntelLifter(tmp_path).data_paths(SHIPPED["R0058"]) == ()


@pytest.mark.parametrize("same", [True, False])
def test_a_tagger_whose_copy_is_another_says_so(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    same: bool,  # noqa: FBT001 - a table's column
) -> None:
    folder = mapped(tmp_path)
    told = rule_pb2.Rule()
    told.CopyFrom(SHIPPED["R0056"])
    told.data_sha256 = data_digest([folder / "intel" / "feodo.yaml"]) if same else "0" * 64
    in_force = RuleSet.empty().changed([told], (), [IntelLifter(folder)], load_catalogue())
    assert in_force.rules.keys() == {"R0056"}
    warned = [record.rule_id for record in caplog.records]  # type: ignore[attr-defined] # ours
    assert warned == ([] if same else ["R0056"])
