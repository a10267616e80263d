# SPDX-License-Identifier: AGPL-3.0-or-later
"""Where a server listens, and that nobody listens there in clear or without asking by accident."""

from __future__ import annotations

import socket
import stat
from pathlib import Path

import grpc

from decnet_ttp.runtime.certificates import read_ca, read_pair
from decnet_ttp.runtime.config import Settings, SettingsError
from decnet_ttp.runtime.listening import host_and_port, is_loopback


def bind(server: grpc.aio.Server, settings: Settings) -> str:
    """Listen on the address for services, where both sides show certificates.

    Returns:
        The address, with the port that the kernel chose where it was to.

    Raises:
        SettingsError: The address cannot be used, or is open to other hosts without TLS.
    """
    listen = settings.listen
    if listen.startswith("unix:"):
        _remove_stale_socket(Path(listen.removeprefix("unix:")))
        _bind_port(server, "listen", listen, None)
        return listen
    return _bind_tcp(server, "listen", listen, settings, mutual=True)


def bind_for_people(server: grpc.aio.Server, settings: Settings) -> str:
    """Listen on the address for people and programs, who show a token and no certificate.

    Returns:
        As `bind` does; empty where no such address is set.

    Raises:
        SettingsError: As `bind`, or nothing says which tokens to take.
    """
    listen = settings.people_listen
    if not listen:
        return ""
    if settings.access_file is None:
        raise SettingsError(
            f"people_listen: {listen} would take calls of anybody; set access_file, which names "
            "the tokens"
        )
    return _bind_tcp(server, "people_listen", listen, settings, mutual=False)


def _bind_tcp(
    server: grpc.aio.Server, setting: str, listen: str, settings: Settings, *, mutual: bool
) -> str:
    parts = host_and_port(listen)
    if parts is None:
        raise SettingsError(
            f"{setting}: {listen} is no address; use "
            f"{'unix:/path/to.sock or ' if setting == 'listen' else ''}host:port"
        )
    host, _ = parts
    credentials = _credentials(settings, mutual=mutual)
    if not is_loopback(host) and not settings.insecure:
        if credentials is None:
            raise SettingsError(
                f"{setting}: {listen} is reachable from other hosts without TLS; set tls_cert, "
                "tls_key and tls_ca, or insecure=true inside a network you trust"
            )
        if settings.tls_ca is None and settings.access_file is None:
            raise SettingsError(
                f"{setting}: {listen} would take calls of anybody; set tls_ca, whose certificates "
                "callers then need, or access_file, or insecure=true inside a network you trust"
            )
    return f"{host}:{_bind_port(server, setting, listen, credentials)}"


def _bind_port(
    server: grpc.aio.Server, setting: str, listen: str, credentials: grpc.ServerCredentials | None
) -> int:
    try:
        if credentials is None:
            return server.add_insecure_port(listen)
        return server.add_secure_port(listen, credentials)
    except RuntimeError as error:
        raise SettingsError(
            f"{setting}: cannot bind {listen}; is it taken, or its directory missing, or its path "
            "longer than a socket's may be?"
        ) from error


def _remove_stale_socket(path: Path) -> None:
    """Remove the socket of a process that is gone; refuse to take one that answers."""
    try:
        if not stat.S_ISSOCK(path.stat().st_mode):
            raise SettingsError(f"listen: {path} exists and is no socket; choose another path")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            path.unlink(missing_ok=True)
            return
    raise SettingsError(f"listen: another process answers on {path}; stop it first")


def _credentials(settings: Settings, *, mutual: bool) -> grpc.ServerCredentials | None:
    pair = read_pair(settings)
    if pair is None:
        return None
    ca = read_ca(settings.tls_ca) if settings.tls_ca and mutual else None
    return grpc.ssl_server_credentials(
        [pair], root_certificates=ca, require_client_auth=ca is not None
    )
