# SPDX-License-Identifier: AGPL-3.0-or-later
"""`decnet-ttp rules lock` and what `check` makes of it, in this process."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from decnet_ttp.cli.rules import rules

SOUND = Path(__file__).parent.parent / "rule_store" / "rules"


@pytest.fixture
def rules_dir(tmp_path: Path) -> Path:
    shutil.copytree(SOUND, tmp_path / "rules")
    return tmp_path / "rules"


def test_lock_writes_once_and_check_refuses_what_is_not_raised(rules_dir: Path) -> None:
    runner = CliRunner()
    lock = rules_dir / "rules.lock"
    first = runner.invoke(rules, ["lock", str(rules_dir)])
    assert (first.exit_code, first.output) == (0, f"{lock}: rules 3, newly locked 3\n")
    assert len(lock.read_text(encoding="ascii").splitlines()) == 5
    again = runner.invoke(rules, ["lock", "--json", str(rules_dir / "ttp")])
    assert json.loads(again.output) == [{"path": str(lock), "rules": 3, "changed": []}]
    path = rules_dir / "ttp" / "R0001.yaml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("confidence: 0.85", "confidence: 0.8"), encoding="utf-8")
    for command in ("check", "test", "lock"):
        done = runner.invoke(rules, [command, str(rules_dir)])
        assert done.exit_code == 1
        assert f"{path}:3:15: R0001 means something else" in done.output
    raised = path.read_text(encoding="utf-8").replace("rule_version: 3", "rule_version: 4")
    path.write_text(raised, encoding="utf-8")
    assert runner.invoke(rules, ["check", str(rules_dir)]).exit_code == 0
    third = runner.invoke(rules, ["lock", str(rules_dir)])
    assert third.output == f"{lock}: rules 3, newly locked 1\n"


def test_a_broken_lock_file_is_one_line(rules_dir: Path) -> None:
    (rules_dir / "rules.lock").write_text("<<<<<<< ours\n", encoding="ascii")
    done = CliRunner().invoke(rules, ["check", str(rules_dir)])
    assert done.exit_code == 1
    assert "rules.lock:1:1: no line of a lock file" in str(done.exception)
