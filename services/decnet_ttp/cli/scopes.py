# SPDX-License-Identifier: AGPL-3.0-or-later
"""Whom a reading command is about: one attacker, identity, campaign or session, or the fleet."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

import click

from decnet_ttp.core.addresses import canonical_ip

if TYPE_CHECKING:
    from decnet_ttp.v1.scope_pb2 import Scope

F = TypeVar("F", bound=Callable[..., Any])

_MAX_SESSION_BYTES = 512


def _address(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str | None:
    if value is None:
        return None
    address = canonical_ip(value)
    if address is None:
        raise click.BadParameter("this is no IPv4 or IPv6 address")
    return address


def _session(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str | None:
    if value is not None and not 0 < len(value.encode(errors="replace")) <= _MAX_SESSION_BYTES:
        raise click.BadParameter(f"a session id has 1 to {_MAX_SESSION_BYTES} bytes")
    return value


_OPTIONS = (
    click.option("--attacker", type=click.UUID, metavar="UUID", help="One attacker (one address)."),
    click.option("--ip", callback=_address, metavar="ADDRESS", help="One attacker, by address."),
    click.option(
        "--identity", type=click.UUID, metavar="UUID", help="An identity with its attackers."
    ),
    click.option(
        "--campaign", type=click.UUID, metavar="UUID", help="A campaign with its identities."
    ),
    click.option("--session", callback=_session, metavar="ID", help="One session."),
)


def scope_options(command: F) -> F:
    """Add the scope options, of which one at most may be given, and pass `scope` (a Scope)."""

    @wraps(command)
    def wrapped(
        *args: Any,
        attacker: UUID | None,
        ip: str | None,
        identity: UUID | None,
        campaign: UUID | None,
        session: str | None,
        **kwargs: Any,
    ) -> Any:
        scope = _scope(
            attacker_uuid=attacker,
            attacker_ip=ip,
            identity_uuid=identity,
            campaign_uuid=campaign,
            session_id=session,
        )
        return command(*args, scope=scope, **kwargs)

    decorated: Any = wrapped
    for option in reversed(_OPTIONS):
        decorated = option(decorated)
    return decorated  # type: ignore[no-any-return]  # click's decorators are loosely typed


_OPTION_OF = {
    "attacker_uuid": "--attacker",
    "attacker_ip": "--ip",
    "identity_uuid": "--identity",
    "campaign_uuid": "--campaign",
    "session_id": "--session",
}


def _scope(**given: UUID | str | None) -> Scope:
    """Return the one scope that is given, the fleet when none is.

    Raises:
        click.UsageError: Two or more are given.
    """
    from decnet_ttp.v1.scope_pb2 import FleetScope, Scope

    chosen = {name: str(value) for name, value in given.items() if value is not None}
    if len(chosen) > 1:
        options = " and ".join(_OPTION_OF[name] for name in chosen)
        raise click.UsageError(f"{options} exclude each other; give one, or none for the fleet")
    return Scope(**chosen) if chosen else Scope(fleet=FleetScope())  # type: ignore[arg-type]


def limit_option(default: int, *, rows: str) -> Callable[[F], F]:
    """Add `--limit`, where 0 means all."""
    return click.option(
        "--limit",
        type=click.IntRange(min=0),
        default=default,
        show_default=True,
        metavar="N",
        help=f"At most N {rows}; 0: all.",
    )


def say_truncated(limit: int, rows: str) -> None:
    """Tell a person that there are more rows than were asked for."""
    click.echo(f"the first {limit} {rows}; there are more, --limit 0 shows all", err=True)
