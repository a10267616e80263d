# SPDX-License-Identifier: AGPL-3.0-or-later
"""`decnet-ttp rules explain`: which condition of a rule held on an event, and which did not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from decnet_ttp.cli.connection import (
    CALL_TIMEOUT_S,
    Connection,
    connection_options,
    run,
    with_channel,
)
from decnet_ttp.cli.output import (
    Cell,
    json_option,
    message_dict,
    on_terminal,
    print_json,
    print_line,
    print_table,
)
from decnet_ttp.cli.rule_eval import CORPUS_TYPE, RULES_OPTION
from decnet_ttp.core.errors import DecnetError, InvalidArgumentError, NotFoundError
from decnet_ttp.runtime.config import SettingsError

if TYPE_CHECKING:
    from decnet_ttp.cli.corpus import Row
    from decnet_ttp.v1.event_pb2 import Event
    from decnet_ttp.v1.rule_pb2 import Rule
    from decnet_ttp.v1.tagger_service_pb2 import ConditionOutcome, ExplainEventResponse

#: Characters shown around what matched.
_BEFORE: Final = 24
_SHOWN: Final = 96


@dataclass(frozen=True, slots=True)
class Explained:
    """How a rule went on an event.

    Attributes:
        event: The event.
        answer: What the tagger said.
    """

    event: Event
    answer: ExplainEventResponse


@click.command()
@click.argument("rule_id", metavar="RULE")
@click.option("--command", "command_text", help="Explain it on this command.")
@click.option(
    "--event",
    "event_path",
    type=CORPUS_TYPE,
    help="File with one JSON object: source_kind and payload. A session is fanned out.",
)
@RULES_OPTION
@json_option
@connection_options
def explain(
    connection: Connection,
    *,
    rule_id: str,
    command_text: str | None,
    event_path: Path | None,
    rules_path: Path | None,
    as_json: bool,
) -> None:
    """Show which condition of a rule holds on an event, on which field and where.

    Asks the running tagger. With --rules, or when no installation runs, the rule is evaluated
    within this command, by the same code.
    """
    row = _row(command_text, event_path)
    live = rules_path is None and _installed(connection)
    if live:
        rule, explained = run(_ask(connection, rule_id, row))
    else:
        if rules_path is None:
            click.echo("no installation runs: using the rules on this machine", err=True)
        rule, explained = _offline(connection, rules_path, rule_id, row)
    if as_json:
        print_json([_as_json(rule, each) for each in explained])
        return
    for each in explained:
        _print(rule, each)


def _row(command_text: str | None, event_path: Path | None) -> Row:
    from decnet_ttp.cli.corpus import Row, read_rows

    if (command_text is None) == (event_path is None):
        raise click.UsageError("give either --command or --event")
    if event_path is None:
        return Row("command", "command", {"command_text": command_text})
    rows = list(read_rows([event_path]))
    if len(rows) != 1:
        raise InvalidArgumentError(
            f"{event_path} holds {len(rows)} events; give one JSON object with source_kind and "
            "payload on one line"
        )
    return rows[0]


def _installed(connection: Connection) -> bool:
    from decnet_ttp.cli.taggers import tagger_targets

    try:
        return bool(tagger_targets(connection))
    except SettingsError:
        return False


def _read_by(rule: Rule, events: Sequence[Event], row: Row) -> list[Event]:
    """Return the events that a rule reads.

    Raises:
        InvalidArgumentError: There is none.
    """
    read = [event for event in events if event.source_kind in rule.applies_to]
    if not read:
        raise InvalidArgumentError(
            f"rule {rule.rule_id} reads {', '.join(rule.applies_to)}, and a {row.kind} gives "
            "none of these; name another event"
        )
    return read


def _parts(rule: Rule, events: Sequence[Event]) -> list[Event]:
    """Return the parts of a session, for a rule whose steps they take."""
    if not rule.HasField("timeline"):
        return []
    return [event for event in events if event.source_kind not in rule.applies_to]


def _offline(
    connection: Connection, rules_path: Path | None, rule_id: str, row: Row
) -> tuple[Rule, list[Explained]]:
    from decnet_ttp.cli.offline_tagger import OfflineTagger, load_rules, rules_dir_of
    from decnet_ttp.tagger.explanation import explain_event

    rules, catalogue = load_rules(connection.settings, rules_path)
    own = [rule for rule in rules if rule.rule_id == rule_id]
    if not own:
        known = ", ".join(rule.rule_id for rule in rules[:8])
        raise NotFoundError(f"there is no rule {rule_id}; there are {known}, …")
    rules_dir = rules_dir_of(connection.settings, rules_path)
    tagger = OfflineTagger(own, catalogue, rules_dir)
    rule_set, events = tagger.rule_set, tagger.events_of(row)
    parts = _parts(own[0], events)
    return own[0], [
        Explained(event, explain_event(own[0], event, tagger.lifters, rule_set, parts))
        for event in _read_by(own[0], events, row)
    ]


async def _ask(connection: Connection, rule_id: str, row: Row) -> tuple[Rule, list[Explained]]:
    from decnet_ttp.cli.corpus import events_of
    from decnet_ttp.cli.taggers import with_taggers
    from decnet_ttp.matching import kinds_read
    from decnet_ttp.runtime.clients import call
    from decnet_ttp.v1.rule_store_service_pb2 import GetRuleRequest, GetRuleResponse
    from decnet_ttp.v1.rule_store_service_pb2_grpc import RuleStoreServiceStub
    from decnet_ttp.v1.tagger_service_pb2 import ExplainEventRequest
    from decnet_ttp.v1.tagger_service_pb2_grpc import TaggerServiceStub

    async def get(channel: Any) -> Rule:
        method = RuleStoreServiceStub(channel).GetRule
        request = GetRuleRequest(rule_id=rule_id)
        response: GetRuleResponse = await call(method, request, timeout_s=CALL_TIMEOUT_S)
        return response.rule

    rule = await with_channel(connection, "rule_store", get)
    made = events_of(row, set(kinds_read(rule)))
    events, parts = _read_by(rule, made, row), _parts(rule, made)

    async def ask(channel: Any) -> list[Explained] | DecnetError:
        method = TaggerServiceStub(channel).ExplainEvent
        try:
            return [
                Explained(
                    event,
                    await call(
                        method,
                        ExplainEventRequest(event=event, rule_id=rule_id, parts=parts),
                        timeout_s=CALL_TIMEOUT_S,
                    ),
                )
                for event in events
            ]
        except NotFoundError as error:
            # Another tagger may host the lifter that owns the rule.
            return error

    answers = await with_taggers(connection, ask)
    for answer in answers:
        if not isinstance(answer, DecnetError):
            return rule, answer
    raise NotFoundError(
        f"no tagger has rule {rule_id}; its lifter runs nowhere, or it is not loaded yet",
        rule_id=rule_id,
    )


def _values(event: Event, field: str) -> list[str]:
    """Return the values of a field as text, as the matcher reads them."""
    from decnet_ttp.matching.fields import payload_member, reader

    member = payload_member(event.source_kind)
    return [
        value if isinstance(value, str) else str(value).lower()
        for value in reader(event.source_kind, field)(getattr(event, member), event)
    ]


def _value(event: Event, outcome: ConditionOutcome) -> tuple[str, tuple[int, int] | None]:
    """Return the value of the field that was read, and where in it the condition held."""
    values = [value for name in outcome.field.split(", ") for value in _values(event, name)]
    if not outcome.HasField("start"):
        return (values[0] if values else ""), None
    # Of several values the first that is long enough; only a list or map has several.
    fitting = [value for value in values if len(value) >= outcome.end]
    return (fitting[0], (outcome.start, outcome.end)) if fitting else ("", None)


def _asked(rule: Rule) -> dict[str, str]:
    """Return what each condition asks, in words, by its path."""
    from decnet_ttp.cli.rule_tables import test_text
    from decnet_ttp.matching.explain import leaves

    return {path: test_text(condition) for path, condition in leaves(rule.condition)}


def _as_json(rule: Rule, explained: Explained) -> dict[str, Any]:
    asked = _asked(rule)
    outcomes = []
    for outcome in explained.answer.outcomes:
        value, span = _value(explained.event, outcome)
        outcomes.append(
            {
                "path": outcome.path,
                "asked": asked.get(outcome.path, ""),
                "field": outcome.field,
                "held": outcome.held,
                "start": span[0] if span else None,
                "end": span[1] if span else None,
                "text": value[slice(*span)] if span else None,
            }
        )
    return {
        "rule_id": rule.rule_id,
        "rule_version": rule.rule_version,
        "source_kind": explained.event.source_kind,
        "source_id": explained.event.source_id,
        "matched": explained.answer.matched,
        "emissions": [message_dict(each) for each in rule.emissions],
        "outcomes": outcomes,
        "steps": [{**message_dict(step), "count": step.count} for step in explained.answer.steps],
    }


def _print(rule: Rule, explained: Explained) -> None:
    from decnet_ttp.cli.rule_tables import state_text

    matched = explained.answer.matched
    verdict = click.style("fires", fg="green") if matched else click.style("is silent", fg="red")
    click.echo(
        f"{rule.rule_id} version {rule.rule_version} ({rule.name}) {verdict} on this "
        f"{explained.event.source_kind}"
    )
    if matched and (state := state_text(rule)) != "enabled":
        click.echo(f"but it is {state}")
    if rule.HasField("timeline"):
        _print_steps(rule, explained.answer)
        return
    if rule.WhichOneof("match") != "condition":
        click.echo(f"{rule.lifter_predicate.kind} decides it; it has no conditions to show")
        return
    asked = _asked(rule)
    rows: list[list[str | Cell]] = []
    for outcome in explained.answer.outcomes:
        value, span = _value(explained.event, outcome)
        rows.append(
            [
                Cell("yes", "green") if outcome.held else Cell("no", "red"),
                outcome.path,
                asked.get(outcome.path, ""),
                outcome.field,
                f"{span[0]}-{span[1]}" if span else "",
                _window(value, span),
            ]
        )
    if on_terminal():
        for held, path, asks, _, place, text in rows:
            print_line([held, path, Cell(str(place), "cyan")])
            print_line(["   ", Cell(str(asks), "dim")])
            if place:
                print_line(["   ", text])
        return
    columns = ["condition", "asks", "field", "span", "value"]
    print_table(
        [("held", "fixed"), *((name, "left") for name in columns)], rows, empty="no conditions"
    )


def _print_steps(rule: Rule, answer: ExplainEventResponse) -> None:
    rows: list[list[str | Cell]] = [
        [
            Cell("yes", "green") if step.held else Cell("no", "red"),
            step.name,
            f"{step.at_least}"
            + (f" different {asked.distinct_field}" * bool(asked.distinct_field)),
            str(step.count),
            f"{step.offset_s:g}" if step.HasField("offset_s") else "",
            step.source_id,
        ]
        for step, asked in zip(answer.steps, rule.timeline.steps, strict=False)
    ]
    columns = [("held", "fixed"), ("step", "left"), ("takes", "left"), ("found", "number")]
    print_table([*columns, ("at s", "number"), ("part", "left")], rows, empty="no steps")
    if not answer.matched and all(step.held for step in answer.steps):
        why = "the steps lie too far apart, or the session is not one that the rule speaks of"
        click.echo(f"every step was taken, but {why}")


def _window(value: str, span: tuple[int, int] | None) -> Cell:
    """Return the part of a value around a span, the span marked."""
    start, end = span or (0, 0)
    first = max(0, start - _BEFORE) if len(value) > _SHOWN else 0
    shown = value[first : max(first + _SHOWN, min(end, first + 4 * _SHOWN))]
    head, tail = "…" if first else "", "…" if first + len(shown) < len(value) else ""
    marks = ((start - first + len(head), end - first + len(head)),) if span else ()
    return Cell(f"{head}{shown}{tail}", marks=marks)
