# SPDX-License-Identifier: AGPL-3.0-or-later
"""Certificates and keys as files."""

from __future__ import annotations

import ssl
from pathlib import Path

from decnet_ttp.runtime.config import PREFIX, Settings, SettingsError


def read_pem(path: Path, setting: str) -> bytes:
    """Return a certificate or key in PEM.

    Raises:
        SettingsError: It cannot be read, or is no PEM.
    """
    variable = f"{PREFIX}{setting.upper()}"
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SettingsError(
            f"cannot read {path} ({error.strerror}); name a readable PEM file with {variable}"
        ) from error
    if b"-----BEGIN " not in content:
        raise SettingsError(f"{path} is no PEM file; name one with {variable}")
    return content


def read_ca(path: Path) -> bytes:
    """Return the certificates of the authorities that peers are checked against, in PEM.

    Raises:
        SettingsError: They cannot be read, or are none.
    """
    content = read_pem(path, "tls_ca")
    try:
        # The gRPC library takes what is none for a server that cannot be reached.
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(
            cadata=content.decode(errors="replace")
        )
    except (ssl.SSLError, ValueError) as error:
        raise SettingsError(
            f"{path} holds no certificate that can be read; name another with {PREFIX}TLS_CA"
        ) from error
    return content


def bus_trust(settings: Settings) -> ssl.SSLContext | None:
    """Return what the bus is checked against: our authority beside those of the system.

    None where no authority is set, or the URL asks for no TLS.

    Raises:
        SettingsError: The authority's certificate cannot be used.
    """
    if settings.tls_ca is None or not settings.nats_url.startswith("tls:"):
        return None
    context = ssl.create_default_context()
    context.load_verify_locations(cadata=read_ca(settings.tls_ca).decode())
    return context


def read_pair(settings: Settings) -> tuple[bytes, bytes] | None:
    """Return key and certificate of this process in PEM; None where it has none.

    Raises:
        SettingsError: There is one without the other, one cannot be read, or they do not match.
    """
    if settings.tls_cert is None and settings.tls_key is None:
        return None
    if settings.tls_cert is None or settings.tls_key is None:
        raise SettingsError("tls_cert and tls_key belong together; set both or neither")
    pair = read_pem(settings.tls_key, "tls_key"), read_pem(settings.tls_cert, "tls_cert")
    try:
        # The gRPC library notices no earlier than in each of its handshakes, and says nothing.
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(settings.tls_cert, settings.tls_key)
    except ssl.SSLError as error:
        raise SettingsError(
            f"{settings.tls_key} is not the key of {settings.tls_cert} ({error.reason}); set "
            f"{PREFIX}TLS_CERT and {PREFIX}TLS_KEY to a pair"
        ) from error
    return pair
