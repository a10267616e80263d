# SPDX-License-Identifier: AGPL-3.0-or-later
"""Files known by their hash: the list is read whole, bounded, and an operator's comes first."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from decnet_ttp.matching import RuleInvalidError
from decnet_ttp.tagger.lifters import known_files
from decnet_ttp.tagger.lifters.behavioral import BehavioralLifter
from decnet_ttp.tagger.lifters.known_files import read_known_files
from tagger.lifters.lifting import event, lift, rule

OTHER = hashlib.sha256(b"other").hexdigest()
EICAR = "275a021bbfb6489e54d471899f7db9d1663fc695ec2fe2a2c4538aabf651fd0f"
KNOWN = rule("payload", "behavioral_known_file", "T1059", files="malicious")


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    """A rules directory with a list of its own."""
    (tmp_path / "files").mkdir()
    path = tmp_path / "files" / "malicious.txt"
    path.write_text(f"# a feed\n\n{OTHER.upper()}  Mirai, arm7\n", encoding="utf-8")
    return path


def test_the_shipped_list_holds_the_test_file_alone() -> None:
    assert read_known_files("malicious", None) == {EICAR: "EICAR test file"}


def test_evidence_names_the_file_and_what_is_known_of_it() -> None:
    told = event("payload", sha256=EICAR, url="http://198.51.100.7/x", direction="upload")
    (found,) = lift(BehavioralLifter(), KNOWN, told)
    assert [each.technique_id for each in found.rule.emissions] == ["T1059"]
    shown = found.evidence.file
    assert (shown.sha256, shown.url, shown.direction) == (EICAR, told.file.url, "upload")
    assert list(shown.matched_tokens) == ["EICAR test file"]


def test_an_operators_list_stands_in_place_of_the_shipped_one(listed: Path) -> None:
    lifter = BehavioralLifter(listed.parents[1])
    assert lift(lifter, KNOWN, event("payload", sha256=OTHER))
    assert not lift(lifter, KNOWN, event("payload", sha256=EICAR))


@pytest.mark.parametrize("sha256", ["", " ", "0" * 64, OTHER[:-1], f"{OTHER}0"])
def test_other_files_are_not_known(listed: Path, sha256: str) -> None:
    lifter = BehavioralLifter(listed.parents[1])
    assert not lift(lifter, KNOWN, event("payload", sha256=sha256))


def test_a_wrong_line_is_named(listed: Path) -> None:
    listed.write_text(f"{OTHER} fine\nabc no hash\n", encoding="utf-8")
    with pytest.raises(RuleInvalidError, match=r"malicious\.txt:2: not a SHA-256") as refused:
        lift(BehavioralLifter(listed.parents[1]), KNOWN, event("payload"))
    assert refused.value.path == ("match", "files")


def test_a_list_is_bounded(listed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_files, "MAX_BYTES", 20)
    with pytest.raises(RuleInvalidError, match="larger than 20 bytes"):
        lift(BehavioralLifter(listed.parents[1]), KNOWN, event("payload"))


@pytest.mark.parametrize(
    ("name", "message"),
    [("nosuch", "there is no list files/nosuch.txt"), ("../intel", "letters, digits and _")],
)
def test_a_list_must_be_there_and_within_its_folder(name: str, message: str) -> None:
    with pytest.raises(RuleInvalidError, match=message):
        lift(
            BehavioralLifter(),
            rule("payload", "behavioral_known_file", "T1059", files=name),
            event("payload"),
        )
