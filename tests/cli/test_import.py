# SPDX-License-Identifier: AGPL-3.0-or-later
import asyncio
import gzip
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests" / "sources"))

from cowrie_log import closed, command, connect, encode, event  # noqa: E402 - beside its own tests
from nats_process import NatsProcess  # noqa: E402 - likewise

LOG = [
    event
    for n in range(30)
    for event in (connect(f"s{n}", n), command(f"s{n}", n + 1, "id"), closed(f"s{n}", n + 2))
]


@pytest.fixture(scope="module")
def nats(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsProcess]:
    server = NatsProcess(tmp_path_factory.mktemp("nats"))
    server.start()
    yield server
    server.kill()


def run(
    *args: object, adapter: str = "cowrie", url: str = "", stdin: bytes = b""
) -> subprocess.CompletedProcess[bytes]:
    env = {key: value for key, value in os.environ.items() if not key.startswith("DECNET_TTP_")}
    # Small enough for any disk that the tests run on.
    env |= {"DECNET_TTP_EVENTS_MAX_BYTES": str(64 * 1024 * 1024)}
    if url:
        env["DECNET_TTP_NATS_URL"] = url
    program = Path(sys.executable).parent / "decnet-ttp"
    return subprocess.run(
        [program, "import", adapter, *map(str, args)],
        env=env,
        input=stdin,
        capture_output=True,
        timeout=240,
        check=False,
    )


def test_import_counts_and_a_second_one_adds_nothing(tmp_path: Path, nats: NatsProcess) -> None:
    (tmp_path / "cowrie.json").write_bytes(encode(LOG) + b"broken\n")
    first = run(tmp_path, "--json", url=nats.url)
    assert first.returncode == 0, first.stderr
    summary = json.loads(first.stdout)
    assert summary.pop("seconds") > 0
    assert summary.pop("sessions_per_s") > 0
    assert summary == {
        "files": 1,
        "lines": 91,
        "sessions": 30,
        "sessions_imported": 30,
        "sessions_duplicate": 0,
        "sessions_left_out": 0,
        "commands": 30,
        "auth_attempts": 0,
        "payloads": 0,
        "http_requests": 0,
        "mails": 0,
        "messages_published": 30,
        "messages_duplicate": 0,
        "messages_refused": 0,
        "problems": {"not-json": 1},
        "dry_run": False,
    }
    assert f"{tmp_path / 'cowrie.json'}:91: not-json" in first.stderr.decode()
    second = json.loads(run(tmp_path, "--json", "--nats-url", nats.url).stdout)
    assert (second["sessions_imported"], second["sessions_duplicate"]) == (0, 30)


def test_dry_run_reads_standard_input_without_a_bus() -> None:
    done = run("-", "--dry-run", stdin=gzip.compress(encode(LOG)))
    assert done.returncode == 0, done.stderr
    assert b"nothing published" in done.stdout
    assert done.stderr == b""


def test_attacker_text_never_reaches_the_terminal(tmp_path: Path) -> None:
    evil = event("login.failed", "s", 1, username=["\x1b[31mEVIL"], password="EVIL")  # noqa: S106 - bait
    (tmp_path / "cowrie.json").write_bytes(encode([connect("s", 0), evil]) + b"EVIL\n{EVIL")
    done = run(tmp_path, "--dry-run")
    assert done.stderr.count(b"cowrie.json") == 3
    assert b"EVIL" not in done.stdout + done.stderr


def test_missing_file_is_wrong_usage() -> None:
    done = run("/nosuch/cowrie.json", "--dry-run")
    assert done.returncode == 2
    assert done.stderr.count(b"\n") == 1
    assert b"/nosuch/cowrie.json: no such file" in done.stderr


def test_bus_that_is_away_fails_with_the_cure_and_no_password(tmp_path: Path) -> None:
    (tmp_path / "cowrie.json").write_bytes(encode(LOG))
    done = run(tmp_path, "--deadline", "0.5", "--nats-url", "nats://user:s3cret@127.0.0.1:1")
    assert done.returncode == 1
    assert b"NATS at 127.0.0.1:1 cannot be used within 0.5 s" in done.stderr
    assert b"s3cret" not in done.stderr


