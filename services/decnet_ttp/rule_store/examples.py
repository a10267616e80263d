# SPDX-License-Identifier: AGPL-3.0-or-later
"""Running the examples within a rule through the matcher and the lifters that taggers use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from decnet_ttp.matching import RulePack
from decnet_ttp.rule_store.convert import ExampleFault, example_event, example_parts
from decnet_ttp.rule_store.document import MatchExample, RuleDocument, SilentExample
from decnet_ttp.rule_store.lifters import Evaluate, LifterFault, amount_text, lifter_evaluate
from decnet_ttp.v1 import event_pb2, rule_pb2

YamlPath = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class ExampleResult:
    """How one example went.

    Attributes:
        path: Where it stands in the file.
        must_match: Whether the rule has to fire on it.
        ran: Whether it was run, and not only held to the form of an event.
        emitted: Techniques that came out, deepest ids in order, or the amount of an adjustment.
        fault: What went otherwise than written; None when nothing did.
    """

    path: YamlPath
    must_match: bool
    ran: bool
    emitted: tuple[str, ...] = ()
    fault: str | None = None


def run_examples(
    rule: RuleDocument,
    message: rule_pb2.Rule,
    *,
    only_form: bool = False,
    rules_dir: Path | None = None,
) -> tuple[ExampleResult, ...]:
    """Run every example of a rule that passed all other checks.

    Args:
        rule: The rule as written.
        message: The same as it travels.
        only_form: Whether to leave it at compiling the rule and at the form of the events.
        rules_dir: The rules directory the rule belongs to; None for that of the program.

    Raises:
        RuleInvalidError: The matcher or the lifter refuses the rule.
    """
    evaluate: Evaluate
    if message.HasField("lifter_predicate"):
        evaluate = lifter_evaluate(message, rules_dir)
    else:
        evaluate = _matcher(message)
    results = []
    numbered = [
        (("tests", part, n), example)
        for part in ("match", "no_match")
        for n, example in enumerate(getattr(rule.tests, part))
    ]
    for number, (path, example) in enumerate(numbered):
        must_match = isinstance(example, MatchExample)
        try:
            event = example_event(rule, example, number)
            parts = example_parts(example, event) if message.HasField("timeline") else []
        except ExampleFault as fault:
            at = (*path, *fault.path)
            results.append(ExampleResult(at, must_match, ran=False, fault=str(fault)))
            continue
        if only_form:
            results.append(ExampleResult(path, must_match, ran=False))
            continue
        try:
            emitted = evaluate(event, parts)
        except LifterFault as fault:
            results.append(ExampleResult(path, must_match, ran=True, fault=str(fault)))
            continue
        expected = _expected(example)
        fault_text = None if emitted == expected else _difference(expected, emitted)
        results.append(
            ExampleResult(
                path, must_match, ran=True, emitted=tuple(sorted(emitted)), fault=fault_text
            )
        )
    return tuple(results)


def _expected(example: SilentExample) -> frozenset[str]:
    if not isinstance(example, MatchExample):
        return frozenset()
    if example.adjustment is not None:
        return frozenset({amount_text(example.adjustment)})
    return frozenset(example.techniques or ())


def _difference(expected: frozenset[str], emitted: frozenset[str]) -> str:
    want = ", ".join(sorted(expected)) or "nothing"
    got = ", ".join(sorted(emitted)) or "nothing"
    return f"the example must give {want} but gives {got}; mend the rule or the example"


def _matcher(message: rule_pb2.Rule) -> Evaluate:
    pack = RulePack.compile([message])
    emitted = frozenset(each.sub_technique_id or each.technique_id for each in message.emissions)

    def evaluate(event: event_pb2.Event, parts: Sequence[event_pb2.Event]) -> frozenset[str]:
        if message.HasField("timeline"):
            fired = any(pack.timelines([event, *parts]).fired())
        else:
            fired = bool(pack.evaluate(event))
        return emitted if fired else frozenset()

    return evaluate
