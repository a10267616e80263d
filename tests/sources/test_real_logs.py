# SPDX-License-Identifier: AGPL-3.0-or-later
"""Logs of public honeypots, several Cowrie releases from 2017 on."""

import gzip
import json
import os
import random
from pathlib import Path
from typing import Any

import pytest
from cowrie_log import read

from decnet_ttp.sources.cowrie import CowrieSource

SHARED = Path(os.environ.get("DECNET_TTP_SHARED", Path(__file__).resolve().parents[3] / "shared"))
LOGS = sorted((SHARED / "data" / "cowrie").glob("*.json.gz"))
EVENTS_PER_ITEM = {
    "commands": ("cowrie.command.input",),
    "auth_attempts": ("cowrie.login.failed", "cowrie.login.success"),
}

pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(not LOGS, reason="the shared data folder is absent"),
]


def plainly(log: Path) -> list[dict[str, Any]]:
    """The log's events, read in the simplest way there is."""
    with gzip.open(log, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


@pytest.mark.parametrize("log", LOGS, ids=[log.name.partition(".")[0] for log in LOGS])
def test_every_session_is_imported_or_reported(log: Path) -> None:
    """Compares with a count that shares no code with the importer."""
    events = plainly(log)
    payloads, source = read(log)
    addressed = {item["session"] for item in events if item.get("src_ip")}
    assert {payload["session_id"] for payload in payloads} == addressed
    everyone = {item["session"] for item in events}
    assert source.tally.sessions_skipped == len(everyone - addressed)
    assert source.tally.problems["no-attacker-address"] == len(everyone - addressed)
    assert len(payloads) + source.tally.sessions_skipped == source.tally.sessions == len(everyone)
    for items, names in EVENTS_PER_ITEM.items():
        expected = sum(
            item["eventid"] in names
            and item["session"] in addressed
            and bool(item.get("input", "x").strip())
            for item in events
        )
        assert sum(len(payload[items]) for payload in payloads) == expected
    ids = [item["id"] for p in payloads for name in EVENTS_PER_ITEM for item in p[name]]
    assert len(set(ids)) == len(ids)


def test_cutting_and_shuffling_the_files_of_a_log_changes_no_message(tmp_path: Path) -> None:
    log = next(log for log in LOGS if log.name.startswith("whoAmI"))
    lines = gzip.decompress(log.read_bytes()).splitlines(keepends=True)
    cuts = sorted(random.Random(7).sample(range(len(lines)), 5))  # noqa: S311 - where to cut
    names = [f"cowrie.json.{number}" for number in (3, 1, 5, 2, 4)] + ["cowrie.json"]
    for name, start, end in zip(names, [0, *cuts], [*cuts, len(lines)], strict=True):
        (tmp_path / name).write_bytes(b"".join(lines[start:end]))
    whole = {message.id for message in CowrieSource().read([str(log)])}
    assert {message.id for message in CowrieSource().read([str(tmp_path)])} == whole
