# SPDX-License-Identifier: AGPL-3.0-or-later
"""Adapters that other packages bring."""

import subprocess
import sys
from pathlib import Path

import pytest

from decnet_ttp.sources.protocol import SourceUnknownError, SourceUnusableError, load, source_names

OURS = ["access-log", "cowrie", "eml", "jsonl", "opencanary"]
ADAPTER = """
from decnet_ttp.sources.protocol import SourceOption, Tally, Upstream


class Words:
    summary = "Import words."
    options = (SourceOption(name="sensor", metavar="NAME", doc="Whose words.", default="s1"),)

    def __init__(self, *, sensor):
        self.tally = Tally()
        self.sensor = sensor

    def read(self, paths):
        for path in paths:
            for word in open(path).read().split():
                self.tally.sessions += 1
                yield Upstream.of("attacker.session.ended", "session.ended", word, {}, None)
"""


@pytest.fixture
def third_party(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package beside ours with one adapter that works and one that does not."""
    site = tmp_path / "site"
    info = site / "theirs-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "theirs.py").write_text(ADAPTER)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[decnet_ttp.sources]\nwords = theirs:Words\nbroken = theirs.nosuch:Nothing\n"
    )
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setenv("PYTHONPATH", str(site))
    return site


def test_adapters_of_others_are_found_beside_ours(third_party: Path) -> None:
    assert source_names() == sorted([*OURS, "words", "broken"])
    assert load("words", sensor="x").__class__.__name__ == "Words"
    with pytest.raises(SourceUnusableError, match=r"theirs\.nosuch:Nothing"):
        load("broken")
    with pytest.raises(SourceUnknownError, match="use one of access-log, broken, cowrie"):
        load("nosuch")


def test_adapter_of_others_is_a_command_with_its_options(third_party: Path, tmp_path: Path) -> None:
    (tmp_path / "w.txt").write_text("one two three")
    program = Path(sys.executable).parent / "decnet-ttp"

    def run(*args: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [program, "import", *args], capture_output=True, text=True, check=False, timeout=240
        )

    shown = run("words", "--help").stdout
    assert "Import words." in shown
    assert "--sensor NAME" in shown
    assert "--follow" not in shown
    done = run("words", str(tmp_path / "w.txt"), "--dry-run", "--json")
    assert '"sessions": 3' in done.stdout
    broken = run("broken", "x", "--dry-run")
    assert broken.returncode == 1
    assert broken.stderr.count("\n") == 1
    listed = run("--help")
    assert listed.returncode == 0
    assert "words" in listed.stdout
