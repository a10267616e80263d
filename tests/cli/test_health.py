# SPDX-License-Identifier: AGPL-3.0-or-later
"""`decnet-ttp health` against real servers, as health checks of containers call it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from decnet_ttp.cli.health import own_target
from decnet_ttp.runtime.config import Settings, SettingsError
from decnet_ttp.runtime.server import Server
from runtime.served import until


async def health(*arguments: str, **environ: str) -> tuple[int, str]:
    """Run the command; return its exit code and its one line."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "decnet_ttp.cli.main", "health", "--timeout", "60", *arguments),
        env=environ,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    lines = output.decode().splitlines()
    assert len(lines) == 1, lines
    assert process.returncode is not None
    return process.returncode, lines[0]


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[tuple[Server, list[bool]]]:
    """Run a server that is ready while the list says so."""
    state = [True]

    async def ready() -> bool:
        return state[0]

    server = Server(settings, name="test")
    run = asyncio.create_task(server.run(ready=ready))
    await until(lambda: bool(server._serving), timeout_s=60)
    yield server, state
    server.request_stop()
    await run


async def test_ready_service_is_serving_and_unready_one_is_not(tmp_path: Path) -> None:
    target = f"unix:{tmp_path}/s"
    async with serving(Settings(listen=target)) as (_, state):
        assert await health(target) == (0, f"{target} is serving")
        state[0] = False
        told = f"decnet-ttp: {target} is not ready (NOT_SERVING); see the service's log"

        async def unready() -> bool:
            return await health(target) == (1, told)

        await until(unready, timeout_s=60)


async def test_without_target_the_environment_s_own_listener_is_asked() -> None:
    async with serving(Settings(listen="0.0.0.0:0", insecure=True)) as (server, _):
        port = server.address.rpartition(":")[2]
        answer = await health(DECNET_TTP_LISTEN=f"0.0.0.0:{port}")
        assert answer == (0, f"localhost:{port} is serving")


async def test_absent_service_is_not_ready() -> None:
    code, line = await health("127.0.0.1:1")
    assert (code, "127.0.0.1:1 is not ready (UNAVAILABLE)" in line) == (1, True)


async def test_proxy_of_the_environment_is_not_asked() -> None:
    """A proxy meant for other traffic would say that nothing answers."""
    async with serving(Settings()) as (server, _):
        code, _ = await health(server.address, http_proxy="http://127.0.0.1:1")
        assert code == 0


async def test_unreadable_certificate_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "ca.pem"
    code, line = await health("127.0.0.1:1", DECNET_TTP_TLS_CA=str(missing))
    assert code == 1
    assert line.startswith(f"decnet-ttp: cannot read {missing} (No such file or directory)")


@pytest.mark.parametrize(
    ("listen", "target"),
    [
        ("unix:/run/s.sock", "unix:/run/s.sock"),
        ("0.0.0.0:50051", "localhost:50051"),
        ("[::]:50051", "localhost:50051"),
        ("127.0.0.1:50051", "127.0.0.1:50051"),
        ("10.0.0.1:50051", "10.0.0.1:50051"),
    ],
)
def test_own_target_of_listener(listen: str, target: str) -> None:
    assert own_target(listen) == target


@pytest.mark.parametrize("listen", ["127.0.0.1:0", "nowhere", ""])
def test_listener_without_fixed_port_has_no_target(listen: str) -> None:
    with pytest.raises(SettingsError, match="names no fixed port"):
        own_target(listen)


async def test_check_imports_nothing_heavy() -> None:
    """It runs every few seconds in every container."""
    program = (
        "import sys; from decnet_ttp.cli.main import main\n"
        "try: main(['health', '127.0.0.1:1'])\n"
        "except SystemExit: pass\n"
        "print(sorted(m for m in ('google.protobuf', 'rich', 'nats', 'asyncpg', 'sqlalchemy',"
        " 'pydantic', 'decnet_ttp.v1') if m in sys.modules))"
    )
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", program),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    output, _ = await process.communicate()
    assert output == b"[]\n"
