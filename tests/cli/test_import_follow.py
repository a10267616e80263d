# SPDX-License-Identifier: AGPL-3.0-or-later
"""`import --follow` as a real process beside a real NATS."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import nats as nats_client
import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests" / "sources"))

from cowrie_log import closed, command, connect, encode  # noqa: E402 - beside its own tests
from nats_process import NatsProcess  # noqa: E402 - likewise

from decnet_ttp.sources.cowrie import CowrieSource  # noqa: E402 - likewise

PROGRAM = Path(sys.executable).parent / "decnet-ttp"


@pytest.fixture
def nats(tmp_path: Path) -> Iterator[NatsProcess]:
    server = NatsProcess(tmp_path / "nats")
    server.start()
    yield server
    server.kill()


@pytest.fixture
def start(tmp_path: Path, nats: NatsProcess) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Starts followers and kills those that are left at the end."""
    processes: list[subprocess.Popen[bytes]] = []
    env = {key: value for key, value in os.environ.items() if not key.startswith("DECNET_TTP_")}
    env |= {"DECNET_TTP_EVENTS_MAX_BYTES": str(64 * 1024 * 1024)}

    def run(*args: object) -> subprocess.Popen[bytes]:
        command = [PROGRAM, "import", "cowrie", "--follow", "--json", "--nats-url", nats.url]
        command += ["--data-dir", str(tmp_path / "data"), *map(str, args)]
        process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        processes.append(process)
        return process

    yield run
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.communicate()


def session(number: int) -> list[dict[str, Any]]:
    name = f"s{number}"
    return [
        connect(name, number),
        command(name, number + 0.1, f"wget http://192.0.2.1/{number}"),
        closed(name, number + 0.2),
    ]


def append(path: Path, events: list[dict[str, Any]]) -> None:
    with path.open("ab") as out:
        out.write(encode(events))


async def on_the_bus(nats: NatsProcess) -> list[dict[str, Any]]:
    """The envelopes, each with when NATS took it, in epoch seconds, under `stored`."""
    connection = await nats_client.connect(nats.url, connect_timeout=2)
    js = connection.jetstream()
    try:
        found = []
        with suppress(nats_client.js.errors.NotFoundError):
            info = await js.stream_info("DECNET_EVENTS")
            for sequence in range(1, info.state.last_seq + 1):
                message = await js.get_msg("DECNET_EVENTS", sequence)
                assert message.time
                envelope = json.loads(message.data or b"{}")
                found.append(envelope | {"stored": message.time.timestamp()})
        return found
    finally:
        await connection.close()


async def until(nats: NatsProcess, wanted: set[str], within_s: float = 60.0) -> float:
    """Waits until those sessions are on the bus whole; returns how long it took."""
    started = time.monotonic()
    while time.monotonic() - started < within_s:
        done = {e["payload"]["session_id"] for e in await on_the_bus(nats) if not partial(e)}
        if wanted <= done:
            return time.monotonic() - started
        await asyncio.sleep(0.05)
    raise TimeoutError(f"only {len(done & wanted)} of {len(wanted)} sessions came")


def partial(envelope: dict[str, Any]) -> bool:
    return "part" in envelope["payload"]


def stop(process: subprocess.Popen[bytes], number: int = signal.SIGTERM) -> dict[str, Any]:
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    summary: dict[str, Any] = json.loads(out)
    return summary


def told(process: subprocess.Popen[bytes], text: bytes) -> None:
    """Reads what a process tells until it tells that."""
    assert process.stderr
    assert any(text in line for line in process.stderr), "it ended"


