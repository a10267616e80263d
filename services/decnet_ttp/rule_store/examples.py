# SPDX-License-Identifier: AGPL-3.0-or-later
"""Running the examples within a rule through the matcher that the taggers use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from decnet_ttp.matching import RulePack
from decnet_ttp.rule_store.convert import ExampleFault, example_event
from decnet_ttp.rule_store.document import LifterMatch, MatchExample, RuleDocument
from decnet_ttp.v1 import event_pb2, rule_pb2

Path = tuple[str | int, ...]

#: Returns the deepest technique ids that a rule emits for an event.
Evaluate = Callable[[event_pb2.Event], frozenset[str]]


@dataclass(frozen=True, slots=True)
class ExampleResult:
    """How one example went.

    Attributes:
        path: Where it stands in the file.
        must_match: Whether the rule has to fire on it.
        ran: False for the rule of a lifter, which only that lifter can evaluate.
        emitted: Techniques that came out, deepest ids in order.
        fault: What went otherwise than written; None when nothing did.
    """

    path: Path
    must_match: bool
    ran: bool
    emitted: tuple[str, ...] = ()
    fault: str | None = None


def run_examples(
    rule: RuleDocument, message: rule_pb2.Rule, *, only_form: bool = False
) -> tuple[ExampleResult, ...]:
    """Run every example of a rule that passed all other checks.

    The predicate of a lifter lives in its tagger; such a rule's examples are held only to
    the form of their events here.

    Args:
        rule: The rule as written.
        message: The same as it travels.
        only_form: Whether to leave it at the form of the events for every rule.

    Raises:
        RuleInvalidError: The matcher refuses the rule.
    """
    unrun = only_form or isinstance(rule.match, LifterMatch)
    evaluate = None if unrun else _matcher(message)
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
        except ExampleFault as fault:
            at = (*path, "payload", fault.key)
            results.append(ExampleResult(at, must_match, ran=False, fault=str(fault)))
            continue
        if evaluate is None:
            results.append(ExampleResult(path, must_match, ran=False))
            continue
        emitted = evaluate(event)
        expected = frozenset(example.techniques if isinstance(example, MatchExample) else ())
        fault_text = None if emitted == expected else _difference(expected, emitted)
        results.append(
            ExampleResult(
                path, must_match, ran=True, emitted=tuple(sorted(emitted)), fault=fault_text
            )
        )
    return tuple(results)


def _difference(expected: frozenset[str], emitted: frozenset[str]) -> str:
    want = ", ".join(sorted(expected)) or "nothing"
    got = ", ".join(sorted(emitted)) or "nothing"
    return f"the example must give {want} but gives {got}; mend the rule or the example"


def _matcher(message: rule_pb2.Rule) -> Evaluate:
    pack = RulePack.compile([message])

    def evaluate(event: event_pb2.Event) -> frozenset[str]:
        return frozenset(
            emission.sub_technique_id or emission.technique_id
            for match in pack.evaluate(event)
            for emission in match.rule.emissions
        )

    return evaluate