async def test_wrong_password_is_told_at_once_in_one_line(tmp_path: Path, nats_url: str) -> None:
    (tmp_path / "cowrie.json").write_bytes(encode(LOG))
    wrong = nats_url.replace("decnet_ttp:", "decnet_ttp:wr0ng", 1)
    done = await asyncio.to_thread(run, tmp_path, "--deadline", "30", "--nats-url", wrong)
    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if b"refuses" in line]
    assert b"refuses the user or the password; correct them in its URL" in line
    assert b"bus error" not in done.stderr
    assert b"wr0ng" not in done.stderr


EXAMPLES = ROOT / "examples"
LINE = '198.51.100.7 - - [12/Mar/2024:10:00:00 +0100] "GET /.env HTTP/1.1" 404 1 "-" "curl/8"\n'
MAIL = "From: a@evil.example\nTo: b@victim.example\nSubject: hello\n\nhttp://evil.example/\n"
ROW = '{"id":"r1","source_kind":"command","payload":{"command_text":"id"}}\n'


@pytest.mark.parametrize(
    ("adapter", "name", "content", "options", "counted", "messages"),
    [
        ("access-log", "access.log", LINE * 3, [], ("http_requests", 3), 1),
        ("opencanary", "opencanary.log", None, [], ("auth_attempts", 11), 10),
        ("eml", "a.eml", MAIL, ["--attacker-ip", "198.51.100.7"], ("mails", 1), 1),
        ("jsonl", "a.jsonl", ROW, ["--attacker-ip", "198.51.100.7"], ("commands", 1), 1),
    ],
)
def test_every_adapter_publishes_and_a_second_run_adds_nothing(
    tmp_path: Path,
    nats: NatsProcess,
    adapter: str,
    name: str,
    content: str | None,
    options: list[str],
    counted: tuple[str, int],
    messages: int,
) -> None:
    """From a folder, then from standard input: the same ids on the bus."""
    data = (EXAMPLES / "opencanary-sample.log").read_bytes() if content is None else b""
    data = data or (content or "").encode()
    (tmp_path / name).write_bytes(data)
    first = run(tmp_path, *options, "--json", adapter=adapter, url=nats.url)
    assert first.returncode == 0, first.stderr
    summary = json.loads(first.stdout)
    assert summary[counted[0]] == counted[1]
    assert (summary["messages_published"], summary["messages_duplicate"]) == (messages, 0)
    assert summary["problems"] == {}
    again = run("-", *options, "--json", adapter=adapter, url=nats.url, stdin=gzip.compress(data))
    summary = json.loads(again.stdout)
    assert (summary["messages_published"], summary["messages_duplicate"]) == (0, messages)


def test_dry_run_stores_no_artifact(tmp_path: Path) -> None:
    (tmp_path / "a.eml").write_text(MAIL)
    options = ["--attacker-ip", "198.51.100.7", "--artifacts", tmp_path / "root"]
    assert run(tmp_path, *options, "--dry-run", adapter="eml").returncode == 0
    assert not (tmp_path / "root").exists()


@pytest.mark.parametrize(
    ("adapter", "options", "message"),
    [
        ("nosuch", [], b"No such command 'nosuch'"),
        ("eml", ["--decky", "../x"], b"use 1 to 63 of a-z, 0-9 and -"),
        ("jsonl", ["--attacker-ip", "x"], b"use an IPv4 or IPv6 address"),
        ("access-log", ["--window", "0"], b"use a whole number of seconds from 1"),
    ],
)
def test_wrong_options_are_wrong_usage(adapter: str, options: list[str], message: bytes) -> None:
    done = run("-", "--dry-run", *options, adapter=adapter)
    assert done.returncode == 2
    assert message in done.stderr
