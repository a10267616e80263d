# SPDX-License-Identifier: AGPL-3.0-or-later
"""`decnet-ttp health`: whether a service is ready, for health checks of containers."""

from __future__ import annotations

import sys
from typing import Any

import click

from decnet_ttp.runtime.config import Settings, SettingsError, load_settings

_CHECK = "/grpc.health.v1.Health/Check"
# A check runs every few seconds in every container. These messages are two bytes at most, so the
# protobuf runtime, which takes longer to import than the check takes, is left out of it.
_WHOLE_PROCESS = b""
_SERVING = b"\x08\x01"
_EVERYWHERE = frozenset({"0.0.0.0", "[::]", "::", "*"})  # noqa: S104 - recognised, not bound


@click.command()
@click.argument("target", required=False)
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(min=0, min_open=True),
    default=3.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for the answer.",
)
def health(target: str | None, timeout_s: float) -> None:
    """Ask a service whether it is ready; exit 0 when it is, else 1.

    TARGET is unix:/path/to.sock or host:port; default: what DECNET_TTP_LISTEN of this
    environment says, so that inside a service's container no argument is needed.
    """
    settings = load_settings()
    asked = target or own_target(settings.listen)
    answer = _ask(asked, settings, timeout_s)
    if answer != "SERVING":
        click.echo(f"decnet-ttp: {asked} is not ready ({answer}); see the service's log", err=True)
        sys.exit(1)
    click.echo(f"{asked} is serving")


def own_target(listen: str) -> str:
    """Return the target under which a listener is reached from its own host.

    A listener on every address is asked as `localhost`, which its certificate has to name.

    Raises:
        SettingsError: The address names no fixed port.
    """
    if listen.startswith("unix:"):
        return listen
    host, _, port = listen.rpartition(":")
    if not host or port in {"", "0"}:
        raise SettingsError(
            "DECNET_TTP_LISTEN names no fixed port; name the service to ask: "
            "unix:/path/to.sock or host:port"
        )
    return f"localhost:{port}" if host in _EVERYWHERE else listen


def _ask(target: str, settings: Settings, timeout_s: float) -> str:
    """Return SERVING, NOT_SERVING or the name of the status of the failed call."""
    import grpc

    from decnet_ttp.runtime.unreached import unreached_reason

    # What stands in the environment for other traffic is no way to a service of ours.
    options = [("grpc.enable_http_proxy", 0)]
    if target.startswith("unix:"):
        channel = grpc.insecure_channel(target, [*options, ("grpc.default_authority", "localhost")])
    elif settings.tls_ca is None:
        channel = grpc.insecure_channel(target, options)
    else:
        channel = grpc.secure_channel(target, _credentials(settings), options)
    with channel:
        try:
            check: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(_CHECK)
            answer = check(_WHOLE_PROCESS, timeout=timeout_s)
        except grpc.RpcError as error:
            return unreached_reason(error.details() or "") or str(error.code().name)
    return "SERVING" if answer == _SERVING else "NOT_SERVING"


def _credentials(settings: Settings) -> Any:
    import grpc

    from decnet_ttp.runtime.certificates import read_ca, read_pair

    ca = read_ca(settings.tls_ca) if settings.tls_ca else None
    return grpc.ssl_channel_credentials(ca, *(read_pair(settings) or (None, None)))
