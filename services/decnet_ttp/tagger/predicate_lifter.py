# SPDX-License-Identifier: AGPL-3.0-or-later
"""What all lifters of predicates share: who owns a rule, its parameters, the loop.

Such a lifter is a table of predicates. A predicate is a pure function of an event and of the
rule's parameters; a rule names one as `match.kind: lifter:<predicate>`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from google.protobuf import json_format

from decnet_ttp.core.shipped import data_paths
from decnet_ttp.core.source_kinds import PAYLOAD_FIELD, SourceKind
from decnet_ttp.matching import RuleInvalidError
from decnet_ttp.tagger.lifter import Evaluator, Finding, Shift
from decnet_ttp.tagger.parameters import ParameterFault, read_parameters
from decnet_ttp.v1 import event_pb2, rule_pb2, tag_pb2

#: What stands before a predicate's name in `match.kind`.
KIND_PREFIX = "lifter:"

P = TypeVar("P")


@dataclass(frozen=True, slots=True)
class Hit:
    """What a predicate found.

    Attributes:
        evidence: Why it holds.
        techniques: The techniques that follow (deepest ids of the rule's emissions), each with
            the factor its confidence is multiplied by; None for all emissions as they are.
        shift: What a predicate that adjusts does, in place of techniques.
    """

    evidence: tag_pb2.Evidence
    techniques: Mapping[str, float] | None = None
    shift: Shift | None = None


#: A predicate with its parameters: what it finds on an event.
Test = Callable[[event_pb2.Event], Iterable[Hit]]


@dataclass(frozen=True, slots=True)
class Predicate(Generic[P]):
    """A predicate that rules may name.

    Attributes:
        reads: Kinds of events it can read.
        parameters: Dataclass of its parameters; a field without default must be given.
        bind: Makes the test of a rule; its last argument is the operator's rules directory, or
            None for that of the program. May raise `ParameterFault`.
        adjusts: Whether it adjusts the confidence of tags; its rules emit nothing.
        data: Folder and name of the file beside the rules that it reads with these parameters;
            None where it reads none.
    """

    reads: frozenset[str]
    parameters: type[P]
    bind: Callable[[P, rule_pb2.Rule, Path | None], Test]
    adjusts: bool = False
    data: Callable[[P], tuple[str, str]] | None = None


def holds(
    reads: Iterable[str],
    parameters: type[P],
    test: Callable[[event_pb2.Event, P], tag_pb2.Evidence | None],
) -> Predicate[P]:
    """Return a predicate that holds or not, and then gives all that the rule emits.

    Args:
        reads: Kinds of events it can read.
        parameters: Dataclass of its parameters.
        test: Returns the evidence when it holds.
    """

    def bind(values: P, rule: rule_pb2.Rule, rules_dir: Path | None) -> Test:
        del rule, rules_dir

        def run(event: event_pb2.Event) -> Iterable[Hit]:
            evidence = test(event, values)
            return () if evidence is None else (Hit(evidence),)

        return run

    return Predicate(frozenset(reads), parameters, bind)


@dataclass(frozen=True, slots=True)
class NoParameters:
    """Of a predicate that has nothing to choose."""


@dataclass(frozen=True, slots=True)
class _Bound:
    """A rule with its test.

    Attributes:
        rule: The rule.
        test: Its predicate with its parameters.
        positions: Position of each emission by its deepest technique id.
        identity_only: Whether its tags are about the identity alone.
        confidence_fixed: Whether verdicts leave their confidence alone.
    """

    rule: rule_pb2.Rule
    test: Test
    positions: Mapping[str, int]
    identity_only: bool
    confidence_fixed: bool

    def findings(self, event: event_pb2.Event) -> Iterator[Finding]:
        for number, hit in enumerate(self.test(event)):
            if hit.techniques is None:
                positions: Sequence[int] = range(len(self.rule.emissions))
                factors: Sequence[float] = ()
            else:
                positions = [self.positions[technique] for technique in hit.techniques]
                factors = tuple(hit.techniques.values())
            yield Finding(
                self.rule,
                hit.evidence,
                positions,
                factors,
                identity_only=self.identity_only,
                continued=number > 0,
                confidence_fixed=self.confidence_fixed,
                shift=hit.shift,
            )


class _Evaluator:
    """The bound rules of a lifter.

    Args:
        bound: The rules by id.
        unread: As `PredicateLifter.unread`.
    """

    def __init__(
        self, bound: Mapping[str, _Bound], unread: Mapping[str, frozenset[str]] | None
    ) -> None:
        self.bound = bound
        self._unread = unread
        self._by_kind: dict[str, list[_Bound]] = {}
        for each in bound.values():
            for kind in each.rule.applies_to:
                self._by_kind.setdefault(kind, []).append(each)
        self.source_kinds = frozenset(self._by_kind)

    def lift(self, event: event_pb2.Event) -> Iterator[Finding]:
        """Yield the rules whose predicate holds."""
        for each in self._by_kind.get(event.source_kind, ()):
            yield from each.findings(event)

    def rule_ids(self, source_kind: str) -> Sequence[str]:
        """Return the rules that read a kind."""
        return [each.rule.rule_id for each in self._by_kind.get(source_kind, ())]

    def unread_fields(self, source_kind: str) -> frozenset[str] | None:
        """Return what the lifter says it does not read."""
        return None if self._unread is None else self._unread.get(source_kind, frozenset())

    def lift_rule(self, event: event_pb2.Event, rule_id: str) -> Iterator[Finding]:
        """Yield what one rule gives."""
        if event.source_kind in self.bound[rule_id].rule.applies_to:
            yield from self.bound[rule_id].findings(event)


class PredicateLifter:
    """A lifter that is a table of predicates.

    Args:
        rules_dir: The operator's rules directory; None for that of the program.

    Attributes:
        name: Its name, as in the entry point.
        owns_prefixes: Beginnings of the predicate names that are its own, whether it has a
            predicate of that name or not.
        predicates: Its predicates by name.
        identity_only: Whether its tags are about the identity alone.
        confidence_fixed: Whether verdicts about an attacker leave the confidence of its tags alone.
        unread: By kind, which of `PASSING_FIELDS` none of its predicates reads, where all of them
            follow from payload and extra fields alone; None when some look at more of an event.
    """

    name: ClassVar[str]
    owns_prefixes: ClassVar[tuple[str, ...]]
    predicates: ClassVar[Mapping[str, Predicate[Any]]]
    identity_only: ClassVar[bool] = False
    confidence_fixed: ClassVar[bool] = False
    unread: ClassVar[Mapping[str, frozenset[str]] | None] = None

    def __init__(self, rules_dir: Path | None = None) -> None:
        self._rules_dir = rules_dir

    @property
    def source_kinds(self) -> frozenset[str]:
        """Kinds of events that its predicates read."""
        return frozenset[str]().union(*(each.reads for each in self.predicates.values()))

    def owns(self, rule: rule_pb2.Rule) -> bool:
        """Whether the rule names a predicate of this lifter."""
        return rule.lifter_predicate.kind.removeprefix(KIND_PREFIX).startswith(self.owns_prefixes)

    def compile(self, rules: Sequence[rule_pb2.Rule], previous: Evaluator | None) -> _Evaluator:
        """Bind the rules; unchanged ones are taken over.

        Raises:
            RuleInvalidError: An unknown predicate, a parameter it does not have or that is
                wrong, a kind it cannot read, or evidence it does not give.
        """
        older = previous.bound if isinstance(previous, _Evaluator) else {}
        bound = {}
        for rule in sorted(rules, key=lambda each: each.rule_id):
            known = older.get(rule.rule_id)
            if known is None or known.rule != rule:
                # Another state is no reason to read a file again, which may be broken by now.
                same = known is not None and _definition(known.rule) == _definition(rule)
                known = replace(known, rule=rule) if known and same else self._bind(rule)
            bound[rule.rule_id] = known
        return _Evaluator(bound, self.unread)

    def data_paths(self, rule: rule_pb2.Rule) -> Sequence[Path]:
        """Return where the file beside the rules that a rule reads may lie; the first there counts.

        A change of it changes what the rule does: the rule-store watches it and says so.
        """
        predicate = self.predicates.get(rule.lifter_predicate.kind.removeprefix(KIND_PREFIX))
        if predicate is None or predicate.data is None:
            return ()
        given = json_format.MessageToDict(rule.lifter_predicate.parameters)
        try:
            folder, name = predicate.data(read_parameters(predicate.parameters, given))
        except ParameterFault:
            return ()
        return data_paths(folder, name, self._rules_dir)

    def _bind(self, rule: rule_pb2.Rule) -> _Bound:
        name = rule.lifter_predicate.kind.removeprefix(KIND_PREFIX)
        predicate = self.predicates.get(name)
        if predicate is None:
            allowed = ", ".join(KIND_PREFIX + each for each in sorted(self.predicates))
            raise RuleInvalidError(
                rule.rule_id,
                f"the lifter {self.name} has no predicate {KIND_PREFIX}{name[:64]}; "
                f"allowed: {allowed}",
                path=("match", "kind"),
            )
        for number, kind in enumerate(rule.applies_to):
            if kind not in predicate.reads:
                raise RuleInvalidError(
                    rule.rule_id,
                    f"{KIND_PREFIX}{name} cannot read {kind}; "
                    f"allowed: {', '.join(sorted(predicate.reads))}",
                    path=("applies_to", number),
                )
        if predicate.adjusts == bool(rule.emissions):
            what = (
                "adjusts the confidence of tags and makes none; write `emits: []`"
                if predicate.adjusts
                else "makes tags; name at least one technique"
            )
            raise RuleInvalidError(rule.rule_id, f"{KIND_PREFIX}{name} {what}", path=("emits",))
        _check_evidence_fields(rule)
        given = json_format.MessageToDict(rule.lifter_predicate.parameters)
        try:
            parameters = read_parameters(predicate.parameters, given)
            test = predicate.bind(parameters, rule, self._rules_dir)
        except ParameterFault as fault:
            raise RuleInvalidError(
                rule.rule_id, f"{KIND_PREFIX}{name}: {fault}", path=("match", *fault.path)
            ) from fault
        positions = {
            emission.sub_technique_id or emission.technique_id: number
            for number, emission in enumerate(rule.emissions)
        }
        return _Bound(
            rule,
            test,
            positions,
            identity_only=self.identity_only,
            confidence_fixed=self.confidence_fixed,
        )


def _definition(rule: rule_pb2.Rule) -> rule_pb2.Rule:
    """Return a rule without what says nothing of how it is evaluated."""
    definition = rule_pb2.Rule()
    definition.CopyFrom(rule)
    for name in ("state", "scoped_states", "load_error"):
        definition.ClearField(name)
    return definition


def _check_evidence_fields(rule: rule_pb2.Rule) -> None:
    """Refuse a field that the evidence of none of the rule's kinds has.

    Raises:
        RuleInvalidError: Such a field.
    """
    kinds = frozenset(SourceKind)
    members = tag_pb2.Evidence.DESCRIPTOR.fields_by_name
    allowed: set[str] = set()
    for kind in kinds.intersection(rule.applies_to):
        message: Any = members[PAYLOAD_FIELD[SourceKind(kind)]].message_type
        allowed.update(message.fields_by_name)
    for number, name in enumerate(rule.evidence_fields):
        if name not in allowed:
            raise RuleInvalidError(
                rule.rule_id,
                f"evidence of {', '.join(rule.applies_to)} has no {name[:64]}; "
                f"allowed: {', '.join(sorted(allowed))}",
                path=("evidence_fields", number),
            )
