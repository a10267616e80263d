# SPDX-License-Identifier: AGPL-3.0-or-later
"""Sockets with short paths, and certificates of a private authority."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from decnet_ttp.runtime.config import Settings
from runtime.certificates import Certificates

#: Longer than any test waits: what ends in time was not cut off.
GRACE_S = 120.0


@pytest.fixture
def folder() -> Iterator[Path]:
    """A temporary directory whose path is short enough for sockets."""
    made = Path(tempfile.mkdtemp(prefix="dr-"))
    yield made
    # The library removes the socket of a server that has ended in its own time.
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture
def unix(folder: Path) -> Settings:
    """Settings of a server on a Unix socket."""
    return Settings(listen=f"unix:{folder}/s.sock", grace_s=GRACE_S)


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Certificates for this run; skips where there is no openssl to make them."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl program to make certificates with")
    made = tmp_path_factory.mktemp("tls")

    def run(*arguments: str) -> None:
        subprocess.run([openssl, *arguments], cwd=made, check=True, capture_output=True)

    new = ("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    for authority in ("ca", "foreign"):
        run(
            *(*new, "-keyout", f"{authority}.key", "-out", f"{authority}.pem"),
            *("-days", "2", "-subj", f"/CN={authority}"),
        )
    for peer, authority in (("server", "ca"), ("client", "ca"), ("stranger", "foreign")):
        run(
            *(*new, "-CA", f"{authority}.pem", "-CAkey", f"{authority}.key"),
            *("-keyout", f"{peer}.key", "-out", f"{peer}.pem", "-days", "2"),
            *("-subj", f"/CN={peer}", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"),
            *("-addext", "basicConstraints=critical,CA:FALSE"),
        )
    return Certificates(made)
