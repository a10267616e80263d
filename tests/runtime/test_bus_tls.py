# SPDX-License-Identifier: AGPL-3.0-or-later
"""NATS over TLS: whom the client trusts, and that it says so where it does not."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from decnet_ttp.embedded.nats import _find_binary
from decnet_ttp.runtime.bus import BusRefusedError, connect_bus
from decnet_ttp.runtime.config import Settings, SettingsError
from runtime.certificates import Certificates


@pytest.fixture(scope="module")
def port(certificates: Certificates, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A server that speaks TLS only, with a certificate for localhost."""
    made = tmp_path_factory.mktemp("nats")
    with subprocess.Popen(
        [
            *(_find_binary(), "-a", "127.0.0.1", "-p", "-1", "--ports_file_dir", made, "--tls"),
            *("--tlscert", certificates.folder / "server.pem"),
            *("--tlskey", certificates.folder / "server.key"),
        ],
        stderr=subprocess.DEVNULL,
    ) as server:
        told = made / f"nats-server_{server.pid}.ports"
        deadline = time.monotonic() + 60
        while not told.is_file() or not told.stat().st_size:
            assert server.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
        yield int(json.loads(told.read_text())["nats"][0].rpartition(":")[2])
        server.terminate()


async def test_the_authority_of_the_installation_is_trusted(
    certificates: Certificates, port: int
) -> None:
    settings = Settings(nats_url=f"tls://localhost:{port}", tls_ca=certificates.folder / "ca.pem")
    bus = await connect_bus(settings, name="test", once_refused_give_up=True)
    assert bus.nc.is_connected
    await bus.close()


@pytest.mark.parametrize(
    ("url", "authority", "why"),
    [
        ("tls://localhost", "foreign.pem", "unable to get local issuer certificate"),
        ("tls://localhost", None, "unable to get local issuer certificate"),
        ("nats://localhost", None, "unable to get local issuer certificate"),
    ],
)
async def test_a_certificate_that_is_not_trusted_ends_the_waiting_with_the_cure(
    certificates: Certificates, port: int, url: str, authority: str | None, why: str
) -> None:
    host = url.partition("://")[2]
    settings = Settings(
        nats_url=f"{url.replace('//', '//sensor:secret@')}:{port}",
        tls_ca=certificates.folder / authority if authority else None,
    )
    with pytest.raises(BusRefusedError) as refused:
        await connect_bus(settings, name="test", once_refused_give_up=True)
    assert str(refused.value).startswith(
        f"NATS at {host}:{port} shows a certificate that is not trusted ({why}"
    )
    assert "DECNET_TTP_TLS_CA" in str(refused.value)
    assert "secret" not in str(refused.value)


async def test_an_authority_that_is_none_is_named(port: int, tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    path.write_text("-----BEGIN CERTIFICATE-----\nxx\n-----END CERTIFICATE-----\n")
    with pytest.raises(SettingsError, match="holds no certificate that can be read"):
        await connect_bus(Settings(nats_url=f"tls://localhost:{port}", tls_ca=path), name="test")
