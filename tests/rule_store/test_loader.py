# SPDX-License-Identifier: AGPL-3.0-or-later
from pathlib import Path

import pytest

from decnet_ttp.matching import DERIVED_FIELDS
from decnet_ttp.rule_store.loader import (
    RulesDirectoryMissingError,
    is_rule_file,
    load_pack,
    load_rule,
    rule_folder,
)
from decnet_ttp.rule_store.vocabulary import Vocabulary
from decnet_ttp.v1 import rule_pb2

HERE = Path(__file__).parent
DERIVED = ", ".join(DERIVED_FIELDS["command"])
EXPECTED = [
    line.replace("<derived>", DERIVED)
    for line in (HERE / "broken" / "expected.txt").read_text(encoding="utf-8").splitlines()
]
BROKEN = sorted(path.name for path in (HERE / "broken").glob("*.yaml"))


@pytest.mark.parametrize("name", BROKEN)
def test_broken_rule_gives_exactly_the_expected_lines(
    name: str, broken_rules: Path, vocabulary: Vocabulary
) -> None:
    """Each fault is one line with file, line and column, and nothing else is reported."""
    pack = load_pack([broken_rules / name], vocabulary)
    found = [str(problem).removeprefix(f"{broken_rules}/") for problem in pack.problems]
    assert found == [line for line in EXPECTED if line.startswith(f"{name}:")]
    assert found
    assert pack.rules == []


def test_all_errors_of_a_pack_come_at_once(broken_rules: Path, vocabulary: Vocabulary) -> None:
    pack = load_pack([broken_rules], vocabulary)
    found = [str(problem).removeprefix(f"{broken_rules}/") for problem in pack.problems]
    assert found == EXPECTED


def test_sound_rules_load_in_order_of_their_id(sound_rules: Path, vocabulary: Vocabulary) -> None:
    pack = load_pack([sound_rules], vocabulary)
    assert pack.problems == []
    assert [rule.message.rule_id for rule in pack.rules] == ["R0001", "R0002", "R0003"]


def test_every_member_of_a_rule_reaches_its_message(
    sound_rules: Path, vocabulary: Vocabulary
) -> None:
    rules = {
        rule.message.rule_id: rule.message for rule in load_pack([sound_rules], vocabulary).rules
    }
    first = rules["R0001"]
    assert first.rule_version == 3
    assert first.name == "fetch_tool"
    assert list(first.applies_to) == ["command"]
    assert first.last_review_date == "2026-11-21"
    assert first.status == rule_pb2.RULE_STATUS_STABLE
    assert rules["R0002"].status == rule_pb2.RULE_STATUS_EXPERIMENTAL
    assert [e.sub_technique_id for e in first.emissions] == ["", "T1059.004"]
    pattern, combined = first.condition.any.conditions
    assert list(pattern.field.fields) == ["command_text"]
    contains, negation = combined.all.conditions
    assert list(contains.field.contains.values) == ["tftp", "ftpget"]
    assert contains.field.ignore_case
    inner = getattr(negation, "not").field
    assert list(inner.fields) == ["pwd", "src"]
    assert list(inner.equals.values) == ["/home/build"]
    compare = rules["R0002"].condition.all.conditions[1].field.compare
    assert (compare.gte, compare.lt) == (400, 500)
    assert not compare.HasField("gt")
    predicate = rules["R0003"].lifter_predicate
    assert predicate.kind == "lifter:credential_auth_brute_generic"
    assert dict(predicate.parameters) == {"fail_threshold": 5.0}


def test_second_file_with_a_rule_id_is_refused(
    sound_rules: Path, vocabulary: Vocabulary, tmp_path: Path
) -> None:
    text = (sound_rules / "ttp" / "R0001.yaml").read_bytes()
    (tmp_path / "R0001.yaml").write_bytes(text)
    (tmp_path / "R0001.yml").write_bytes(text)
    pack = load_pack([tmp_path], vocabulary)
    assert len(pack.rules) == 1
    (problem,) = pack.problems
    assert problem.location == f"{tmp_path}/R0001.yml:1:1"
    assert problem.message == (
        f"rule_id R0001 is taken by {tmp_path}/R0001.yaml; remove one of the two files"
    )


@pytest.mark.parametrize(
    ("name", "is_rule"),
    [
        ("R0001.yaml", True),
        ("R0001.yml", True),
        (".R0001.yaml.swp", False),
        ("R0001.yaml~", False),
        ("4913", False),
        ("R0001.yaml.bak", False),
        ("R0001.yaml.tmp", False),
        ("sedAb12Cd", False),
        ("#R0001.yaml#", False),
        (".#R0001.yaml", False),
        ("R-0001.yaml", False),
        ("R0001.yaml\n", False),
    ],
)
def test_only_names_of_the_allow_list_are_rules(name: str, is_rule: bool) -> None:  # noqa: FBT001 - a parameter of the table
    assert is_rule_file(name) is is_rule


def test_missing_directory_names_the_cure(tmp_path: Path, vocabulary: Vocabulary) -> None:
    with pytest.raises(RulesDirectoryMissingError, match="point DECNET_TTP_RULES_DIR"):
        rule_folder(tmp_path)
    with pytest.raises(RulesDirectoryMissingError, match="does not exist; name a rule file"):
        load_pack([tmp_path / "nowhere"], vocabulary)


def test_an_unreadable_entry_is_a_problem_of_its_own(
    tmp_path: Path, vocabulary: Vocabulary
) -> None:
    (tmp_path / "R0001.yaml").mkdir()
    pack = load_pack([tmp_path], vocabulary)
    assert [str(p) for p in pack.problems] == [
        f"{tmp_path}/R0001.yaml:1:1: cannot be read: Is a directory"
    ]


def test_rule_is_content_addressed(sound_rules: Path, vocabulary: Vocabulary) -> None:
    path = sound_rules / "ttp" / "R0001.yaml"
    data = path.read_bytes()
    one = load_rule(path, data, vocabulary)
    two = load_rule(path, data + b"# more\n", vocabulary)
    assert one.rule is not None
    assert one.rule.message.content_sha256 == one.sha256
    assert one.sha256 != two.sha256


def test_a_file_the_store_would_ignore_is_refused_when_it_is_named(
    sound_rules: Path, vocabulary: Vocabulary, tmp_path: Path
) -> None:
    path = tmp_path / "R-0001.yaml"
    path.write_bytes((sound_rules / "ttp" / "R0001.yaml").read_bytes())
    (problem,) = load_pack([path], vocabulary).problems
    assert problem.message.startswith("the rule-store ignores a file of this name; allowed: ")
