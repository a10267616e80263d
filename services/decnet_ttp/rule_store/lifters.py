# SPDX-License-Identifier: AGPL-3.0-or-later
"""Lifters as plug-ins: they check their own rules and run the examples within them.

They are found by their entry points only, as taggers find them; nothing here knows which there are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Final, Protocol

from decnet_ttp.matching import RuleInvalidError
from decnet_ttp.v1 import event_pb2, rule_pb2

ENTRY_POINT_GROUP: Final = "decnet_ttp.lifters"

#: Returns the deepest technique ids that a rule emits for an event, or as text what it adds to the
#: confidence of others; the parts are those of the session that it is.
Evaluate = Callable[[event_pb2.Event, Sequence[event_pb2.Event]], frozenset[str]]

#: What a mistake in a predicate raises; it costs the example, not the load.
_MISTAKES: Final = (
    ArithmeticError,
    AttributeError,
    LookupError,
    NotImplementedError,
    TypeError,
    ValueError,
)


class _Shift(Protocol):
    @property
    def amount(self) -> float: ...


class _Finding(Protocol):
    @property
    def emissions(self) -> Sequence[int]: ...

    @property
    def shift(self) -> _Shift | None: ...


class _Evaluator(Protocol):
    def lift(self, event: event_pb2.Event) -> Iterable[_Finding]: ...


class _Lifter(Protocol):
    @property
    def name(self) -> str: ...

    def owns(self, rule: rule_pb2.Rule) -> bool: ...

    def compile(self, rules: Sequence[rule_pb2.Rule], previous: None) -> _Evaluator: ...


class _ReadsData(Protocol):
    def __call__(self, rule: rule_pb2.Rule) -> Sequence[Path]: ...


class LifterFault(RuntimeError):  # noqa: N818 - a finding about an example, not a failure of ours
    """A lifter that failed on an example."""


def amount_text(amount: float) -> str:
    """Return what an adjusting rule adds, as examples are compared by it."""
    return f"{amount:+.6g}"


@cache
def _installed(rules_dir: Path | None) -> tuple[_Lifter, ...]:
    found = sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda entry: entry.name)
    return tuple(entry.load()(rules_dir) for entry in found)


def data_paths_of(rule: rule_pb2.Rule, rules_dir: Path | None) -> tuple[Path, ...]:
    """Return where the file beside the rules that a rule reads may lie; the first there counts.

    Args:
        rule: A rule.
        rules_dir: As for `lifter_evaluate`.
    """
    for lifter in _installed(rules_dir) if rule.HasField("lifter_predicate") else ():
        if lifter.owns(rule):
            ask: _ReadsData | None = getattr(lifter, "data_paths", None)
            return () if ask is None else tuple(ask(rule))
    return ()


def lifter_evaluate(rule: rule_pb2.Rule, rules_dir: Path | None) -> Evaluate:
    """Return the evaluation of a rule by the lifter that owns it.

    Args:
        rule: A rule with a lifter's predicate.
        rules_dir: The rules directory it belongs to; None for that of the program.

    Raises:
        RuleInvalidError: No installed lifter owns it, or its lifter refuses it.
    """
    lifters = _installed(rules_dir)
    owner = next((lifter for lifter in lifters if lifter.owns(rule)), None)
    if owner is None:
        raise RuleInvalidError(
            rule.rule_id,
            f"no installed lifter owns {rule.lifter_predicate.kind[:64]}; correct the kind, or "
            "install the package that its lifter comes with",
            path=("match", "kind"),
        )
    evaluator = owner.compile([rule], None)

    def evaluate(event: event_pb2.Event, parts: Sequence[event_pb2.Event]) -> frozenset[str]:
        del parts  # a predicate sees one event
        try:
            findings = list(evaluator.lift(event))
            positions = {position for finding in findings for position in finding.emissions}
            amounts = {
                amount_text(finding.shift.amount)
                for finding in findings
                if finding.shift is not None
            }
        except _MISTAKES as error:
            raise LifterFault(
                f"the lifter {owner.name} fails on it with {type(error).__name__}; mend the lifter"
            ) from error
        emissions = [rule.emissions[position] for position in positions]
        emitted = {each.sub_technique_id or each.technique_id for each in emissions}
        return frozenset(emitted | amounts)

    return evaluate
