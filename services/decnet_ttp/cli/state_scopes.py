# SPDX-License-Identifier: AGPL-3.0-or-later
"""What a state of a rule is limited to: options to say it, and words to show it."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any, Final, TypeVar
from uuid import UUID

import click

from decnet_ttp.cli.output import one_line
from decnet_ttp.core.source_kinds import SourceKind

if TYPE_CHECKING:
    from decnet_ttp.v1.rule_pb2 import StateScope

F = TypeVar("F", bound=Callable[..., Any])

_KINDS: Final = sorted(kind.value for kind in SourceKind)
_WORDS: Final = {
    "attacker_uuid": "attacker",
    "network": "network",
    "decky_id": "decky",
    "source_kind": "kind",
}


def _network(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str | None:
    if value is None:
        return None
    try:
        return str(ip_network(value.strip(), strict=False))
    except ValueError as error:
        raise click.BadParameter(
            "this is neither an address nor a network such as 198.51.100.0/24"
        ) from error


_OPTIONS: Final = (
    click.option("--attacker", type=click.UUID, metavar="UUID", help="Only this attacker."),
    click.option(
        "--ip", callback=_network, metavar="NETWORK", help="Only this address or network."
    ),
    click.option("--decky", metavar="ID", help="Only this decoy."),
    click.option(
        "--kind",
        type=click.Choice(sorted(kind.value for kind in SourceKind)),
        help="Only for this source kind.",
    ),
)


def state_scope_options(command: F) -> F:
    """Add the options, of which one at most may be given, and pass `scope`."""

    @wraps(command)
    def wrapped(
        *args: Any,
        attacker: UUID | None,
        ip: str | None,
        decky: str | None,
        kind: str | None,
        **kwargs: Any,
    ) -> Any:
        from decnet_ttp.v1.rule_pb2 import StateScope

        given = {
            "attacker_uuid": None if attacker is None else str(attacker),
            "network": ip,
            "decky_id": decky,
            "source_kind": kind,
        }
        chosen: dict[str, Any] = {k: v for k, v in given.items() if v is not None}
        if len(chosen) > 1:
            raise click.UsageError("--attacker, --ip, --decky and --kind exclude each other")
        return command(*args, scope=StateScope(**chosen) if chosen else None, **kwargs)

    decorated: Any = wrapped
    for option in reversed(_OPTIONS):
        decorated = option(decorated)
    return decorated  # type: ignore[no-any-return]  # click's decorators are loosely typed


def scope_text(scope: StateScope) -> str:
    """Return a scope in words, empty for every event."""
    kind = scope.WhichOneof("scope")
    return f"{_WORDS[kind]} {one_line(str(getattr(scope, kind)))}" if kind else ""
