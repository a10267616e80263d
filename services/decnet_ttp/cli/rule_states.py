# SPDX-License-Identifier: AGPL-3.0-or-later
"""`decnet-ttp rules disable|clip|enable|history`: what operators decide about rules."""

from __future__ import annotations

import getpass
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import click

from decnet_ttp.cli.connection import (
    CALL_TIMEOUT_S,
    Connection,
    Listing,
    connection_options,
    run,
    with_channel,
)
from decnet_ttp.cli.output import (
    json_option,
    message_dict,
    moment,
    print_json,
    print_messages,
    print_table,
)
from decnet_ttp.cli.state_scopes import scope_text, state_scope_options

if TYPE_CHECKING:
    from grpc.aio import Channel

    from decnet_ttp.v1.rule_pb2 import Rule, StateScope
    from decnet_ttp.v1.rule_store_service_pb2 import RuleStateChange

_UNITS_S: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_DURATION: Final = re.compile(r"(\d{1,6})([smhd])")


class _Duration(click.ParamType[timedelta]):
    name = "duration"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> timedelta:
        """Read a number with a unit."""
        found = _DURATION.fullmatch(str(value))
        if found is None or int(found[1]) == 0:
            self.fail(f"{value!r} is no duration; write 30s, 10m, 2h or 7d", param, ctx)
        return timedelta(seconds=int(found[1]) * _UNITS_S[found[2]])


#: A span of time as an option: 30s, 10m, 2h, 7d.
DURATION: Final = _Duration()

_RULE = click.argument("rule_id", metavar="RULE")
_REASON = click.option("--reason", default="", help="Why; kept in the history.")
_FOR = click.option(
    "--for",
    "duration",
    type=DURATION,
    help="After this time (30s, 10m, 2h, 7d) the rule returns to normal by itself.",
)


@click.command()
@_RULE
@_FOR
@_REASON
@state_scope_options
@json_option
@connection_options
def disable(connection: Connection, *, rule_id: str, as_json: bool, **state: Any) -> None:
    """Let a rule emit nothing, for a while or until it is enabled.

    With --attacker, --ip, --decky or --kind this holds for those events only, and stands in place
    of what is said for all events.
    """
    _set(connection, rule_id, "RULE_MODE_DISABLED", 0.0, as_json=as_json, **state)


@click.command()
@_RULE
@click.option(
    "--to",
    "confidence_max",
    required=True,
    type=click.FloatRange(0, 1, min_open=True),
    help="Highest confidence the rule may emit.",
)
@_FOR
@_REASON
@state_scope_options
@json_option
@connection_options
def clip(
    connection: Connection, *, rule_id: str, confidence_max: float, as_json: bool, **state: Any
) -> None:
    """Hold a rule's confidence down, for a while or until it is enabled.

    With --attacker, --ip, --decky or --kind this holds for those events only, and stands in place
    of what is said for all events.
    """
    _set(connection, rule_id, "RULE_MODE_CLIPPED", confidence_max, as_json=as_json, **state)


@click.command()
@_RULE
@_REASON
@state_scope_options
@json_option
@connection_options
def enable(
    connection: Connection, *, rule_id: str, as_json: bool, reason: str, scope: StateScope | None
) -> None:
    """Return a rule to normal: everything that was said of it ends.

    With --attacker, --ip, --decky or --kind only what was said for those events ends.
    """
    from decnet_ttp.v1.rule_store_service_pb2 import ClearRuleStateRequest

    request = ClearRuleStateRequest(
        rule_id=rule_id, set_by=getpass.getuser(), reason=reason, scope=scope
    )
    _show(_change(connection, "ClearRuleState", request), as_json=as_json)


@click.command()
@click.argument("rule_id", metavar="[RULE]", default="")
@json_option
@connection_options
def history(connection: Connection, *, rule_id: str, as_json: bool) -> None:
    """Show who changed the state of a rule, or of any, newest first."""
    from decnet_ttp.cli.rule_tables import mode_text
    from decnet_ttp.v1.rule_store_service_pb2 import ListRuleStateChangesRequest
    from decnet_ttp.v1.rule_store_service_pb2_grpc import RuleStoreServiceStub

    async def work(channel: Channel) -> list[RuleStateChange]:
        method = RuleStoreServiceStub(channel).ListRuleStateChanges
        request = ListRuleStateChangesRequest(rule_id=rule_id)
        return [change async for change in Listing(method, request, "changes")]

    changes = run(with_channel(connection, "rule_store", work))
    if as_json:
        print_messages(changes)
        return
    columns = [
        ("time (UTC)", "fixed"),
        ("rule", "fixed"),
        ("state", "left"),
        ("by", "left"),
        ("reason", "left"),
        ("only for", "left"),
    ]
    rows = [
        [
            moment(change.change_time),
            change.rule_id,
            mode_text(change.state),
            "its expiry" if change.expired else change.state.set_by,
            change.state.reason,
            scope_text(change.state.scope),
        ]
        for change in changes
    ]
    print_table(columns, rows, empty="no state was ever changed")


def _set(
    connection: Connection,
    rule_id: str,
    mode: str,
    confidence_max: float,
    *,
    as_json: bool,
    duration: timedelta | None,
    reason: str,
    scope: StateScope | None,
) -> None:
    from decnet_ttp.v1.rule_store_service_pb2 import SetRuleStateRequest

    request = SetRuleStateRequest(
        rule_id=rule_id,
        mode=mode,
        confidence_max=confidence_max,
        reason=reason,
        set_by=getpass.getuser(),
        scope=scope,
    )
    if duration is not None:
        request.expire_time.FromDatetime(datetime.now(UTC) + duration)
    _show(_change(connection, "SetRuleState", request), as_json=as_json)


def _change(connection: Connection, method: str, request: Any) -> Rule:
    async def work(channel: Channel) -> Rule:
        from decnet_ttp.runtime.clients import call
        from decnet_ttp.v1.rule_store_service_pb2_grpc import RuleStoreServiceStub

        stub = RuleStoreServiceStub(channel)
        response: Any = await call(getattr(stub, method), request, timeout_s=CALL_TIMEOUT_S)
        rule: Rule = response.rule
        return rule

    return run(with_channel(connection, "rule_store", work))


def _show(rule: Rule, *, as_json: bool) -> None:
    from decnet_ttp.cli.rule_tables import state_text

    if as_json:
        print_json(message_dict(rule))
    else:
        click.echo(f"{rule.rule_id} is {state_text(rule)}")
