# SPDX-License-Identifier: AGPL-3.0-or-later
"""How rules and the runs of their examples are shown."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import click
from google.protobuf.json_format import MessageToDict

from decnet_ttp.cli.output import Cell, moment, one_line, print_table
from decnet_ttp.cli.state_scopes import scope_text
from decnet_ttp.rule_store.loader import FileOutcome, read_bounded
from decnet_ttp.rule_store.yaml_tree import read_tree
from decnet_ttp.v1 import rule_pb2

#: What a rule without techniques does instead of emitting one.
_ADJUSTS = "(adjusts)"
_GOOD, _BAD, _QUIET = "green", "bold red", "dim"


def print_rules(found: Sequence[rule_pb2.Rule]) -> None:
    """Print one line a rule."""
    print_table(
        [
            ("rule", "fixed"),
            ("version", "number"),
            ("name", "left"),
            ("kinds", "left"),
            ("techniques", "left"),
            ("confidence", "number"),
            ("state", "left"),
            ("error", "left"),
        ],
        [
            [
                Cell(rule.rule_id, "bold"),
                str(rule.rule_version),
                rule.name,
                " ".join(rule.applies_to),
                " ".join(_deepest(emission) for emission in rule.emissions) or _ADJUSTS,
                f"{max(e.confidence for e in rule.emissions):.2f}" if rule.emissions else "-",
                _state_cell(rule),
                Cell(rule.load_error, _BAD),
            ]
            for rule in found
        ],
        empty="no rules are loaded; see `decnet-ttp rules check`",
    )


def _deepest(emission: rule_pb2.Emission) -> str:
    return emission.sub_technique_id or emission.technique_id


def state_text(rule: rule_pb2.Rule) -> str:
    """Return a rule's state in words, its status before it when it is experimental."""
    text = mode_text(rule.state)
    for state in rule.scoped_states:
        text += f", {mode_text(state)} for {scope_text(state.scope)}"
    return f"experimental, {text}" if rule.status == rule_pb2.RULE_STATUS_EXPERIMENTAL else text


def mode_text(state: rule_pb2.RuleState) -> str:
    """Return a state in words."""
    match state.mode:
        case rule_pb2.RULE_MODE_DISABLED:
            text = "disabled"
        case rule_pb2.RULE_MODE_CLIPPED:
            text = f"clipped to {state.confidence_max:.2f}"
        case _:
            text = "enabled"
    if state.HasField("expire_time"):
        text += f" until {moment(state.expire_time)}"
    return text


def _state_cell(rule: rule_pb2.Rule) -> Cell:
    text = state_text(rule)
    return Cell(text, _GOOD if text == "enabled" else "yellow")


def examples_of(rule: rule_pb2.Rule) -> dict[str, Any] | None:
    """Return the examples from the rule's file; None unless this very version lies there."""
    try:
        data = read_bounded(Path(rule.source))
    except OSError:
        return None
    if sha256(data).hexdigest() != rule.content_sha256:
        return None
    tests = read_tree(data).data["tests"]
    return tests if isinstance(tests, dict) else None


def print_rule(rule: rule_pb2.Rule, examples: dict[str, Any] | None) -> None:
    """Print everything about one rule."""
    lines = [
        ("rule", f"{rule.rule_id} version {rule.rule_version}, {rule.name}"),
        ("finds", rule.description),
        ("reads", ", ".join(rule.applies_to)),
        *(("emits", _emission_text(emission)) for emission in rule.emissions),
        ("adjusts", "" if rule.emissions else "the confidence of an attacker's other tags"),
        ("evidence", ", ".join(rule.evidence_fields)),
        *(("innocent", cause) for cause in rule.false_positives),
        *(("see", reference) for reference in rule.references),
        ("reviewed", rule.last_review_date),
        ("next review", rule.next_review_date),
        ("state", state_text(rule)),
        ("because", rule.state.reason),
        ("set by", rule.state.set_by),
        ("set at", moment(rule.state.set_time) if rule.state.HasField("set_time") else ""),
        ("file", rule.source),
        ("sha256", rule.content_sha256),
        ("load error", rule.load_error),
    ]
    for heading, text in lines:
        if text:
            label = click.style(f"{heading:<12}", bold=True)
            style = {"fg": "red"} if heading == "load error" else {}
            click.echo(label + click.style(one_line(text), **style))  # type: ignore[arg-type] # one colour
    click.echo()
    click.secho("match", bold=True)
    for line in _match_lines(rule):
        click.echo(f"  {one_line(line)}")
    click.echo()
    if examples is None:
        click.echo("Its examples are not at hand: the file is elsewhere or was changed since.")
        return
    for part, heading in (("match", "must match"), ("no_match", "must not match")):
        click.secho(heading, bold=True)
        for example in examples.get(part, ()):
            gives = " ".join(example.get("techniques", ()))
            text = one_line(_example_text(example))
            click.echo(f"  {text}" + (f"  ->  {gives}" if gives else ""))


