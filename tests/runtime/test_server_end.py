# SPDX-License-Identifier: AGPL-3.0-or-later
"""The end of a real process: what SIGTERM does, in which order, with which exit code."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from decnet_ttp.core.errors import DecnetError, UnavailableError
from decnet_ttp.runtime.clients import call, open_channel
from decnet_ttp.runtime.config import Settings
from decnet_ttp.v1 import directory_service_pb2
from runtime.served import directory_stub, health, until

CHILD = Path(__file__).with_name("served_child.py")


@asynccontextmanager
async def _child(folder: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(CHILD), f"unix:{folder}/s.sock", str(folder)),
        env={**os.environ, "DECNET_TTP_GRACE_S": "120"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def _said(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    async with asyncio.timeout(60):
        return (await process.stdout.readline()).decode().rstrip()


def _get(ip: str) -> directory_service_pb2.GetAttackerRequest:
    return directory_service_pb2.GetAttackerRequest(ip=ip)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_signal_ends_a_service_in_order(folder: Path, number: signal.Signals) -> None:
    """Not serving, the task told and waited for, the call in flight answered, exit code 0."""
    target = f"unix:{folder}/s.sock"
    async with (
        _child(folder) as process,
        directory_stub(target) as stub,
        open_channel(target, Settings()) as channel,
    ):
        assert await _said(process) == "task runs"

        async def is_serving() -> bool:
            return await health(channel) == "SERVING"

        await until(is_serving)
        in_flight = asyncio.ensure_future(call(stub.GetAttacker, _get("slow"), timeout_s=120))
        assert await _said(process) == "call in flight"

        process.send_signal(number)
        assert await _said(process) == "task stopping"
        assert await health(channel) == "NOT_SERVING"
        assert not in_flight.done()

        (folder / "drain").touch()
        assert await _said(process) == "task done"

        async def refuses() -> bool:
            async with directory_stub(target) as late:
                try:
                    await call(late.GetAttacker, _get("late"), timeout_s=60)
                except UnavailableError:
                    return True
            return False

        await until(refuses)
        assert not in_flight.done()
        assert process.returncode is None

        (folder / "answer").touch()
        assert (await in_flight).attacker.ip == "slow"
        assert await _said(process) == "run returned"
        assert process.stderr is not None
        log = [json.loads(line) for line in (await process.stderr.read()).splitlines()]
        assert await process.wait() == 0
    assert [line["message"] for line in log] == [
        "not serving",
        "listening",
        "serving",
        "not serving",
        "stopped",
    ]


async def test_failed_task_ends_the_process_with_an_error(folder: Path) -> None:
    (folder / "fail").touch()
    async with _child(folder) as process:
        _, errors = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 1
    assert b"ValueError: broken task" in errors


async def test_killed_service_gives_unavailable_and_its_successor_takes_the_socket(
    folder: Path,
) -> None:
    """Nothing of a killed process is in the way of the next one, and clients find it again."""
    target = f"unix:{folder}/s.sock"
    async with directory_stub(target) as stub:
        async with _child(folder) as first:
            assert await _said(first) == "task runs"
            in_flight = asyncio.ensure_future(
                call(stub.GetAttacker, _get("slow"), timeout_s=120, attempts_s=0)
            )
            assert await _said(first) == "call in flight"
            first.kill()
            with pytest.raises(DecnetError) as caught:
                await in_flight
            assert isinstance(caught.value, UnavailableError)
        (folder / "drain").touch()
        async with _child(folder) as second:
            assert await _said(second) == "task runs"
            answer = await call(stub.GetAttacker, _get("again"), timeout_s=60, attempts_s=60)
            assert answer.attacker.ip == "again"
            second.terminate()
            assert await asyncio.wait_for(second.wait(), 60) == 0
