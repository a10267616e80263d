# SPDX-License-Identifier: AGPL-3.0-or-later
"""`decnet-ttp rules`: what the rules are, whether they load, and whether they do as they say."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from decnet_ttp.cli.connection import (
    CALL_TIMEOUT_S,
    Connection,
    Listing,
    connection_options,
    run,
    with_channel,
)
from decnet_ttp.cli.output import json_option, message_dict, print_json, print_messages
from decnet_ttp.cli.rule_diff import diff
from decnet_ttp.cli.rule_eval import eval_rules
from decnet_ttp.cli.rule_explain import explain
from decnet_ttp.cli.rule_lock import lock
from decnet_ttp.cli.rule_states import clip, disable, enable, history
from decnet_ttp.core.errors import FailedPreconditionError
from decnet_ttp.runtime.config import Settings, load_settings

if TYPE_CHECKING:
    from grpc.aio import Channel

    from decnet_ttp.rule_store.loader import FileOutcome, Pack
    from decnet_ttp.v1.rule_pb2 import Rule
    from decnet_ttp.v1.rule_store_service_pb2 import RuleLoadError

_PATHS = click.argument(
    "paths", nargs=-1, metavar="[PATH]...", type=click.Path(exists=True, path_type=Path)
)


@click.group()
def rules() -> None:
    """List, show, check and test rules; switch them off and on."""


for _command in (disable, clip, enable, history, eval_rules, explain, diff, lock):
    rules.add_command(_command)


@rules.command(name="list")
@click.option(
    "--sort",
    type=click.Choice(("cost", "fired", "name")),
    help="By time spent, by matches (the highest first, with numbers), or by name.",
)
@click.option("--numbers", "with_numbers", is_flag=True, help="Show what each rule did and costs.")
@click.option(
    "--never-fired-days",
    type=click.IntRange(min=1),
    metavar="N",
    help="Only rules that did not fire in the last N days.",
)
@click.option("--review-due", is_flag=True, help="Only rules whose day of review has come.")
@json_option
@connection_options
def list_rules(
    connection: Connection,
    *,
    sort: str | None,
    with_numbers: bool,
    never_fired_days: int | None,
    review_due: bool,
    as_json: bool,
) -> None:
    """List the rules of the running rule-store with their state.

    Files that no rule could be made of are named on standard error. Numbers are those of all
    taggers together since each was started.
    """
    from decnet_ttp.cli import rule_numbers
    from decnet_ttp.cli.rule_tables import print_rules

    with_numbers |= sort in {"cost", "fired"} or never_fired_days is not None
    found, errors = run(with_channel(connection, "rule_store", _list))
    numbers = run(rule_numbers.numbers_of_rules(connection)) if with_numbers else {}
    if review_due:
        today = datetime.now(UTC).date().isoformat()
        found = [rule for rule in found if rule_numbers.review_due(rule, today)]
    if never_fired_days is not None:
        ids = [rule.rule_id for rule in found]
        silent = run(rule_numbers.silent_rules(connection, ids, numbers, never_fired_days))
        found = [rule for rule in found if rule.rule_id in silent]
    found = rule_numbers.in_order(found, numbers, sort or "")
    for error in errors:
        click.echo(f"{error.location}: {error.message}", err=True)
    if as_json and with_numbers:
        none = rule_numbers.Numbers()
        print_json(
            [
                {**message_dict(rule), "statistics": numbers.get(rule.rule_id, none).as_json()}
                for rule in found
            ]
        )
    elif as_json:
        print_messages(found)
    elif with_numbers:
        rule_numbers.print_numbers(found, numbers)
    else:
        print_rules(found)


async def _list(channel: Channel) -> tuple[list[Rule], list[RuleLoadError]]:
    from decnet_ttp.runtime.clients import call
    from decnet_ttp.v1.rule_store_service_pb2 import ListRulesRequest
    from decnet_ttp.v1.rule_store_service_pb2_grpc import RuleStoreServiceStub

    stub = RuleStoreServiceStub(channel)
    found = [rule async for rule in Listing(stub.ListRules, ListRulesRequest(), "rules")]
    # Only the first page carries them, and the listing keeps nothing but its rows.
    first = await call(stub.ListRules, ListRulesRequest(page_size=1), timeout_s=CALL_TIMEOUT_S)
    return found, list(first.load_errors)


@rules.command()
@click.argument("rule_id", metavar="RULE")
@json_option
@connection_options
def show(connection: Connection, *, rule_id: str, as_json: bool) -> None:
    """Show one rule: definition, examples, state."""
    from decnet_ttp.cli.rule_tables import examples_of, print_rule

    async def work(channel: Channel) -> Rule:
        from decnet_ttp.runtime.clients import call
        from decnet_ttp.v1.rule_store_service_pb2 import GetRuleRequest, GetRuleResponse
        from decnet_ttp.v1.rule_store_service_pb2_grpc import RuleStoreServiceStub

        method = RuleStoreServiceStub(channel).GetRule
        request = GetRuleRequest(rule_id=rule_id)
        response: GetRuleResponse = await call(method, request, timeout_s=CALL_TIMEOUT_S)
        return response.rule

    rule = run(with_channel(connection, "rule_store", work))
    examples = examples_of(rule)
    if as_json:
        print_json({**message_dict(rule), "tests": examples})
    else:
        print_rule(rule, examples)


@rules.command()
@_PATHS
@json_option
def check(paths: Sequence[Path], *, as_json: bool) -> None:
    """Hold rule files to everything but their examples; needs no service and no network.

    PATH is a rule file, a folder of rule files or a rules directory; default: the rules in use.
    Ends with 1 when a rule would not load.
    """
    pack = load_pack_of(paths, with_examples=False)
    if as_json:
        print_json({"rules": len(pack.rules), "problems": _problems(pack.files)})
    else:
        for problem in pack.problems:
            click.echo(str(problem))
        faulty = sum(bool(outcome.problems) for outcome in pack.files)
        click.echo(f"sound rules: {len(pack.rules)}, faulty files: {faulty}", err=True)
    _end(pack)


@rules.command()
@_PATHS
@json_option
def test(paths: Sequence[Path], *, as_json: bool) -> None:
    """Run the examples within rules through the matcher of the taggers.

    PATH is as for `check`. Ends with 1 when an example does not go as written.
    """
    from decnet_ttp.cli.rule_tables import print_tests

    pack = load_pack_of(paths, with_examples=True)
    if as_json:
        print_json(
            {
                "rules": [_tested(outcome) for outcome in pack.files if outcome.parsed],
                "problems": _problems(pack.files),
            }
        )
    else:
        print_tests(pack.files)
    _end(pack)


@rules.command()
def schema() -> None:
    """Print the JSON Schema of a rule file, for editors."""
    from decnet_ttp.rule_store.document import json_schema

    print_json(json_schema())


@rules.command()
def fields() -> None:
    """Print the fields that rules may read, by source kind, as Markdown."""
    from decnet_ttp.rule_store.payload_fields import field_table

    click.echo(field_table())


def load_pack_of(paths: Sequence[Path], *, with_examples: bool) -> Pack:
    """Load the rules that some paths mean, or those in use, and hold them against their lock."""
    from decnet_ttp.attack.errors import AttackError
    from decnet_ttp.rule_store.app import load_vocabulary
    from decnet_ttp.rule_store.loader import load_pack
    from decnet_ttp.rule_store.lock_file import hold_against, locks_of

    settings = load_settings()
    try:
        vocabulary = load_vocabulary(settings)
    except AttackError as error:
        raise FailedPreconditionError(str(error)) from error
    pack = load_pack(paths or [_rules_in_use(settings)], vocabulary, with_examples=with_examples)
    return hold_against(pack, locks_of(pack))


def _rules_in_use(settings: Settings) -> Path:
    from decnet_ttp.rule_store.shipped import shipped_rules_dir

    return settings.rules_dir or shipped_rules_dir()


def _problems(outcomes: Sequence[FileOutcome]) -> list[dict[str, Any]]:
    return [
        {"path": p.path, "line": p.line, "column": p.column, "message": p.message}
        for outcome in outcomes
        for p in outcome.problems
    ]


def _tested(outcome: FileOutcome) -> dict[str, Any]:
    from decnet_ttp.rule_store.messages import dotted

    if outcome.parsed is None:
        raise ValueError(outcome.path)
    message = outcome.parsed.message
    return {
        "rule_id": message.rule_id,
        "rule_version": message.rule_version,
        "path": outcome.path,
        "passed": not outcome.problems,
        "examples": [
            {
                "example": dotted(result.path),
                "must_match": result.must_match,
                "ran": result.ran,
                "emitted": list(result.emitted),
                "fault": result.fault,
            }
            for result in outcome.parsed.examples
        ],
    }


def _end(pack: Pack) -> None:
    if pack.problems:
        click.get_current_context().exit(1)