def _example_text(example: dict[str, Any]) -> str:
    """Return an example in one line: its fields, and the parts of its session one after another."""
    texts = [_fields_text(example.get("payload") or {})]
    for part in example.get("timeline") or ():
        when = f"at {part['at_s']:g} s " if part.get("at_s") is not None else ""
        kind = next(key for key in part if key != "at_s")
        texts.append(f"{when}{kind} {_fields_text(part[kind])}")
    return "; ".join(filter(None, texts))


def _fields_text(fields: dict[str, Any]) -> str:
    return ", ".join(f"{key}: {value}" for key, value in fields.items())


def _emission_text(emission: rule_pb2.Emission) -> str:
    return f"{_deepest(emission)} ({emission.tactic}) with confidence {emission.confidence:.2f}"


def _match_lines(rule: rule_pb2.Rule) -> list[str]:
    if rule.HasField("lifter_predicate"):
        parameters = MessageToDict(rule.lifter_predicate.parameters)
        return [rule.lifter_predicate.kind, *(f"  {k}: {v}" for k, v in parameters.items())]
    if rule.HasField("timeline"):
        return _timeline_lines(rule.timeline)
    return _condition_lines(rule.condition, 0)


def _timeline_lines(timeline: rule_pb2.Timeline) -> list[str]:
    order = "in this order" if timeline.ordered else "in any order"
    within = f" within {timeline.timespan.ToSeconds()} s" if timeline.HasField("timespan") else ""
    lines = [f"steps of one session {order}{within}"]
    if timeline.HasField("session"):
        lines += ["  the session", *_condition_lines(timeline.session, 2)]
    for step in timeline.steps:
        what = f" different {step.distinct_field}" if step.distinct_field else ""
        many = f", at least {step.at_least}{what}" if step.at_least > 1 or what else ""
        lines.append(f"  {step.name}{many}")
        for part in step.parts:
            lines += [f"    {part.source_kind}", *_condition_lines(part.condition, 3)]
    return lines


def _condition_lines(condition: rule_pb2.Condition, depth: int) -> list[str]:
    indent = "  " * depth
    form = condition.WhichOneof("condition")
    match form:
        case "all" | "any":
            members = getattr(condition, form).conditions
            return [
                f"{indent}{form} of",
                *(line for member in members for line in _condition_lines(member, depth + 1)),
            ]
        case "not":
            return [f"{indent}not", *_condition_lines(getattr(condition, "not"), depth + 1)]
        case _:
            return [indent + test_text(condition.field)]


def test_text(test: rule_pb2.FieldCondition) -> str:
    """Return a test of a field in words."""
    fields = " or ".join(test.fields)
    operator = test.WhichOneof("operator")
    match operator:
        case "pattern":
            what = f"matches {test.pattern}"
        case "is_bool":
            what = f"is {str(test.is_bool).lower()}"
        case "compare":
            bounds = [f"{field.name} {value:g}" for field, value in test.compare.ListFields()]
            what = " and ".join(bounds)
        case None:
            what = ""
        case _:
            what = f"{operator} {' | '.join(getattr(test, operator).values)}"
    return f"{fields} {what}" + (", whatever the case" if test.ignore_case else "")


def print_tests(outcomes: Sequence[FileOutcome]) -> None:
    """Print one line a rule, then every problem."""
    rows: list[list[str | Cell]] = []
    for outcome in outcomes:
        examples = outcome.parsed.examples if outcome.parsed else ()
        if outcome.problems:
            verdict = Cell("FAILED" if outcome.parsed else "DOES NOT LOAD", _BAD)
        elif any(result.ran for result in examples):
            verdict = Cell("passed", _GOOD)
        else:
            verdict = Cell("not run, its lifter decides", _QUIET)
        rows.append(
            [
                Cell(Path(outcome.path).stem, "bold"),
                str(sum(result.must_match for result in examples)),
                str(sum(not result.must_match for result in examples)),
                verdict,
            ]
        )
    columns = [
        ("rule", "fixed"),
        ("must match", "number"),
        ("must not", "number"),
        ("result", "left"),
    ]
    print_table(columns, rows, empty="no rule files here")
    for outcome in outcomes:
        for problem in outcome.problems:
            click.echo(one_line(str(problem)), err=True)
