# SPDX-License-Identifier: AGPL-3.0-or-later
"""What a command says when a server far away cannot be reached: one line, with the cure.

The gRPC library has no codes for it, so these hold its texts to what is made of them.
"""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from decnet_ttp.cli.connection import Connection, with_channel
from decnet_ttp.core.errors import UnavailableError
from decnet_ttp.runtime.clients import call
from decnet_ttp.runtime.config import Settings, SettingsError
from decnet_ttp.v1 import directory_service_pb2, directory_service_pb2_grpc
from runtime.certificates import Certificates
from runtime.served import serving

TOKEN = "alice-0123456789abcdef0123456789abcdef"  # noqa: S105 - of a server that lives for a test


@pytest.fixture
def server(certificates: Certificates, tmp_path: Path) -> Settings:
    """A server that wants certificates at one address, and tokens at both."""
    access = tmp_path / "access"
    access.write_text(f"reader {TOKEN} alice\n")
    tls = certificates.settings("server", "127.0.0.1:0")
    return replace(tls, people_listen="127.0.0.1:0", access_file=access, grace_s=5.0)


@pytest.fixture
def person(certificates: Certificates, tmp_path: Path) -> Settings:
    """Who has a token and no certificate."""
    token = tmp_path / "token"
    token.write_text(TOKEN)
    return Settings(tls_ca=certificates.folder / "ca.pem", token_file=token)


def made_out(certificates: Certificates, days: str, name: str) -> dict[str, Path]:
    """Return a certificate of the authority with the server's key, for another time or name."""
    made = certificates.folder / f"{name}{days}.pem"
    names = certificates.folder / "names"
    names.write_text(f"subjectAltName=DNS:{name}\n")
    key = ("-key", "server.key", "-subj", f"/CN={name}", "-out", "request.pem")
    ca = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "names")
    for arguments in (
        ("req", "-new", *key),
        ("x509", "-req", "-in", "request.pem", *ca, "-days", days, "-out", str(made)),
    ):
        openssl = str(shutil.which("openssl"))
        subprocess.run(
            [openssl, *arguments], cwd=certificates.folder, check=True, capture_output=True
        )
    return {"tls_cert": made}


async def said(target: str, settings: Settings) -> str:
    """Ask as commands do; return what it says."""

    async def work(channel: Any) -> None:
        stub = directory_service_pb2_grpc.DirectoryServiceStub(channel)
        ask = directory_service_pb2.GetAttackerRequest(ip="203.0.113.7")
        await call(stub.GetAttacker, ask, timeout_s=60)

    try:
        await with_channel(Connection(replace(settings, tag_store=target)), "tag_store", work)
    except UnavailableError as error:
        told = error.message
    else:
        return "answered"
    start = f"the tag-store at {target} cannot be reached"
    assert told.startswith(start)
    assert "\n" not in told
    return told.removeprefix(start).lstrip(":; ")


def place(address: str) -> str:
    """Return the server under the one address that its certificate carries.

    Under a name of several addresses the library tells of the one that it tried last.
    """
    return f"127.0.0.1:{address.rpartition(':')[2]}"


async def test_a_server_whose_certificate_is_in_order(
    server: Settings, person: Settings, certificates: Certificates
) -> None:
    async with serving(server) as served:
        people, services = place(served.server.people_address), place(served.server.address)
        assert await said(people, person) == "answered"
        foreign = replace(person, tls_ca=certificates.folder / "foreign.pem")
        assert (await said(people, foreign)).startswith(
            "its certificate is of another authority than DECNET_TTP_TLS_CA"
        )
        plain = Settings()
        assert (await said(people, plain)).startswith("it ends a connection without TLS; set")
        assert (await said(services, person)).startswith(
            "it ends a connection without a client's certificate; use its port for tokens"
        )
        stranger = certificates.settings("stranger")
        stranger = replace(person, tls_cert=stranger.tls_cert, tls_key=stranger.tls_key)
        assert "DECNET_TTP_TLS_CERT may have expired" in await said(services, stranger)


@pytest.mark.parametrize(
    ("days", "name", "expected"),
    [
        ("-1", "localhost", "its certificate has expired; have its operator renew it"),
        ("1", "elsewhere.example", "its certificate names other hosts; use a name that it"),
    ],
)
async def test_a_server_whose_certificate_is_not(
    server: Settings,
    person: Settings,
    certificates: Certificates,
    days: str,
    name: str,
    expected: str,
) -> None:
    wrong = replace(server, **made_out(certificates, days, name))
    async with serving(wrong) as served:
        assert (await said(place(served.server.people_address), person)).startswith(expected)


async def test_a_server_without_tls_and_one_that_is_not_there(person: Settings) -> None:
    async with serving(Settings(listen="127.0.0.1:0")) as served:
        address = served.server.address
        assert (await said(address, person)).startswith("nothing there speaks TLS; correct the")
    assert (await said(address, person)).startswith("start it with `decnet-ttp up`, or name")
    assert (await said("nobody.invalid:50051", person)).startswith("its name has no address")


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"tls_ca": "none.pem"}, r"cannot read .*none\.pem \(No such file or directory\)"),
        ({"tls_ca": "server.key"}, r"server\.key holds no certificate that can be read"),
        ({"tls_ca": "names.txt"}, r"names\.txt is no PEM file; name one with DECNET_TTP_TLS_CA"),
        ({"tls_cert": "client.pem"}, "tls_cert and tls_key belong together"),
        (
            {"tls_cert": "client.pem", "tls_key": "server.key"},
            r"server\.key is not the key of .*client\.pem \(KEY_VALUES_MISMATCH\)",
        ),
    ],
)
async def test_files_that_are_not_what_they_should_be_are_named(
    person: Settings, certificates: Certificates, changed: dict[str, str], expected: str
) -> None:
    (certificates.folder / "names.txt").write_text("no certificate\n")
    paths = {setting: certificates.folder / name for setting, name in changed.items()}
    with pytest.raises(SettingsError, match=expected):
        await said("localhost:1", replace(person, **paths))
