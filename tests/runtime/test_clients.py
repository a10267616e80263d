# SPDX-License-Identifier: AGPL-3.0-or-later
"""Calls: always a deadline, and retries of nothing but what is safe to retry."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from decnet_ttp.core import errors
from decnet_ttp.runtime.clients import call, channel_target
from decnet_ttp.runtime.config import Settings
from decnet_ttp.v1 import directory_service_pb2
from runtime.served import Directory, directory_stub, serving

_ASK = directory_service_pb2.GetAttackerRequest(ip="203.0.113.7")


def _fail(directory: Directory, times: int, error: errors.DecnetError) -> None:
    """Let the first calls fail, and answer the later ones."""

    async def answer(ip: str) -> str:
        if len(directory.asked) <= times:
            raise error
        return ip

    directory.answer = answer


@pytest.mark.parametrize("kind", [errors.UnavailableError, errors.AbortedError])
async def test_passing_failure_is_tried_again(
    unix: Settings, kind: type[errors.DecnetError]
) -> None:
    async with serving(unix) as served, directory_stub(unix.listen) as stub:
        _fail(served.directory, 3, kind("not now"))
        answer = await call(stub.GetAttacker, _ASK, timeout_s=60, attempts_s=60)
        assert answer.attacker.ip == "203.0.113.7"
        assert len(served.directory.asked) == 4


@pytest.mark.parametrize("kind", [errors.UnavailableError, errors.AbortedError])
async def test_nothing_is_tried_again_unless_asked_for(
    unix: Settings, kind: type[errors.DecnetError]
) -> None:
    async with serving(unix) as served, directory_stub(unix.listen) as stub:
        _fail(served.directory, 1, kind("not now"))
        with pytest.raises(kind, match="not now"):
            await call(stub.GetAttacker, _ASK, timeout_s=60)
        assert len(served.directory.asked) == 1


@pytest.mark.parametrize(
    "kind",
    [
        errors.InvalidArgumentError,
        errors.NotFoundError,
        errors.FailedPreconditionError,
        errors.OutOfRangeError,
        errors.ResourceExhaustedError,
        errors.UnimplementedError,
        errors.UnauthenticatedError,
        errors.PermissionDeniedError,
        errors.InternalError,
    ],
)
async def test_lasting_failure_is_never_tried_again(
    unix: Settings, kind: type[errors.DecnetError]
) -> None:
    async with serving(unix) as served, directory_stub(unix.listen) as stub:
        _fail(served.directory, 1, kind("for good"))
        with pytest.raises(kind, match="for good"):
            await call(stub.GetAttacker, _ASK, timeout_s=60, attempts_s=60)
        assert len(served.directory.asked) == 1


async def test_deadline_ends_a_call_and_is_never_tried_again(unix: Settings) -> None:
    """Whether the request took effect is not known, so sending it again is not ours to decide."""

    async def hang(_ip: str) -> str:
        await asyncio.Event().wait()
        return ""

    async with serving(unix) as served, directory_stub(unix.listen) as stub:
        await call(stub.GetAttacker, _ASK, timeout_s=60)
        served.directory.answer = hang
        started = time.monotonic()
        with pytest.raises(errors.DeadlineExceededError):
            await call(stub.GetAttacker, _ASK, timeout_s=2, attempts_s=60)
        assert 2 <= time.monotonic() - started < 30
        assert len(served.directory.asked) == 2


async def test_retries_end_after_their_time_with_the_last_error(unix: Settings) -> None:
    async with serving(unix) as served, directory_stub(unix.listen) as stub:
        _fail(served.directory, 1_000_000, errors.UnavailableError("still away", service="x"))
        started = time.monotonic()
        with pytest.raises(errors.UnavailableError, match="still away") as caught:
            await call(stub.GetAttacker, _ASK, timeout_s=60, attempts_s=3)
        assert time.monotonic() - started < 60
        assert caught.value.metadata == {"service": "x"}
        assert len(served.directory.asked) > 1


async def test_server_at_the_end_of_a_long_way_is_reached() -> None:
    """The first attempt to connect is the only one that a call waits for."""

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            writer.write(data)
        writer.close()

    async with serving(Settings(listen="127.0.0.1:0")) as served:
        host, _, port = served.server.address.rpartition(":")

        async def link(near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
            # What two far hosts take for the handshakes of TCP, TLS and HTTP/2.
            await asyncio.sleep(0.7)
            far, there = await asyncio.open_connection(host, int(port))
            await asyncio.gather(carry(near, there), carry(far, back))

        async with await asyncio.start_server(link, "127.0.0.1", 0) as way:
            address = way.sockets[0].getsockname()
            async with directory_stub(f"127.0.0.1:{address[1]}") as stub:
                answer = await call(stub.GetAttacker, _ASK, timeout_s=60)
    assert answer.attacker.ip == "203.0.113.7"


async def test_server_that_starts_late_is_waited_for(folder: Path) -> None:
    settings = Settings(listen=f"unix:{folder}/late.sock")
    async with directory_stub(settings.listen) as stub:
        with pytest.raises(errors.UnavailableError):
            await call(stub.GetAttacker, _ASK, timeout_s=60)
        waiting = asyncio.ensure_future(call(stub.GetAttacker, _ASK, timeout_s=60, attempts_s=60))
        async with serving(settings):
            assert (await waiting).attacker.ip == "203.0.113.7"


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("unix:/run/a.sock", "unix:/run/a.sock"),
        ("tag-store:50051", "dns:///tag-store:50051"),
        ("dns:///tag-store:50051", "dns:///tag-store:50051"),
        ("ipv4:127.0.0.1:1", "ipv4:127.0.0.1:1"),
    ],
)
def test_targets_go_through_dns_unless_they_say_otherwise(target: str, expected: str) -> None:
    """Only a name that the client itself resolves is spread over all its addresses."""
    assert channel_target(target) == expected
