# SPDX-License-Identifier: AGPL-3.0-or-later
"""Precision of R0007 to R0029 on corpora of our own, and on real ones where they are at hand."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from decnet_ttp.matching import RulePack
from precision.corpora import RULE_IDS, command_event, events, run, shipped_pack

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def pack() -> RulePack:
    return shipped_pack()


def _rows(name: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = yaml.safe_load((HERE / name).read_text(encoding="utf-8"))
    return rows


@pytest.mark.parametrize("row", _rows("commands.yaml"), ids=lambda row: row["command"][:40])
def test_command_line_fires_exactly_its_rules(pack: RulePack, row: dict[str, Any]) -> None:
    fired = [match.rule.rule_id for match in pack.evaluate(command_event(row["command"]))]
    assert fired == row["rules"]


@pytest.mark.parametrize("row", _rows("requests.yaml"), ids=lambda row: row["raw_url"][:40])
def test_request_fires_exactly_its_rules(pack: RulePack, row: dict[str, Any]) -> None:
    (event,) = events({"source_kind": "http_request", "payload": {"method": "GET", **row}})
    assert [match.rule.rule_id for match in pack.evaluate(event)] == row["rules"]


def test_every_rule_is_loaded(pack: RulePack) -> None:
    assert pack.rules.keys() == RULE_IDS


#: Command lines that the predecessor missed, with the rule that must fire.
BLIND_SPOTS = [
    ("wget 1.2.3.4/x", "R0012"),
    ("tftp -g -r x host", "R0012"),
    ("scp root@h:f .", "R0012"),
    ("echo x | crontab -", "R0025"),
    ("echo x >> /etc/crontab", "R0025"),
    ("rm ~/.bash_history", "R0028"),
    ("> /root/.bash_history", "R0028"),
    ("history -c; set +o history", "R0028"),
    ("find / -perm /u=s", "R0015"),
    ("find / -perm -6000", "R0015"),
    ("find / -perm u+s", "R0015"),
    ("awk -F: '{print $1}' /etc/passwd", "R0013"),
    ("cat</etc/passwd", "R0013"),
    ("python2.7 -c 'print 1'", "R0011"),
    ("bash -c id", "R0011"),
    ("php -r 'echo 1;'", "R0011"),
    ("lsb_release -a", "R0018"),
    ("useradd -m -s /bin/bash backdoor", "R0024"),
    ("adduser --gecos '' backdoor", "R0024"),
]


@pytest.mark.parametrize(("text", "rule_id"), BLIND_SPOTS)
def test_blind_spot_is_closed(pack: RulePack, text: str, rule_id: str) -> None:
    assert rule_id in [match.rule.rule_id for match in pack.evaluate(command_event(text))]


@pytest.mark.shared
@pytest.mark.parametrize(
    ("corpus", "share"),
    [("tldr", 0.012), ("debian_maintainer_scripts", 0.004), ("cheatsheets", 0.025)],
)
def test_innocent_commands_are_rarely_tagged(
    pack: RulePack, shared_dir: Path, corpus: str, share: float
) -> None:
    """What is tagged here is what it says (a page on nmap is a scan); the share must not grow."""
    outcomes = run(pack, shared_dir / "data" / "benign" / f"{corpus}.jsonl.gz")
    assert sum(bool(each.rules) for each in outcomes) / len(outcomes) <= share


@pytest.mark.shared
def test_innocent_one_liners_give_little_beyond_searching(pack: RulePack, shared_dir: Path) -> None:
    """NL2Bash is about `find`; a search from the root is T1083 whoever runs it."""
    outcomes = run(pack, shared_dir / "data" / "benign" / "nl2bash.jsonl.gz")
    rules = Counter(rule_id for each in outcomes for rule_id in each.rules)
    others = sum(bool(each.rules - {"R0016"}) for each in outcomes)
    assert others / len(outcomes) <= 0.065
    high = ("R0014", "R0017", "R0022", "R0023", "R0024", "R0026", "R0027")
    assert sum(rules[rule_id] for rule_id in high) <= 2


@pytest.mark.shared
def test_innocent_requests_are_never_tagged(pack: RulePack, shared_dir: Path) -> None:
    folder = shared_dir / "data" / "http"
    outcomes = [
        each
        for name in ("access_log_benign", "params", "gotestwaf")
        for each in run(pack, folder / f"{name}.jsonl.gz")
        if each.row.get("benign")
    ]
    assert len(outcomes) > 5_000
    assert [each.row["id"] for each in outcomes if each.rules] == []


@pytest.mark.shared
def test_tagged_attack_requests_bear_the_right_technique(pack: RulePack, shared_dir: Path) -> None:
    folder = shared_dir / "data" / "http"
    tagged = [
        each
        for name in ("crs", "gotestwaf", "params", "scanners")
        for each in run(pack, folder / f"{name}.jsonl.gz")
        if each.rules
    ]
    right = sum(
        bool({t.partition(".")[0] for t in each.techniques} & _parents(each.row)) for each in tagged
    )
    assert len(tagged) > 1_000
    assert right / len(tagged) >= 0.95


def _parents(row: dict[str, Any]) -> set[str]:
    return {technique.partition(".")[0] for technique in row.get("techniques", ())}


@pytest.mark.shared
def test_atomic_tests_are_hit_more_often_than_by_the_predecessor(
    pack: RulePack, shared_dir: Path
) -> None:
    """The predecessor: 5.8 % with the right technique, 24.0 % right when it tagged at all."""
    outcomes = run(pack, shared_dir / "data" / "labelled" / "atomic_tests_linux.jsonl.gz")
    tagged = [each for each in outcomes if each.rules]
    right = sum(bool(each.techniques & set(each.row["techniques"])) for each in tagged)
    assert right / len(outcomes) >= 0.10
    assert right / len(tagged) >= 0.33
