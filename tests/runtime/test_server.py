# SPDX-License-Identifier: AGPL-3.0-or-later
"""The server every service runs: readiness, reflection, where it listens, how it ends."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

from decnet_ttp.core.errors import ResourceExhaustedError, UnavailableError
from decnet_ttp.runtime.clients import call, open_channel
from decnet_ttp.runtime.config import Settings, SettingsError
from decnet_ttp.runtime.server import MAX_MESSAGE_BYTES, Server
from decnet_ttp.v1 import directory_service_pb2
from runtime.certificates import Certificates
from runtime.served import DIRECTORY, RULE_STORE, directory_stub, health, serving, until

_ASK = directory_service_pb2.GetAttackerRequest(ip="203.0.113.7")


async def _ask(target: str, settings: Settings | None = None) -> str:
    async with directory_stub(target, settings) as stub:
        answer = await call(stub.GetAttacker, _ASK, timeout_s=60)
    return str(answer.attacker.ip)


async def test_health_follows_readiness(unix: Settings) -> None:
    """Not serving until ready, then serving, for the process and for each service."""
    async with (
        serving(unix, ready=False) as served,
        open_channel(unix.listen, unix) as channel,
    ):
        for name in ("", DIRECTORY, RULE_STORE):
            assert await health(channel, name) == "NOT_SERVING"
        served.ready = True

        for name in ("", DIRECTORY, RULE_STORE):

            async def is_serving(name: str = name) -> bool:
                return await health(channel, name) == "SERVING"

            await until(is_serving)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await health(channel, "decnet_ttp.v1.NoSuchService")
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND


async def test_call_by_reflection_alone(unix: Settings) -> None:
    """A client without our stubs lists the services and calls one."""

    def talk() -> tuple[list[str], str]:
        options = [("grpc.default_authority", "localhost")]
        with grpc.insecure_channel(unix.listen, options=options) as channel:
            database = ProtoReflectionDescriptorDatabase(channel)
            pool = DescriptorPool(database)
            method = pool.FindServiceByName(DIRECTORY).FindMethodByName("GetAttacker")
            request = GetMessageClass(method.input_type)(ip="198.51.100.9")
            answer: Any = channel.unary_unary(
                f"/{DIRECTORY}/{method.name}",
                request_serializer=type(request).SerializeToString,
                response_deserializer=GetMessageClass(method.output_type).FromString,
            )(request, timeout=60)
            return sorted(database.get_services()), answer.attacker.ip

    async with serving(unix):
        services, ip = await asyncio.to_thread(talk)
    assert services == [
        DIRECTORY,
        RULE_STORE,
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
    ]
    assert ip == "198.51.100.9"


async def test_stop_returns_while_a_readiness_check_hangs(unix: Settings) -> None:
    server = Server(unix, name="test")
    asked = asyncio.Event()

    async def hangs() -> bool:
        asked.set()
        await asyncio.Event().wait()
        return True

    run = asyncio.create_task(server.run(ready=hangs))
    await asked.wait()
    server.request_stop()
    async with asyncio.timeout(60):
        await run


async def test_readiness_that_comes_after_the_stop_is_not_told(unix: Settings) -> None:
    """Whoever balances load must never see SERVING again once the end has begun."""
    server = Server(unix, name="test")
    told: list[bool] = []
    set_serving = server._set_serving

    async def record(serving: bool) -> None:  # noqa: FBT001 - stands in for one with it
        told.append(serving)
        await set_serving(serving)

    async def ready_too_late() -> bool:
        server.request_stop()
        return True

    server._set_serving = record  # type: ignore[method-assign]
    async with asyncio.timeout(60):
        await server.run(ready=ready_too_late)
    assert told
    assert not any(told)


async def test_watch_of_health_sees_the_end_and_does_not_hold_it_up(unix: Settings) -> None:
    """Clients that balance by health watch for as long as they live."""
    seen: list[int] = []
    async with serving(unix) as served, open_channel(unix.listen, unix) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        watch = stub.Watch(health_pb2.HealthCheckRequest(service=DIRECTORY))

        async def follow() -> None:
            async for answer in watch:
                seen.append(answer.status)  # noqa: PERF401 - each as it comes

        following = asyncio.ensure_future(follow())
        await until(lambda: seen[-1:] == [health_pb2.HealthCheckResponse.SERVING])
        async with asyncio.timeout(unix.grace_s / 2):
            await served.stop()
            await following
    assert seen[-1] == health_pb2.HealthCheckResponse.NOT_SERVING
    assert await watch.code() is grpc.StatusCode.OK


async def test_task_that_raises_ends_the_run(unix: Settings) -> None:
    async def fails(_stop: asyncio.Event) -> None:
        raise ValueError("broken")

    with pytest.raises(ExceptionGroup) as caught:
        async with serving(unix, tasks=[fails]) as served:
            await served.run
    assert caught.group_contains(ValueError, match="broken")


async def test_task_that_returns_early_ends_the_run(unix: Settings) -> None:
    """A loop that ended by itself is as dead as one that failed."""

    async def returns(_stop: asyncio.Event) -> None:
        return

    with pytest.raises(ExceptionGroup) as caught:
        async with serving(unix, tasks=[returns]) as served:
            await served.run
    assert caught.group_contains(RuntimeError, match="ended by itself")


async def test_task_that_does_not_stop_is_cut_off_after_the_grace(folder: Path) -> None:
    cancelled = asyncio.Event()

    async def deaf(_stop: asyncio.Event) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    settings = Settings(listen=f"unix:{folder}/s.sock", grace_s=0.1)
    async with serving(settings, tasks=[deaf]) as served, asyncio.timeout(60):
        await served.stop()
    assert cancelled.is_set()


async def test_stale_socket_is_replaced(folder: Path) -> None:
    path = folder / "s.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    assert path.is_socket()
    async with serving(Settings(listen=f"unix:{path}")):
        assert await _ask(f"unix:{path}") == "203.0.113.7"


async def test_living_socket_is_refused_and_left_alone(unix: Settings) -> None:
    async with serving(unix):
        with pytest.raises(SettingsError, match=r"another process answers on .*; stop"):
            await Server(unix, name="second").run(ready=lambda: asyncio.sleep(0, result=True))
        assert await _ask(unix.listen) == "203.0.113.7"


async def test_path_that_is_no_socket_is_refused_and_left_alone(folder: Path) -> None:
    path = folder / "notes.txt"
    path.write_text("mine")
    with pytest.raises(SettingsError, match="exists and is no socket"):
        async with serving(Settings(listen=f"unix:{path}")):
            pass
    assert path.read_text() == "mine"


@pytest.mark.parametrize(
    "listen", ["nonsense", ":50051", "127.0.0.1:", "127.0.0.1:http", "127.0.0.1:65536", ""]
)
async def test_text_that_is_no_address_is_refused(listen: str) -> None:
    with pytest.raises(SettingsError, match="is no address; use unix:"):
        async with serving(Settings(listen=listen)):
            pass


async def test_taken_port_is_refused() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(SettingsError, match=r"cannot bind 127\.0\.0\.1:\d+; is it taken"):
            async with serving(Settings(listen=f"127.0.0.1:{taken.getsockname()[1]}")):
                pass


@pytest.mark.parametrize("host", ["0.0.0.0", "[::]", "203.0.113.7", "honeypot.example"])  # noqa: S104 - refused
async def test_tcp_beyond_loopback_needs_tls(host: str) -> None:
    with pytest.raises(SettingsError, match="reachable from other hosts without TLS"):
        async with serving(Settings(listen=f"{host}:0")):
            pass


async def test_tcp_beyond_loopback_is_allowed_on_demand() -> None:
    settings = Settings(listen="0.0.0.0:0", insecure=True)
    async with serving(settings) as served:
        port = served.server.address.rpartition(":")[2]
        assert await _ask(f"127.0.0.1:{port}") == "203.0.113.7"


async def test_loopback_needs_no_certificate() -> None:
    async with serving(Settings(listen="localhost:0")) as served:
        assert await _ask(served.server.address) == "203.0.113.7"


async def test_mutual_tls(certificates: Certificates) -> None:
    """A peer of our authority is served; nobody, a stranger and plain text are not."""
    async with serving(certificates.settings("server", "0.0.0.0:0")) as served:
        target = f"localhost:{served.server.address.rpartition(':')[2]}"
        assert await _ask(target, certificates.settings("client")) == "203.0.113.7"
        for settings in (
            certificates.settings(None),
            certificates.settings("stranger"),
            Settings(),
        ):
            with pytest.raises(UnavailableError):
                await _ask(target, settings)
        assert served.directory.asked == ["203.0.113.7"]


async def test_certificate_without_key_is_refused(certificates: Certificates) -> None:
    settings = Settings(listen="127.0.0.1:0", tls_cert=certificates.folder / "server.pem")
    with pytest.raises(SettingsError, match="tls_cert and tls_key belong together"):
        async with serving(settings):
            pass


async def test_message_over_the_bound_is_refused_and_the_next_is_served(unix: Settings) -> None:
    """The client's own bound is lifted here, so that the server's is what refuses."""
    large = directory_service_pb2.GetAttackerRequest(ip="1" * (MAX_MESSAGE_BYTES + 1))
    method = f"/{DIRECTORY}/GetAttacker"
    options = [("grpc.default_authority", "localhost")]
    async with serving(unix) as served:
        async with grpc.aio.insecure_channel(unix.listen, options=options) as channel:
            raw: Any = channel.unary_unary(method)
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await raw(large.SerializeToString(), timeout=60)
            assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert served.directory.asked == []
        async with directory_stub(unix.listen) as stub:
            with pytest.raises(ResourceExhaustedError):
                await call(stub.GetAttacker, large, timeout_s=60)
        assert await _ask(unix.listen) == "203.0.113.7"
