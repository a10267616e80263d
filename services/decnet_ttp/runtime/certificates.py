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
