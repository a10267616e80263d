# SPDX-License-Identifier: AGPL-3.0-or-later
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


def run(*args: object, url: str = "", stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    env = {key: value for key, value in os.environ.items() if not key.startswith("DECNET_TTP_")}
    # Small enough for any disk that the tests run on.
    env |= {"DECNET_TTP_EVENTS_MAX_BYTES": str(64 * 1024 * 1024)}
    if url:
        env["DECNET_TTP_NATS_URL"] = url
    program = Path(sys.executable).parent / "decnet-ttp"
    return subprocess.run(
        [program, "import", "cowrie", *map(str, args)],
        env=env,
        input=stdin,
        capture_output=True,
        timeout=60,
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
