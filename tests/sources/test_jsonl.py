# SPDX-License-Identifier: AGPL-3.0-or-later
import gzip
import os
from pathlib import Path
from typing import Any

import orjson
import pytest

from decnet_ttp.sources.jsonl import JsonlSource
from decnet_ttp.sources.protocol import Upstream

SHARED = Path(os.environ.get("DECNET_TTP_SHARED", Path(__file__).resolve().parents[3] / "shared"))
ADDRESS = "198.51.100.7"


def read(path: Path, *lines: Any, **options: Any) -> tuple[list[Upstream], JsonlSource]:
    if lines:
        path.write_bytes(
            b"".join((x if isinstance(x, bytes) else orjson.dumps(x)) + b"\n" for x in lines)
        )
    source = JsonlSource(**options)
    return list(source.read([str(path)])), source


def test_envelope_travels_as_it_is(tmp_path: Path) -> None:
    envelope = {
        "v": 1,
        "id": "0a1b",
        "topic": "canary.tok-1.triggered",
        "type": "triggered",
        "ts": 1710234000.5,
        "payload": {"src_ip": ADDRESS, "trigger_id": "t1"},
    }
    messages, source = read(tmp_path / "x.jsonl", envelope)
    assert [orjson.loads(message.envelope(0.0)) for message in messages] == [envelope]
    assert source.tally.sessions == 0
    assert not source.tally.problems


def test_what_may_not_go_on_the_bus_is_left_out(tmp_path: Path) -> None:
    """Subjects of other streams, wildcards, other versions, ids that would be headers."""
    good = {"topic": "attacker.observed", "payload": {"attacker_ip": ADDRESS}}
    topics = [
        "ttp.tagged",
        "dlq.ttp.x",
        "attacker.*",
        "attacker.>",
        "attacker",
        "attacker.a b",
        7,
        "",
    ]
    messages, source = read(
        tmp_path / "x.jsonl",
        *({**good, "topic": topic} for topic in topics),
        {**good, "v": 2},
        {**good, "payload": []},
        {"payload": {}},
        {"source_kind": "nosuch", "payload": {}},
        {**good, "id": "a\r\nNats-Rollup: all"},
        good,
    )
    assert source.tally.problems == {
        "bad-topic": 8,
        "bad-version": 1,
        "not-an-event": 2,
        "unknown-kind": 1,
    }
    assert len(messages) == 2
    assert messages[0].id == messages[1].id
    assert len(messages[0].id) == 32


@pytest.mark.parametrize(
    ("kind", "name", "payload"),
    [
        ("command", "commands", {"command_text": "id"}),
        ("http_request", "http_requests", {"method": "GET", "raw_url": "/"}),
        ("auth_attempt", "auth_attempts", {"service": "ftp", "username": "root"}),
        ("payload", "payloads", {"sha256": "ab" * 32, "direction": "upload"}),
    ],
)
def test_event_of_a_session_becomes_a_session_with_that_alone(
    tmp_path: Path, kind: str, name: str, payload: dict[str, Any]
) -> None:
    row = {"id": "row:1", "source_kind": kind, "payload": payload, "src_ip": ADDRESS}
    (message,), source = read(tmp_path / "x.jsonl", row)
    body = orjson.loads(message.payload)
    assert message.topic == "attacker.session.ended"
    assert body[name] == [{"id": "row:1", "ts": None, **payload}]
    assert (body["session_id"], body["attacker_ip"]) == ("row:1", ADDRESS)
    assert getattr(source.tally, name) == source.tally.sessions == 1


@pytest.mark.parametrize(
    ("kind", "topic", "label"),
    [
        ("session", "attacker.session.ended", "session.ended"),
        ("email", "email.received", "received"),
        ("intel", "attacker.intel.enriched", "intel.enriched"),
        ("canary_fingerprint", "canary.tok.triggered", "triggered"),
        ("identity", "identity.formed", "formed"),
        ("credential", "credential.reuse.detected", "reuse.detected"),
        ("http_fingerprint", "attacker.fingerprinted", "http_fingerprint"),
        ("ipv6_leak", "attacker.fingerprinted", "ipv6_leak"),
    ],
)
def test_every_other_kind_has_its_subject(
    tmp_path: Path, kind: str, topic: str, label: str
) -> None:
    row = {"id": "r", "source_kind": kind, "payload": {"token_id": "tok", "x": 1}}
    (message,), _ = read(tmp_path / "x.jsonl", row, attacker_ip=ADDRESS)
    assert (message.topic, message.type) == (topic, label)
    body = orjson.loads(message.payload)
    assert (body["source_id"], body["attacker_ip"], body["x"]) == ("r", ADDRESS, 1)


def test_event_that_names_nobody_is_left_out_unless_told_whose_it_is(tmp_path: Path) -> None:
    row = {"source_kind": "command", "payload": {"command_text": "id", "ts": 1710234000}}
    messages, source = read(tmp_path / "x.jsonl", row)
    assert not messages
    assert source.tally.problems == {"no-attacker-address": 1}
    (first,), _ = read(tmp_path / "y.jsonl", row, attacker_ip=ADDRESS)
    (again,), _ = read(tmp_path / "y.jsonl", attacker_ip=ADDRESS)
    assert first == again
    assert first.ts == 1710234000.0


@pytest.mark.shared
@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data folder is absent")
@pytest.mark.parametrize("folder", ["http", "labelled", "unlabelled"])
def test_every_row_of_the_corpora_becomes_a_message(folder: str) -> None:
    for path in sorted((SHARED / "data" / folder).glob("*.jsonl.gz")):
        messages, source = read(path, attacker_ip=ADDRESS)
        with gzip.open(path) as rows:
            wanted = [orjson.loads(row) for row in rows]
        assert not source.tally.problems
        assert len(messages) == len(wanted)
        assert len({message.id for message in messages}) == len({row["id"] for row in wanted})
