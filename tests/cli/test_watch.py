# SPDX-License-Identifier: AGPL-3.0-or-later
"""`decnet-ttp watch` against a real NATS: what it shows, from when on, and how it ends."""

from __future__ import annotations

import asyncio
import json
import signal
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from decnet_ttp.attack import Catalogue, load_catalogue
from decnet_ttp.cli.watch import _Names
from decnet_ttp.embedded.nats import NatsServer
from decnet_ttp.runtime.bus import Bus, Envelope, connect_bus
from decnet_ttp.runtime.config import Settings
from decnet_ttp.runtime.streams import ensure_streams
from decnet_ttp.v1.directory_service_pb2 import Attacker

ATTACKER = "6a7f3a4e-0a3b-5a52-93a5-6f0c3f1f7b11"
NOON = 1_772_366_400.0  # 2026-03-01 12:00:00 UTC


def tagged(number: int, **changed: Any) -> Envelope:
    """Return an announcement as the tag-store makes it."""
    payload = {
        "attacker_uuid": ATTACKER,
        "identity_uuid": None,
        "session_id": f"s{number}",
        "origin_id": f"origin-{number}",
        "techniques_added": ["T1059", "T1105"],
        "sub_techniques_added": ["T1059.004"],
        "tag_uuids": [f"uuid-{number}"],
        "rule_ids": ["R0014", "R0020"],
        "confidence_max": 0.9,
    }
    return Envelope(
        topic="ttp.tagged",
        type="tagged",
        payload=payload | changed,
        id=f"id-{number}",
        ts=NOON + number,
    )


@pytest_asyncio.fixture
async def bus(nats_url: str) -> AsyncIterator[Bus]:
    """A connection to a NATS that has the streams."""
    # Small enough for any disk that the tests run on.
    settings = Settings(nats_url=nats_url, events_max_bytes=64 * 1024 * 1024)
    bus = await connect_bus(settings, name="test")
    await ensure_streams(bus.js, settings)
    yield bus
    await bus.nc.close()


async def publish(bus: Bus, *envelopes: Envelope) -> None:
    for envelope in envelopes:
        await bus.js.publish(envelope.topic, envelope.encode(), headers=envelope.headers)


class Watching:
    """A `watch` that has started following."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def line(self) -> str:
        assert self.process.stdout
        return (await asyncio.wait_for(self.process.stdout.readline(), 60)).decode()

    async def end(self) -> tuple[int | None, str]:
        """Wait for its end; returns the exit code and what was not read yet."""
        assert self.process.stdout
        rest = await asyncio.wait_for(self.process.stdout.read(), 60)
        return await asyncio.wait_for(self.process.wait(), 60), rest.decode()


@pytest.fixture
def watching(
    program: Callable[..., list[str]],
    program_environment: Callable[..., dict[str, str]],
    nats_url: str,
    empty_dir: str,
) -> Any:
    """Start `watch` and wait until it follows."""

    @asynccontextmanager
    async def start(*args: object, **settings: str) -> AsyncIterator[Watching]:
        named = {"NATS_URL": nats_url, "DATA_DIR": empty_dir} | settings
        process = await asyncio.create_subprocess_exec(
            *program("watch", *args),
            env=program_environment(**named),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        assert process.stderr
        try:
            said = (await asyncio.wait_for(process.stderr.readline(), 60)).decode()
            assert said.startswith("watching ttp.tagged from "), said
            yield Watching(process)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()

    return start


async def test_json_shows_what_comes_from_now_on_one_object_a_line(watching: Any, bus: Bus) -> None:
    await publish(bus, tagged(1))
    async with watching("--json", "--count", 2) as watch:
        fired = Envelope(topic="ttp.rule.fired.T1105", type="rule.fired", payload={})
        await publish(bus, tagged(2), fired, tagged(3))
        code, out = await watch.end()
    assert code == 0
    assert [json.loads(line) for line in out.splitlines()] == [
        {
            "id": f"id-{number}",
            "topic": "ttp.tagged",
            "type": "tagged",
            "ts": NOON + number,
            "payload": tagged(number).payload,
        }
        for number in (2, 3)
    ]


async def test_a_line_names_attacker_session_techniques_rules_and_confidence(
    watching: Any, bus: Bus
) -> None:
    async with watching("--count", 2) as watch:
        anchorless = tagged(
            2,
            attacker_uuid=None,
            identity_uuid="i",
            session_id=None,
            rule_ids=[],
            techniques_added=["T9999"],
            sub_techniques_added=[],
            confidence_max=None,
        )
        await publish(bus, tagged(1), anchorless)
        code, out = await watch.end()
    assert code == 0
    assert [line.split("\t") for line in out.splitlines()] == [
        [
            "2026-03-01 12:00:01",
            ATTACKER,
            "s1",
            "T1059.004 Command and Scripting Interpreter: Unix Shell, T1105 Ingress Tool Transfer",
            "R0014 R0020",
            "0.90",
        ],
        ["2026-03-01 12:00:02", "identity i", "-", "T9999", "-", "-"],
    ]


async def test_names_that_take_a_while_are_waited_for_before_the_first_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without holding up the rest of the program."""
    loaded = threading.Event()

    def load(**_settings: object) -> Catalogue:
        loaded.wait()
        return load_catalogue()

    monkeypatch.setattr("decnet_ttp.attack.load_catalogue", load)
    names = _Names(Settings())
    arriving = asyncio.create_task(names.arrive())
    asyncio.get_running_loop().call_later(1.5, loaded.set)
    await arriving
    assert names.label("T1105") == "T1105 Ingress Tool Transfer"


