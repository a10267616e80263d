# SPDX-License-Identifier: AGPL-3.0-or-later
"""The metrics page over real HTTP: what it holds, who reaches it, and what it costs when off."""

from __future__ import annotations

import asyncio
import socket
import ssl
import subprocess
import sys
import textwrap
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from decnet_ttp import program_version
from decnet_ttp.core.errors import UnavailableError
from decnet_ttp.runtime.config import Settings, SettingsError
from decnet_ttp.runtime.figures import Collect, Family, Histogram, by_label, counter, gauge
from decnet_ttp.runtime.server import Server
from runtime.certificates import Certificates
from runtime.pages import read_page
from runtime.served import until


async def _ready() -> bool:
    return True


@asynccontextmanager
async def _serving(settings: Settings, metrics: Sequence[Collect] = ()) -> AsyncIterator[Server]:
    server = Server(settings, name="test", metrics=metrics)
    run = asyncio.create_task(server.run(ready=_ready))
    await until(lambda: run.done() or (bool(server.metrics_address) and server._serving is True))
    try:
        yield server
    finally:
        server.request_stop()
        await run


async def test_page_holds_what_a_service_counts(unix: Settings) -> None:
    latency = Histogram("batch_seconds", "Time of a batch.", bounds=(0.1, 1.0))
    for took_s in (0.05, 0.1, 0.5, 7.0):
        latency.observe(took_s)
    handled = [0]

    async def figures() -> list[Family | Histogram]:
        handled[0] += 500
        return [
            counter("messages_handled", "Messages handled.", handled[0]),
            gauge("outbox_age_seconds", "Age.", 1.5),
            by_label("counter", "tags_dropped", "Dropped.", "reason", {"below_floor": 3}),
            Family(
                "rule_fired", "counter", "F.", {("R0001", "T1059"): 2}, ("rule_id", "technique_id")
            ),
            latency,
        ]

    async with _serving(replace(unix, metrics_listen="127.0.0.1:0"), [figures]) as server:
        first = await read_page(server.metrics_address)
        second = await read_page(server.metrics_address)
    assert first["decnet_ttp_messages_handled_total"] == {(): 500}
    assert second["decnet_ttp_messages_handled_total"] == {(): 1_000}
    assert first["decnet_ttp_outbox_age_seconds"] == {(): 1.5}
    assert first["decnet_ttp_tags_dropped_total"] == {("below_floor",): 3}
    assert first["decnet_ttp_rule_fired_total"] == {("R0001", "T1059"): 2}
    assert first["decnet_ttp_batch_seconds_bucket"] == {("0.1",): 2, ("1.0",): 3, ("+Inf",): 4}
    assert first["decnet_ttp_batch_seconds_count"] == {(): 4}
    assert first["decnet_ttp_batch_seconds_sum"] == {(): pytest.approx(7.65)}
    assert first["decnet_ttp_ready"] == {(): 1}
    assert first["decnet_ttp_build_info"] == {("test", program_version()): 1}
    assert first["process_resident_memory_bytes"][()] > 1_000_000


async def test_what_needs_an_absent_bus_is_left_out_alone(unix: Settings) -> None:
    async def lag() -> list[Family]:
        raise UnavailableError("the bus is away")

    async def own() -> list[Family]:
        return [counter("messages_handled", "Messages handled.", 1)]

    async with _serving(replace(unix, metrics_listen="127.0.0.1:0"), [lag, own]) as server:
        page = await read_page(server.metrics_address)
    assert page["decnet_ttp_messages_handled_total"] == {(): 1}


async def test_page_ends_with_the_service(unix: Settings) -> None:
    async with _serving(replace(unix, metrics_listen="127.0.0.1:0")) as server:
        await read_page(server.metrics_address)
    with pytest.raises(urllib.error.URLError):
        await read_page(server.metrics_address)


@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0", "host:0"])
async def test_page_beyond_loopback_needs_tls_or_consent(unix: Settings, address: str) -> None:
    server = Server(replace(unix, metrics_listen=address), name="test")
    with pytest.raises(SettingsError, match="reachable from other hosts without TLS"):
        await server.run(ready=_ready)


async def test_page_beyond_loopback_with_consent(unix: Settings) -> None:
    settings = replace(unix, metrics_listen="0.0.0.0:0", insecure=True)
    async with _serving(settings) as server:
        port = server.metrics_address.rpartition(":")[2]
        assert (await read_page(f"127.0.0.1:{port}"))["decnet_ttp_ready"] == {(): 1}


async def test_page_over_tls_asks_for_a_certificate(
    unix: Settings, certificates: Certificates
) -> None:
    """With the certificates of the service, the page is as guarded as its calls are."""
    settings = replace(
        unix,
        metrics_listen="127.0.0.1:0",
        tls_ca=certificates.folder / "ca.pem",
        tls_cert=certificates.folder / "server.pem",
        tls_key=certificates.folder / "server.key",
    )
    stranger = ssl.create_default_context(cafile=str(certificates.folder / "ca.pem"))
    known = ssl.create_default_context(cafile=str(certificates.folder / "ca.pem"))
    known.load_cert_chain(certificates.folder / "client.pem", certificates.folder / "client.key")
    async with _serving(settings) as server:
        page = await read_page(server.metrics_address, tls=known)
        assert page["decnet_ttp_ready"] == {(): 1}
        with pytest.raises((urllib.error.URLError, ssl.SSLError, ConnectionError)):
            await read_page(server.metrics_address, tls=stranger)


@pytest.mark.parametrize("address", ["nonsense", "127.0.0.1:x", "127.0.0.1:65536", ":9464"])
async def test_address_that_is_none_is_named(unix: Settings, address: str) -> None:
    server = Server(replace(unix, metrics_listen=address), name="test")
    with pytest.raises(SettingsError, match="metrics_listen"):
        await server.run(ready=_ready)


async def test_taken_port_is_named(unix: Settings) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        server = Server(replace(unix, metrics_listen=address), name="test")
        with pytest.raises(SettingsError, match=f"cannot serve {address}"):
            await server.run(ready=_ready)


def test_services_import_no_observability_while_it_is_off() -> None:
    """Not when their modules are loaded, and not when a server runs."""
    script = textwrap.dedent(
        """
        import asyncio, sys
        from decnet_ttp.runtime.config import Settings
        from decnet_ttp.runtime.server import Server
        import decnet_ttp.ingest.app, decnet_ttp.rule_store.app, decnet_ttp.tagger.app
        import decnet_ttp.tag_store.app, decnet_ttp.attribution.app

        async def main():
            server = Server(Settings(), name="test")
            async def ready():
                return True
            async def task(stop):
                while not server._serving:
                    await asyncio.sleep(0.01)
                server.request_stop()
                await stop.wait()
            await server.run(ready=ready, tasks=[task])

        asyncio.run(main())
        loaded = {name.partition(".")[0] for name in sys.modules}
        print(sorted(loaded & {"prometheus_client", "opentelemetry"}))
        """
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=240, check=False
    )
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr
