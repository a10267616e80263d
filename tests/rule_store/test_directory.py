# SPDX-License-Identifier: AGPL-3.0-or-later
from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest

from decnet_ttp.rule_store import directory as rule_directory
from decnet_ttp.rule_store.directory import RuleDirectory
from decnet_ttp.rule_store.vocabulary import Vocabulary


def test_a_file_that_is_emptied_while_it_is_read_is_not_taken_for_broken(
    sound_rules: Path, tmp_path: Path, vocabulary: Vocabulary, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An editor may begin to write between the look at a file's age and at its content."""
    folder = tmp_path / "ttp"
    shutil.copytree(sound_rules / "ttp", folder)
    path = folder / "R0001.yaml"
    text = path.read_bytes()
    directory = RuleDirectory(folder, vocabulary)
    assert directory.refresh() is not None
    an_hour_ago = time.time() - 3_600
    os.utime(path, (an_hour_ago, an_hour_ago))
    read = rule_directory.read_bounded

    def emptied(file: Path) -> bytes:
        if file == path:
            file.write_bytes(b"")
        return read(file)

    monkeypatch.setattr(rule_directory, "read_bounded", emptied)
    assert directory.refresh() is None
    assert directory.unsettled
    monkeypatch.undo()
    path.write_bytes(text)
    assert directory.refresh() is None
    assert not directory.unsettled
