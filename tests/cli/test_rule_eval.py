# SPDX-License-Identifier: AGPL-3.0-or-later
"""`decnet-ttp rules eval`: what rows give, and how right it is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.rule_command import command_row, rules, write_rows, write_rule


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    """Two rules for commands, one for requests, one on trial."""
    folder = tmp_path / "pack"
    folder.mkdir()
    write_rule(folder, "R1", "fetch")
    write_rule(folder, "R2", "shell", technique="T1059", sub_technique="T1059.004", tactic="TA0002")
    write_rule(
        folder,
        "R3",
        "admin",
        technique="T1595",
        sub_technique="T1595.003",
        tactic="TA0043",
        kind="http_request",
        field="raw_url",
    )
    write_rule(folder, "R4", "trial", extra="status: experimental")
    return folder


def emitted(rule_id: str) -> dict[str, object]:
    technique, sub, tactic = {
        "R1": ("T1105", None, "TA0011"),
        "R2": ("T1059", "T1059.004", "TA0002"),
        "R3": ("T1595", "T1595.003", "TA0043"),
    }[rule_id]
    return {
        "technique": technique,
        "sub_technique": sub,
        "tactic": tactic,
        "rule_id": rule_id,
        "confidence": 0.8,
    }


async def test_each_row_has_its_line_and_a_summary_ends_it(pack: Path, tmp_path: Path) -> None:
    corpus = write_rows(
        tmp_path / "c.jsonl.gz",
        command_row("a", "fetch and shell", techniques=["T1105", "T1059"]),
        command_row("b", "shell", techniques=["T1059.001", "T1105"]),
        command_row("c", "fetch", benign=True),
        command_row("d", "ls", benign=True),
        command_row("e", "trial fetch"),
    )
    done = await rules("eval", corpus, "--rules", pack, "--json")
    assert done.code == 0
    *rows, summary = done.objects
    assert rows == [
        {"id": "a", "emitted": [emitted("R1"), emitted("R2")]},
        {"id": "b", "emitted": [emitted("R2")]},
        {"id": "c", "emitted": [emitted("R1")]},
        {"id": "d", "emitted": []},
        {"id": "e", "emitted": [emitted("R1")]},
    ]
    assert summary.pop("per_technique") == {
        "T1059": {
            "right": 2,
            "wrong": 0,
            "missed": 0,
            "false_alarms": 0,
            "precision": 1.0,
            "recall": 1.0,
        },
        "T1105": {
            "right": 1,
            "wrong": 1,
            "missed": 1,
            "false_alarms": 1,
            "precision": 0.5,
            "recall": 0.5,
        },
    }
    per_rule = summary.pop("per_rule")
    assert per_rule["R1"] == {
        "matches": 3,
        "tags": 3,
        "withheld": 0,
        "right": 1,
        "wrong": 1,
        "false_alarms": 1,
        "precision": 0.5,
    }
    assert (per_rule["R4"]["matches"], per_rule["R4"]["tags"], per_rule["R4"]["withheld"]) == (
        1,
        0,
        1,
    )
    assert summary == {
        "rows": 5,
        "rows_tagged": 4,
        "rows_labelled": 2,
        "rows_labelled_tagged": 2,
        "rows_labelled_right": 2,
        "rows_benign": 2,
        "rows_benign_tagged": 1,
        "precision": 0.75,
        "recall": 0.75,
        "false_alarm_rate": 0.5,
        "exact_precision": 0.25,
        "exact_recall": 0.25,
        "failures": 0,
    }


async def test_a_session_gives_what_its_parts_gave_each_once(pack: Path) -> None:
    session = {
        "id": 7,
        "source_kind": "session",
        "payload": {
            "session_id": "s",
            "commands": [
                {"id": "1", "command_text": "fetch"},
                "shell",
                {"id": "3", "text": "fetch"},
            ],
            "http_requests": [{"method": "GET", "raw_url": "/admin"}],
        },
    }
    done = await rules(
        "eval", "-", "--rules", pack, "--json", stdin=json.dumps(session).encode() + b"\n"
    )
    assert done.objects[0] == {"id": 7, "emitted": [emitted("R1"), emitted("R2"), emitted("R3")]}


async def test_a_kind_that_no_rule_reads_gives_nothing(pack: Path, tmp_path: Path) -> None:
    row = {"id": "x", "source_kind": "sip", "payload": {"method": "fetch"}}
    done = await rules("eval", write_rows(tmp_path / "c.jsonl", row), "--rules", pack, "--json")
    *rows, summary = done.objects
    assert rows == [{"id": "x", "emitted": []}]
    assert (summary["precision"], summary["recall"], summary["false_alarm_rate"]) == (None,) * 3


async def test_rows_of_every_kind_are_read_as_ingest_reads_its_messages() -> None:
    """Each through the shipped rules of its lifter."""
    payloads = {
        "intel": {"feodo_listed": True},
        "canary_fingerprint": {"navigator_webdriver": True},
        "ipv6_leak": {
            "addr": "fe80::a8bb:ccff:fe11:2233",
            "mac_oui": "a8:bb:cc",
            "iid_kind": "eui64",
            "vector": "mdns",
            "attacker_ip": "198.51.100.7",
        },
        "http_request": {"method": "GET", "raw_url": "/", "user_agent": "sqlmap/1.8"},
    }
    stdin = "".join(
        json.dumps({"id": kind, "source_kind": kind, "payload": payload}) + "\n"
        for kind, payload in payloads.items()
    )
    *rows, _ = (await rules("eval", "-", "--json", stdin=stdin.encode())).objects
    assert {row["id"] for row in rows if row["emitted"]} == set(payloads)


async def test_labels_of_other_releases_become_their_successors(pack: Path, tmp_path: Path) -> None:
    """T1086 (PowerShell) is T1059.001 today; an id the release does not know is not expected."""
    corpus = write_rows(
        tmp_path / "c.jsonl",
        command_row("a", "shell", techniques=["T1086", "T9999"]),
        command_row("b", "shell", techniques=["T9999"]),
    )
    summary = (await rules("eval", corpus, "--rules", pack, "--json")).objects[-1]
    assert (summary["rows_labelled"], summary["precision"], summary["recall"]) == (1, 1.0, 1.0)
    assert summary["exact_precision"] == 0.0


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"{", "c.jsonl:2: not JSON"),
        (b"[]", "c.jsonl:2: no JSON object"),
        (b'{"id":"a","payload":{}}', "c.jsonl:2: no source_kind"),
        (b'{"id":"a","source_kind":"command"}', "c.jsonl:2: payload is no object"),
        (
            b'{"id":"a","source_kind":"x","payload":{},"techniques":"T1"}',
            "c.jsonl:2: techniques is no list",
        ),
        (b'{"id":"a","source_kind":"x","payload":{},"benign":1}', "c.jsonl:2: benign is neither"),
    ],
)
async def test_a_broken_row_is_named(pack: Path, tmp_path: Path, line: bytes, message: str) -> None:
    corpus = write_rows(tmp_path / "c.jsonl", command_row("a", "fetch"))
    with corpus.open("ab") as file:
        file.write(line + b"\n")
    done = await rules("eval", corpus, "--rules", pack, "--json")
    assert done.code == 1
    assert message in done.err
    assert len(done.err.splitlines()) == 1


async def test_a_truncated_archive_is_named(pack: Path, tmp_path: Path) -> None:
    corpus = write_rows(
        tmp_path / "c.jsonl.gz", *(command_row(str(n), f"fetch {n}") for n in range(99))
    )
    corpus.write_bytes(corpus.read_bytes()[:-40])
    done = await rules("eval", corpus, "--rules", pack, "--json")
    assert done.code == 1
    assert "c.jsonl.gz: cannot be read after line" in done.err


async def test_people_get_a_table(pack: Path, tmp_path: Path) -> None:
    corpus = write_rows(tmp_path / "c.jsonl", command_row("a", "fetch", techniques=["T1105"]))
    done = await rules("eval", corpus, "--rules", pack)
    lines = done.out.splitlines()
    assert "precision     100.0 % (exact 100.0 %)" in lines
    assert "T1105\t1\t0\t0\t0\t100.0 %\t100.0 %" in lines
    assert "R1\t1\t1\t0\t1\t0\t0\t100.0 %" in lines


@pytest.mark.shared
async def test_every_innocent_row_is_answered(shared_dir: Path) -> None:
    """The shipped rules over thousands of real rows; `./dev bench rule_eval` has their rate."""
    files = sorted((shared_dir / "data" / "benign").glob("*.jsonl.gz"))
    done = await rules("eval", *files, "--json")
    *rows, summary = done.objects
    assert len(rows) == summary["rows"] == 22_270
