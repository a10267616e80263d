# SPDX-License-Identifier: AGPL-3.0-or-later
"""`decnet-ttp dlq` and `backfill`: wrong usage is told before anything is called."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from decnet_ttp.cli import dlq
from decnet_ttp.cli.backfill import _Place
from decnet_ttp.cli.main import cli
from decnet_ttp.ingest.dead_letters import Reason


def test_reasons_offered_are_those_there_are() -> None:
    assert set(dlq._REASONS) == set(Reason.__members__)


@pytest.mark.parametrize("command", ["replay", "drop"])
@pytest.mark.parametrize(
    "extra", [[], ["1", "--all"], ["1", "--reason", "REFUSED"], ["1", "--subject", "a.b"], ["0"]]
)
def test_letters_are_named_one_way(command: str, extra: list[str]) -> None:
    done = CliRunner().invoke(cli, ["dlq", command, *extra])
    assert done.exit_code == 2


@pytest.mark.parametrize(
    "wrong", [["--since-days", "0"], ["--source", "intel"], ["--batch-size", "0"], ["--rate", "0"]]
)
def test_backfill_bounds_its_options(wrong: list[str]) -> None:
    assert CliRunner().invoke(cli, ["backfill", *wrong]).exit_code == 2


def test_place_is_kept_by_ingest_and_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    place = _Place("unix:/a.sock", "all")
    assert place.read() == 0
    place.write(17)
    assert _Place("unix:/a.sock", "all").read() == 17
    assert _Place("unix:/a.sock", "email").read() == 0
    place.forget()
    assert place.read() == 0