@pytest.mark.faults
async def test_killed_and_started_again_it_neither_loses_nor_repeats(
    tmp_path: Path, nats: NatsProcess, start: Callable[..., subprocess.Popen[bytes]]
) -> None:
    """Three lives, two ended by SIGKILL, with a rotation in each."""
    log = tmp_path / "log" / "cowrie.json"
    log.parent.mkdir()
    log.touch()
    for life in range(3):
        process = start(log, "--closed-only")
        append(log, session(life * 10) + session(life * 10 + 1)[:2])
        await until(nats, {f"s{life * 10}"})
        log.rename(f"{log}.{life}")
        append(log, session(life * 10 + 1)[2:] + session(life * 10 + 2))
        if life < 2:
            process.kill()
            process.wait()
        else:
            await until(nats, {f"s{n * 10 + m}" for n in range(3) for m in range(3)})
            stop(process)
    envelopes = await on_the_bus(nats)
    expected = {message.id for message in CowrieSource().read([str(log.parent)])}
    assert sorted(envelope["id"] for envelope in envelopes) == sorted(expected)
    assert len(expected) == 9


async def test_log_that_is_new_in_a_directory_is_followed_at_once_and_after_a_restart(
    tmp_path: Path, nats: NatsProcess, start: Callable[..., subprocess.Popen[bytes]]
) -> None:
    """The directory is empty at first; the cursor holds for all that appears in it."""
    folder = tmp_path / "log"
    folder.mkdir()
    process = start(folder, "--closed-only")
    for number, name in enumerate(("ssh.json", "telnet.json")):
        append(folder / name, session(number))
        await until(nats, {f"s{number}"})
    stop(process)
    append(folder / "more.json", session(2))
    append(folder / "ssh.json", session(3))
    process = start(folder, "--closed-only")
    await until(nats, {f"s{number}" for number in range(4)})
    summary = stop(process)
    assert summary["sessions"] == 2
    assert len(await on_the_bus(nats)) == 4


@pytest.mark.faults
async def test_bus_that_goes_away_is_waited_for(
    tmp_path: Path, nats: NatsProcess, start: Callable[..., subprocess.Popen[bytes]]
) -> None:
    log = tmp_path / "cowrie.json"
    log.touch()
    # Within the deadline it has to connect and to make the streams, too.
    process = start(log, "--closed-only", "--deadline", "10")
    append(log, session(1))
    await until(nats, {"s1"})
    nats.kill()
    append(log, session(2))
    # The deadline has passed by then: the import must outlast it.
    await asyncio.wait_for(asyncio.to_thread(told, process, b"still waiting for the bus"), 60)
    nats.start()
    await until(nats, {"s1", "s2"})
    summary = stop(process, signal.SIGINT)
    assert summary["sessions"] == 2
    assert len(await on_the_bus(nats)) == 2


async def test_command_is_on_the_bus_while_its_session_goes_on(
    tmp_path: Path, nats: NatsProcess, start: Callable[..., subprocess.Popen[bytes]]
) -> None:
    log = tmp_path / "cowrie.json"
    process = start(log)
    append(log, session(0))
    await until(nats, {"s0"})
    append(log, session(1)[:2])
    written = time.time()
    async with asyncio.timeout(60):
        while not any(map(partial, await on_the_bus(nats))):
            await asyncio.sleep(0.05)
    envelope = next(filter(partial, await on_the_bus(nats)))
    assert envelope["stored"] - written < 2
    shown = envelope["payload"]
    assert shown["commands"][0]["command_text"] == "wget http://192.0.2.1/1"
    stop(process)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--dry-run"], b"--dry-run does not go with it"),
        (["--wait", "5"], b"--wait does not go with it"),
        (["/nosuch/dir/cowrie.json"], b"/nosuch/dir: no such directory"),
        (["-"], b"standard input cannot be followed"),
    ],
)
def test_what_cannot_be_followed_is_wrong_usage(
    tmp_path: Path,
    start: Callable[..., subprocess.Popen[bytes]],
    options: list[str],
    message: bytes,
) -> None:
    (tmp_path / "cowrie.json").touch()
    process = start(tmp_path / "cowrie.json", *options)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert message in err


def test_cursor_in_use_and_broken_cursor_fail_with_the_cure(
    tmp_path: Path, start: Callable[..., subprocess.Popen[bytes]]
) -> None:
    (tmp_path / "c.json").write_text("broken")
    process = start(tmp_path / "cowrie.json", "--cursor", tmp_path / "c.json")
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert b"remove it to begin anew" in err
