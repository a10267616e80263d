# SPDX-License-Identifier: AGPL-3.0-or-later
"""One version of a rule never means two things."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from decnet_ttp.rule_store.loader import Pack, load_pack
from decnet_ttp.rule_store.lock_file import (
    LOCK_FILE,
    RuleLockInvalidError,
    hold_against,
    lock_path,
    locks_of,
    newly_locked,
    read_lock,
    write_lock,
)
from decnet_ttp.rule_store.shipped import shipped_rules_dir
from decnet_ttp.rule_store.vocabulary import Vocabulary


@pytest.fixture
def rules_dir(sound_rules: Path, tmp_path: Path, vocabulary: Vocabulary) -> Path:
    """A rules directory with its lock file."""
    made = tmp_path / "rules"
    shutil.copytree(sound_rules, made)
    pack = load_pack([made], vocabulary, with_examples=False)
    write_lock(made / LOCK_FILE, newly_locked(pack.files, {}))
    return made


def _held(rules_dir: Path, vocabulary: Vocabulary) -> Pack:
    pack = load_pack([rules_dir], vocabulary, with_examples=False)
    return hold_against(pack, locks_of(pack))


def _edit(rules_dir: Path, old: str, new: str) -> Path:
    path = rules_dir / "ttp" / "R0001.yaml"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    return path


def test_unchanged_rules_are_accepted(rules_dir: Path, vocabulary: Vocabulary) -> None:
    pack = _held(rules_dir, vocabulary)
    assert pack.problems == []
    assert len(pack.rules) == 3


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("T1105, confidence: 0.85", "T1105, confidence: 0.7"),
        ("applies_to: [command]", "applies_to: [command, payload]"),
    ],
)
def test_another_meaning_under_the_same_version_is_refused_with_its_place(
    rules_dir: Path, vocabulary: Vocabulary, old: str, new: str
) -> None:
    path = _edit(rules_dir, old, new)
    pack = _held(rules_dir, vocabulary)
    (problem,) = pack.problems
    assert str(problem) == (
        f"{path}:3:15: R0001 means something else than when version 3 was locked; "
        "raise rule_version to 4, or take the change back"
    )
    assert [rule.message.rule_id for rule in pack.rules] == ["R0002", "R0003"]
    _edit(rules_dir, "rule_version: 3", "rule_version: 4")
    assert _held(rules_dir, vocabulary).problems == []


def test_words_comments_and_layout_need_no_new_version(
    rules_dir: Path, vocabulary: Vocabulary
) -> None:
    path = _edit(rules_dir, "name: fetch_tool", "name: fetch_a_tool  # clearer")
    path.write_text(path.read_text(encoding="utf-8") + "\n# the end\n", encoding="utf-8")
    assert _held(rules_dir, vocabulary).problems == []


def test_a_version_is_never_lowered(rules_dir: Path, vocabulary: Vocabulary) -> None:
    _edit(rules_dir, "rule_version: 3", "rule_version: 2")
    (problem,) = _held(rules_dir, vocabulary).problems
    assert problem.message == "rule_version is 2 but 3 was in use; raise rule_version to 4"


def test_a_new_rule_needs_no_lock_and_a_gone_one_keeps_its_own(
    rules_dir: Path, vocabulary: Vocabulary
) -> None:
    path = rules_dir / "ttp" / "R0001.yaml"
    text = path.read_text(encoding="utf-8").replace("R0001", "R0009")
    path.with_name("R0009.yaml").write_text(text, encoding="utf-8")
    path.unlink()
    pack = _held(rules_dir, vocabulary)
    assert pack.problems == []
    locked = newly_locked(pack.files, read_lock(rules_dir / LOCK_FILE))
    assert sorted(locked) == ["R0001", "R0002", "R0003", "R0009"]
    assert locked["R0001"].digest == locked["R0009"].digest


def test_the_lock_of_a_file_a_folder_and_a_directory_is_the_same(rules_dir: Path) -> None:
    paths = (rules_dir, rules_dir / "ttp", rules_dir / "ttp" / "R0001.yaml")
    assert {lock_path(path) for path in paths} == {rules_dir / LOCK_FILE}
    assert lock_path(rules_dir.parent) == rules_dir.parent / LOCK_FILE


@pytest.mark.parametrize("line", ["R0001 3", "R0001 0 " + "a" * 64, "R0002 1 " + "a" * 64])
def test_a_lock_file_that_is_none_is_refused_with_the_line(rules_dir: Path, line: str) -> None:
    path = rules_dir / LOCK_FILE
    path.write_text(path.read_text(encoding="ascii") + line + "\n", encoding="ascii")
    with pytest.raises(RuleLockInvalidError, match=r"rules\.lock:6:1: no line of a lock file"):
        read_lock(path)


def test_the_shipped_rules_stand_in_their_lock(vocabulary: Vocabulary) -> None:
    """Cure: raise rule_version where the meaning changed, then `decnet-ttp rules lock`."""
    pack = load_pack([shipped_rules_dir()], vocabulary, with_examples=False)
    locked = read_lock(shipped_rules_dir() / LOCK_FILE)
    assert [str(problem) for problem in hold_against(pack, locks_of(pack)).problems] == []
    assert newly_locked(pack.files, locked) == locked