async def test_since_begins_in_the_past_and_keeps_the_order(watching: Any, bus: Bus) -> None:
    await publish(bus, *(tagged(number) for number in range(300)))
    async with watching("--json", "--since", "10m", "--count", 301) as watch:
        await publish(bus, tagged(300))
        code, out = await watch.end()
    assert code == 0
    assert [json.loads(line)["id"] for line in out.splitlines()] == [
        f"id-{number}" for number in range(301)
    ]


async def test_a_terminal_shows_addresses_and_no_control_characters(
    on_terminal: Any, tag_store: Any, nats_url: str, bus: Bus
) -> None:
    tag_store.attackers = [Attacker(uuid=ATTACKER, ip="203.0.113.77")]
    await publish(bus, tagged(1, session_id="s\x1b[2J\r\n"))
    done = await on_terminal("watch", "--since", "10m", "--count", 1, NATS_URL=nats_url)
    assert done.code == 0
    assert done.text == (
        "2026-03-01 12:00:01  203.0.113.77  s·[2J··  T1059.004 Command and Scripting "
        "Interpreter: Unix Shell, T1105 Ingress Tool Transfer  R0014 R0020  0.90\n"
    )


async def test_a_directory_that_is_away_costs_the_addresses_only(
    on_terminal: Any, nats_url: str, bus: Bus
) -> None:
    await publish(bus, tagged(1), tagged(2))
    for target in ("", "unix:/tmp/nobody-listens.sock"):
        done = await on_terminal(
            "watch", "--since", "10m", "--count", 2, NATS_URL=nats_url, TAG_STORE=target
        )
        assert (done.code, [line.split()[2] for line in done.text.splitlines()]) == (
            0,
            [ATTACKER, ATTACKER],
        )


async def test_ctrl_c_ends_it_with_0(watching: Any, bus: Bus) -> None:
    async with watching("--json") as watch:
        await publish(bus, tagged(1))
        assert json.loads(await watch.line())["id"] == "id-1"
        watch.process.send_signal(signal.SIGINT)
        code, rest = await watch.end()
        assert (code, rest) == (0, "")
        assert (await watch.process.stderr.read()) == b""


async def test_a_message_that_is_none_is_passed_over(piped: Any, nats_url: str, bus: Bus) -> None:
    await bus.js.publish("ttp.tagged", b"no json")
    await publish(bus, tagged(1))
    done = await piped("watch", "--json", "--since", "1h", "--count", 1, NATS_URL=nats_url)
    assert (done.code, json.loads(done.out)["id"]) == (0, "id-1")
    assert "decnet-ttp: a message was passed over: not JSON" in done.err


async def test_nats_may_be_restarted_and_nothing_is_lost_or_shown_twice(
    watching: Any, tmp_path: Path
) -> None:
    server = NatsServer(tmp_path / "own")
    url = await server.start()
    try:
        await publish_once(url, tagged(1))
        async with watching("--json", "--count", 2, NATS_URL=url) as watch:
            for number in (2, 3):
                # The first time nothing has been delivered yet, the second time something has.
                await server.stop()
                await server.start()
                await publish_once(url, tagged(number))
                assert json.loads(await watch.line())["id"] == f"id-{number}"
            assert await watch.end() == (0, "")
            said = (await watch.process.stderr.read()).decode().splitlines()
    finally:
        await server.stop()
    # A consumer that the server brought back is noticed by its numbers, before any silence.
    assert set(said) <= {
        "NATS is silent; waiting for it",
        "NATS is back; going on where it stopped",
    }


async def publish_once(url: str, envelope: Envelope) -> None:
    settings = Settings(nats_url=url, events_max_bytes=64 * 1024 * 1024)
    bus = await connect_bus(settings, name="test")
    await ensure_streams(bus.js, settings)
    await publish(bus, envelope)
    await bus.nc.close()


async def test_a_bus_that_is_away_is_named_with_the_cure(piped: Any) -> None:
    done = await piped("watch", NATS_URL="nats://user:secret@127.0.0.1:1")
    assert (done.code, done.out) == (1, "")
    assert done.err == (
        "decnet-ttp: the bus nats://127.0.0.1:1 cannot be reached (TimeoutError); start it with "
        "`decnet-ttp up`, or name another with DECNET_TTP_NATS_URL\n"
    )


async def test_a_bus_without_the_stream_is_named_with_the_cure(piped: Any, nats_url: str) -> None:
    done = await piped("watch", NATS_URL=nats_url)
    assert (done.code, done.out) == (1, "")
    assert done.err.endswith("has no stream DECNET_TTP; start the services, which make it\n")
    assert done.err.count("\n") == 1


@pytest.mark.parametrize("span", ["10", "m", "-1m", "1y", ""])
async def test_since_takes_a_span_of_time(piped: Any, span: str) -> None:
    done = await piped("watch", "--since", span)
    assert done.code == 2
    assert "a span of time looks like 30s, 10m, 2h or 1d" in done.err
