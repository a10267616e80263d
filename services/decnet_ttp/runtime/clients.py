# SPDX-License-Identifier: AGPL-3.0-or-later
"""gRPC channels and calls: deadlines always, retries only where they are safe."""

from __future__ import annotations

from typing import Protocol, TypeVar

import grpc
import tenacity

from decnet_ttp.core.errors import AbortedError, UnavailableError
from decnet_ttp.runtime.bearer import read_token, senders
from decnet_ttp.runtime.boundary import from_rpc_error
from decnet_ttp.runtime.certificates import read_ca, read_pair
from decnet_ttp.runtime.config import Settings, SettingsError
from decnet_ttp.runtime.listening import host_and_port, is_loopback
from decnet_ttp.runtime.server import MAX_MESSAGE_BYTES
from decnet_ttp.runtime.tracing import call_metadata

Request = TypeVar("Request")
Response = TypeVar("Response")

_OPTIONS = [
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.lb_policy_name", "round_robin"),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.initial_reconnect_backoff_ms", 100),
    # By its name a pause, in effect what one attempt to connect may take: over a long way or on a
    # busy host a handshake takes several hundred milliseconds.
    ("grpc.min_reconnect_backoff_ms", 5_000),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    # Channels to one target must not share a connection that another's back-off holds closed.
    ("grpc.use_local_subchannel_pool", 1),
]


class UnaryCall(Protocol[Request, Response]):
    """A method of a stub."""

    def __call__(
        self,
        request: Request,
        *,
        timeout: float | None = None,
        metadata: tuple[tuple[str, str], ...] | None = None,
    ) -> grpc.aio.UnaryUnaryCall[Request, Response]:
        """Start the call."""


def channel_target(target: str) -> str:
    """Return a target with its scheme: Unix sockets as they are, all else through DNS.

    `dns:///` makes the client see every address behind a name, which `round_robin` spreads over.
    """
    if target.startswith(("unix:", "dns:", "ipv4:", "ipv6:")):
        return target
    return f"dns:///{target}"


def open_channel(target: str, settings: Settings) -> grpc.aio.Channel:
    """Open a channel; nothing is connected yet.

    Args:
        target: `unix:/path` or `host:port`.
        settings: Certificates and token to use beyond this host.

    Raises:
        SettingsError: A certificate, a key or the token cannot be used.
    """
    options = list(_OPTIONS)
    if target.startswith("unix:"):
        options.append(("grpc.default_authority", "localhost"))
        return grpc.aio.insecure_channel(target, options=options)
    token = _token(target, settings)
    if settings.tls_ca is None:
        return grpc.aio.insecure_channel(
            channel_target(target), options=options, interceptors=senders(token) if token else None
        )
    key, certificate = read_pair(settings) or (None, None)
    credentials = grpc.ssl_channel_credentials(
        root_certificates=read_ca(settings.tls_ca),
        private_key=key,
        certificate_chain=certificate,
    )
    if token:
        credentials = grpc.composite_channel_credentials(
            credentials, grpc.access_token_call_credentials(token)
        )
    return grpc.aio.secure_channel(channel_target(target), credentials, options=options)


def _token(target: str, settings: Settings) -> str | None:
    if settings.token_file is None:
        return None
    parts = host_and_port(target.removeprefix("dns:///"))
    near = parts is not None and is_loopback(parts[0])
    if settings.tls_ca is None and not settings.insecure and not near:
        raise SettingsError(
            "token_file would be sent without TLS for all to read; set tls_ca, or insecure=true "
            "inside a network you trust"
        )
    return read_token(settings.token_file)


async def call(
    method: UnaryCall[Request, Response],
    request: Request,
    *,
    timeout_s: float,
    attempts_s: float = 0.0,
) -> Response:
    """Call a method with a deadline.

    Args:
        method: Method of a stub.
        request: Its request. It must be idempotent when attempts_s is above 0.
        timeout_s: Deadline of one attempt, in seconds.
        attempts_s: How long UNAVAILABLE and ABORTED are tried again, in seconds in all; 0: never.

    Raises:
        DecnetError: What the status stands for.
    """

    async def attempt() -> Response:
        try:
            return await method(request, timeout=timeout_s, metadata=call_metadata())
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from error

    if not attempts_s:
        return await attempt()
    retrying = tenacity.AsyncRetrying(
        retry=tenacity.retry_if_exception_type((UnavailableError, AbortedError)),
        wait=tenacity.wait_random_exponential(multiplier=0.05, max=2.0),
        stop=tenacity.stop_after_delay(attempts_s),
        reraise=True,
    )
    return await retrying(attempt)
