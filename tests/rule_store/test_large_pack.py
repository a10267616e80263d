# SPDX-License-Identifier: AGPL-3.0-or-later
"""Two thousand rules load whole, and an edit of one of them costs that one.

How long that takes is measured by `./dev bench rule_load`, against a bare parse of the files.
"""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from benchmarks.rule_load import RULES, edit, write_pack

from decnet_ttp.matching import RulePack
from decnet_ttp.rule_store import directory as rule_directory
from decnet_ttp.rule_store.directory import RuleDirectory
from decnet_ttp.rule_store.vocabulary import Vocabulary


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("large") / "ttp"
    made.mkdir()
    write_pack(made)
    return made


def test_each_of_two_thousand_rules_is_loaded_once_and_one_edit_loads_and_compiles_one(
    folder: Path, vocabulary: Vocabulary, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[str] = []
    load = rule_directory.load_rule

    def counting(path: Path, data: bytes, held_against: Vocabulary) -> rule_directory.FileOutcome:
        loaded.append(path.stem)
        return load(path, data, held_against)

    monkeypatch.setattr(rule_directory, "load_rule", counting)
    # Seen from later on, so that the stamps of the files just written prove their content.
    directory = RuleDirectory(folder, vocabulary, wall_clock=lambda: time.time() + 10.0)
    began = time.process_time()
    first = directory.refresh()
    whole_s = time.process_time() - began
    assert first is not None
    assert (len(first.upserted), first.orphaned) == (RULES, ())
    assert len(set(loaded)) == len(loaded) == RULES
    assert directory.refresh() is None
    messages = {each.rule_id: each for each in first.upserted}
    before = RulePack.compile(first.upserted)

    took_s = []
    for rule_id in ("R10500", "R10501", "R10502"):
        loaded.clear()
        edit(folder / f"{rule_id}.yaml")
        began = time.process_time()
        changes = directory.refresh()
        assert changes is not None
        messages |= {each.rule_id: each for each in changes.upserted}
        after = RulePack.compile(messages.values(), before)
        took_s.append(time.process_time() - began)
        fresh = [i for i, each in after.rules.items() if each.tree is not before.rules[i].tree]
        assert (loaded, fresh) == ([rule_id], [rule_id])
        before = after
    # Against the load of all, so that a slow machine is slow at both; the collector of garbage
    # may come into one of the edits.
    assert min(took_s) <= min(0.5, whole_s / 5)
